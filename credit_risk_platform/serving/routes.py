"""The routes. Each one names who may use it and hands over to the parts; `intake` reads the bodies, not FastAPI."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, cast

from fastapi import APIRouter, Depends, Request
from fastapi import Path as InPath
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic_core import to_json
from starlette.responses import JSONResponse, Response

from credit_risk_platform.adapters.ledger import UnknownScoreError
from credit_risk_platform.serving.answers import BatchAnswer, Score, StoredScore
from credit_risk_platform.serving.documentation import BATCH_BODY, ONE_BODY, Ready
from credit_risk_platform.serving.problems import FieldError, Kind, Problem, responses
from credit_risk_platform.serving.security import PREDICT, READ_SCORES, Caller, require

if TYPE_CHECKING:
    from credit_risk_platform.serving.app import Parts

router = APIRouter()
_LIMITS = (Kind.UNAUTHENTICATED, Kind.FORBIDDEN, Kind.INVALID, Kind.RATE, Kind.NOT_READY)
_REFUSALS = (*_LIMITS, Kind.MALFORMED, Kind.TOO_LARGE, Kind.MEDIA)
Predicts = Annotated[Caller, Depends(require(*PREDICT))]
Reads = Annotated[Caller, Depends(require(*READ_SCORES))]


def _parts(request: Request) -> Parts:
    return cast("Parts", request.app.state.parts)


@router.post(
    "/api/v1/predict", tags=["scoring"], summary="Score one application", response_model=Score,
    responses=responses(*_REFUSALS, Kind.CONFLICT), openapi_extra=ONE_BODY,
)  # fmt: skip
async def predict(request: Request, caller: Predicts) -> Response:
    """The probability of default of one application, its risk band, and the policy's decision with its reasons.

    Ten simple fields are enough; the fuller application says more about the same person and scores better. A field
    that is left out is missing, never zero. The same application gives the same `score_id` all day.
    """
    _require_json(request)
    told = await _parts(request).intake.one(await request.body(), caller.client)
    request.state.scores = 1
    return _json(told)


@router.post(
    "/api/v1/predict/batch", tags=["scoring"], summary="Score up to 10,000 applications", response_model=BatchAnswer,
    responses=responses(*_REFUSALS), openapi_extra=BATCH_BODY,
)  # fmt: skip
async def predict_batch(request: Request, caller: Predicts) -> Response:
    """One answer per application, in order. One that is not sound is refused with its own errors; the others score."""
    _require_json(request)
    judged, told = await _parts(request).intake.many(await request.body(), caller.client)
    request.state.scores = len(told)
    results: list[dict[str, Any]] = [
        {"index": place, "status": "scored", "score": told[place], "errors": []}
        if place in told
        else {"index": place, "status": "refused", "score": None, "errors": judged.refused[place]}
        for place in range(len(told) + len(judged.refused))
    ]
    return _json({"scored": len(told), "refused": len(judged.refused), "results": results})


@router.get(
    "/api/v1/scores/{score_id}", tags=["scores"], summary="A score again", response_model=StoredScore,
    responses=responses(*_LIMITS, Kind.NOT_FOUND),
)  # fmt: skip
async def score(
    request: Request,
    caller: Reads,
    score_id: Annotated[str, InPath(max_length=64, description="The id of an answer; its first 8 digits will do.")],
) -> Response:
    """A score given before, by the API, by stream or in the nightly run, as the ledger has it."""
    parts = _parts(request)
    parts.follower.require()
    try:
        told, token = await asyncio.get_running_loop().run_in_executor(None, parts.lookup.find, score_id)
    except UnknownScoreError as error:
        fix = f"Did you mean: {', '.join(error.near)}?" if error.near else "Ask with the score_id of an answer."
        wrong = FieldError(field="score_id", code="unknown-score", detail="No score has this id.", fix=fix)
        raise Problem(Kind.NOT_FOUND, "No score has this id.", [wrong]) from error
    return _json({**told, "subject_token": token if caller.sees_subjects else None})


@router.get("/healthz", tags=["operations"], summary="Is the process alive?")
async def healthz() -> dict[str, str]:
    """Answers as long as the process does."""
    return {"status": "alive"}


@router.get(
    "/readyz", tags=["operations"], summary="Can it score?", response_model=Ready,
    responses=responses(Kind.NOT_READY),
)  # fmt: skip
async def readyz(request: Request) -> Response:
    """The champion that scores, and what is wrong although it does; 503 with the next step when nothing can score."""
    parts = _parts(request)
    if not request.state.near and not parts.follower.ready:  # the reason may name files
        raise Problem(Kind.NOT_READY, "Call /api/v1/predict with a key, or see the server's log, for what is missing.")
    parts.follower.require()
    troubles = (parts.follower.trouble, parts.drainer.trouble) if request.state.near else ()
    notes = [note for note in troubles if note]
    waiting = parts.spool.depth().rows
    return JSONResponse({"status": "ready", **parts.follower.told, "waiting_for_ledger": waiting, "notes": notes})


@router.get("/metrics", tags=["operations"], summary="Prometheus metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Metrics of all processes that share the port, in Prometheus' text format. No key is needed from this machine."""
    parts = _parts(request)
    return Response(parts.metrics.text(parts.spool.own), media_type=CONTENT_TYPE_LATEST)


def _require_json(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(Kind.MEDIA, "Send the header Content-Type: application/json.")


def _json(told: Any) -> Response:
    return Response(to_json(told), media_type="application/json")
