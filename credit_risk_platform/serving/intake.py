"""From the body of a request to sound applications: parse, judge each one, refuse an id that stands for another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from credit_risk_platform.adapters.api_sink import calls_of_day
from credit_risk_platform.adapters.tokens import TokenKey
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.serving.answers import Answer
from credit_risk_platform.serving.champion import today
from credit_risk_platform.serving.engine import Engine
from credit_risk_platform.serving.pending import Claim, Contents
from credit_risk_platform.serving.problems import FieldError, Kind, Problem
from credit_risk_platform.serving.schemas import MOST_ITEMS, Asked, RefusedError, read

log = logging.getLogger(__name__)
LIST = "customers"


@dataclass(frozen=True)
class Judged:
    """What became of a batch: sound applications by their place, and what is wrong with the others."""

    sound: dict[int, Asked]
    refused: dict[int, list[FieldError]]


class Intake:
    """Judges requests and has sound ones scored."""

    def __init__(self, key: TokenKey, engine: Engine, warehouse: Warehouse) -> None:
        self.key, self.engine, self.warehouse = key, engine, warehouse
        self.contents = Contents()

    async def remember(self) -> None:
        """Take over which application ids were used today, before this process began."""
        day = today()
        task = asyncio.get_running_loop().run_in_executor(None, calls_of_day, self.warehouse, day)
        await asyncio.wait([task])
        if error := task.exception():
            log.error("application ids used today are not known, so a changed application is not noticed: %s", error)
            return
        known = task.result()
        self.contents.fill(day, zip(known["loan_id"].to_pylist(), known["content"].to_pylist(), strict=True))

    async def one(self, body: bytes, client: str) -> Answer:
        """The answer to one application. Raises the problems 400, 409 and 422."""
        self.engine.follower.require()
        try:
            asked = read(parsed(body), today(), self.key)
        except RefusedError as error:
            self.engine.follower.metrics.refused.inc()
            raise Problem(Kind.INVALID, "The application cannot be scored as it was sent.", error.errors) from error
        claim = self.contents.claim(asked, today())
        if claim is Claim.TAKEN:
            raise Problem(Kind.CONFLICT, _TAKEN, [_taken("id")])
        (told,) = await self._scored([asked], [asked] if claim is Claim.NEW else [], client)
        return told

    async def many(self, body: bytes, client: str) -> tuple[Judged, dict[int, Answer]]:
        """The answers to a batch, by place. Raises the problems 400 and 422, for the request as a whole."""
        self.engine.follower.require()
        judged = await asyncio.get_running_loop().run_in_executor(None, self._judge, body)
        new = []
        for place, asked in list(judged.sound.items()):
            claim = self.contents.claim(asked, today())
            if claim is Claim.NEW:
                new.append(asked)
            elif claim is Claim.TAKEN:
                del judged.sound[place]
                judged.refused[place] = [_taken(f"{LIST}[{place}].id")]
        self.engine.follower.metrics.refused.inc(len(judged.refused))
        told = await self._scored(list(judged.sound.values()), new, client) if judged.sound else []
        return judged, dict(zip(judged.sound, told, strict=True))

    async def _scored(self, asked: Sequence[Asked], new: Sequence[Asked], client: str) -> list[Answer]:
        answered = False
        try:
            told = await self.engine.score(asked, client)
            answered = True
            return told
        finally:
            if not answered:
                self.contents.release(new)

    def _judge(self, body: bytes) -> Judged:
        sound: dict[int, Asked] = {}
        refused: dict[int, list[FieldError]] = {}
        seen: dict[str, int] = {}
        day = today()
        for place, item in enumerate(_items(parsed(body))):
            prefix = f"{LIST}[{place}]."
            try:
                asked = read(item, day, self.key, prefix)
            except RefusedError as error:
                refused[place] = error.errors
                continue
            first = seen.setdefault(asked.loan_id, place)
            if first == place:
                sound[place] = asked
            else:
                refused[place] = [_twice(place, first, asked)]
        return Judged(sound, refused)


def parsed(body: bytes) -> Any:
    """The JSON value of a body. Raises the problem 400."""
    try:
        return from_json(body)
    except ValueError as error:
        # The parser names the place, never the text.
        wrong = FieldError(
            field="", code="malformed-json", detail=f"JSON: {error}", fix="Send one JSON object, in UTF-8."
        )
        raise Problem(Kind.MALFORMED, "The body could not be read as JSON.", [wrong]) from None


def _items(body: Any) -> list[Any]:
    items = body.get(LIST) if isinstance(body, dict) else None
    if not isinstance(items, list) or set(body) != {LIST}:
        raise _unfit("wrong-type", "The body is not an object with one list.", f'Send {{"{LIST}": [ ... ]}}.')
    if not 1 <= len(items) <= MOST_ITEMS:
        fix = f"Send 1 to {MOST_ITEMS:,} applications in one request; more in several."
        raise _unfit("wrong-length", f"The list has {len(items):,} items.", fix)
    return items


def _unfit(code: str, detail: str, fix: str) -> Problem:
    return Problem(Kind.INVALID, detail, [FieldError(field=LIST, code=code, detail=detail, fix=fix)])


_TAKEN = "Another application was scored under this id today."


def _taken(field: str) -> FieldError:
    return FieldError(
        field=field,
        code="id-taken",
        detail=_TAKEN,
        fix="Give a corrected application an id of its own; the same application unchanged has its score again.",
    )


def _twice(place: int, first: int, asked: Asked) -> FieldError:
    field = f"{LIST}[{place}]" if asked.id_made else f"{LIST}[{place}].id"
    told = "is the same application as" if asked.id_made else "has the id of"
    return FieldError(
        field=field, code="sent-twice", detail=f"This item {told} item {first}.", fix="Send each application once."
    )
