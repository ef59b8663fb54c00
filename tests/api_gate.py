"""A small API behind the real gate, real keys and a real audit file; and one call to it, without a network."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import httpx
from fastapi import Depends, FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field

from credit_risk_platform.adapters.api_keys import ApiKeys, KeyRing, Role
from credit_risk_platform.serving import problems, security
from credit_risk_platform.serving.problems import Kind, Problem, responses
from credit_risk_platform.serving.security import Caller, GateOptions, require
from credit_risk_platform.serving.security.audit import AuditLog
from credit_risk_platform.serving.security.rates import ClientRates

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
INCOME = 75_123.45
"""A value nobody may find in an answer or a log."""


class Item(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    customer_id: str = Field(min_length=1, max_length=20, pattern="^[A-Z_0-9]+$")
    annual_income: float | None = Field(None, gt=0)
    term: Literal[36, 60] | None = None
    age: int | None = Field(None, ge=18, le=120)


class Items(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    customers: list[Item] = Field(min_length=1, max_length=3)


def gated(folder, limit="1000/second", body_bytes=2_000, now=lambda: NOW):
    """The app and its keys."""
    keys = ApiKeys(folder / ".secrets")
    app = FastAPI()
    problems.install(app, Item.model_fields)
    app.state.audit = AuditLog(folder / "api")
    options = GateOptions(KeyRing(keys, lambda: float("inf")), ClientRates(limit), app.state.audit, body_bytes, now)
    security.install(app, options)
    _routes(app)
    return app, keys


def _routes(app: FastAPI) -> None:
    @app.post("/one", responses=responses(Kind.INVALID, Kind.MALFORMED))
    async def one(item: Item, caller: Annotated[Caller, Depends(require(*security.PREDICT))], request: Request):
        request.state.scores = 1
        return {"client": caller.client}

    @app.post("/many")
    async def many(items: Items, caller: Annotated[Caller, Depends(require(*security.PREDICT))]):
        return len(items.customers)

    @app.get("/scores/{score_id}")
    async def score(score_id: int, caller: Annotated[Caller, Depends(require(*security.READ_SCORES))]):
        return {"subject": "token" if caller.sees_subjects else None}

    @app.get("/forgotten")
    async def forgotten():
        return "no require here"

    @app.get("/metrics")
    async def metrics():
        return "numbers"

    @app.get("/healthz")
    async def healthz():
        return "ok"

    @app.get("/broken")
    async def broken():
        raise ValueError(f"cannot cast {INCOME}")

    @app.get("/absent")
    async def absent():
        raise Problem(Kind.NOT_READY, "No model is champion yet: run `crp train`.")


def call(app, method: str, path: str, key: str | None = None, peer: str = "10.1.2.3", **rest: Any) -> httpx.Response:
    async def go():
        transport = httpx.ASGITransport(app=app, client=(peer, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            headers = {**rest.pop("headers", {}), **({"X-API-Key": key} if key else {})}
            return await client.request(method, path, headers=headers, **rest)

    answer = asyncio.run(go())
    app.state.audit.flush()  # its loop is gone before a line that waits would be written
    return answer


def audit_lines(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "api" / "audit.jsonl").read_text().splitlines()]


def everything_written(folder) -> str:
    """All files of the home but the key file, to search for what must not be there."""
    files = [file for file in folder.rglob("*") if file.is_file() and file.name != "api_keys.json"]
    return "".join(file.read_text(errors="replace") for file in files)


def key_of(keys: ApiKeys, role: Role = Role.UNDERWRITER, client: str = "los") -> str:
    return keys.create(client, role, NOW)
