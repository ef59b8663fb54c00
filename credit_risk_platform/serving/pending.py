"""What this process remembers: answers the ledger does not have yet, and what each application id stood for today."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import date
from enum import Enum
from pathlib import Path

from credit_risk_platform.serving.answers import Answer
from credit_risk_platform.serving.schemas import Asked


class Claim(Enum):
    """What an application id was before a call."""

    NEW = "new"
    KNOWN = "known"
    """It stood for the same content: the same score again."""
    TAKEN = "taken"
    """It stands for another content."""


Told = tuple[Answer, str]
"""An answer and the subject token of whom it is about."""


class Pending:
    """Answers by score id, until the segment they are in is drained. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[str, Told] = {}
        self._of: dict[Path, list[str]] = {}

    def put(self, segment: Path, told: Iterable[Told]) -> None:
        with self._lock:
            for one in told:
                self._told[one[0]["score_id"]] = one
                self._of.setdefault(segment, []).append(one[0]["score_id"])

    def get(self, score_id: str) -> Told | None:
        return self._told.get(score_id)

    def drained(self, segment: Path) -> None:
        with self._lock:
            gone = self._of.pop(segment, [])
            kept = {score_id for others in self._of.values() for score_id in others}
            for score_id in gone:
                if score_id not in kept:  # the same call again has the same id in a later segment
                    self._told.pop(score_id, None)


class Contents:
    """Application id -> what was said under it, for the calls of one day. An id we made is its content."""

    def __init__(self) -> None:
        self._day: date | None = None
        self._said: dict[str, str] = {}

    def fill(self, day: date, known: Iterable[tuple[str, str]]) -> None:
        """Take over what was answered on `day` before this process began."""
        self._turn(day)
        for loan_id, content in known:
            self._said.setdefault(loan_id, content)

    def claim(self, asked: Asked, day: date) -> Claim:
        """Let the id stand for this content, unless it does for another."""
        self._turn(day)
        if asked.id_made:
            return Claim.KNOWN
        said = self._said.get(asked.loan_id)
        if said is None:
            self._said[asked.loan_id] = asked.content
            return Claim.NEW
        return Claim.KNOWN if said == asked.content else Claim.TAKEN

    def release(self, asked: Iterable[Asked]) -> None:
        """Claims of a call that was not answered."""
        for one in asked:
            self._said.pop(one.loan_id, None)

    def _turn(self, day: date) -> None:
        if day != self._day:
            self._day, self._said = day, {}
