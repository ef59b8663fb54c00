"""Which vintages may be judged, and which of them are due: a vintage is judged whole, when its last loan has matured.

Short loans of a vintage mature before its long ones; judged alone they would be another mix than the model was made
for (the training set keeps whole vintages for the same reason).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

FIRST_RUNS = 6
"""Backtests of the first start on an old book, which has hundreds of vintages: the others wait for a backfill."""
RUNS_AT_ONCE = 12
"""More vintages than this, matured in one step, take several ticks."""


class VintageKeyError(ValueError):
    """Not a month as a partition is called."""


class Exposure(StrEnum):
    """What a champion knew of a vintage when it was trained."""

    IN_SAMPLE = "in sample"
    HELD_OUT = "held out"
    NEW = "new"


@dataclass(frozen=True)
class Learnt:
    """What a champion learnt from. Vintages from `held_out_from` on only judged it; those after `until` it never met.

    `held_out_from` is None where the split is not on record: then every vintage up to `until` counts as in sample.
    """

    until: date
    held_out_from: date | None

    def exposure(self, month: date) -> Exposure:
        if month > self.until:
            return Exposure.NEW
        judged = self.held_out_from is not None and month >= self.held_out_from
        return Exposure.HELD_OUT if judged else Exposure.IN_SAMPLE


def key_of(month: date) -> str:
    """Partition key of a vintage: `2023-01`."""
    return f"{month:%Y-%m}"


def month_of(key: str) -> date:
    """First day of the vintage; raises `VintageKeyError` for anything that is no month."""
    try:
        return date.fromisoformat(f"{key}-01")
    except ValueError as error:
        raise VintageKeyError(f"{key!r} is no vintage: a partition is called after its month, as in 2023-01") from error


def due(matured: Sequence[date], judged: Collection[date] | None) -> tuple[date, ...]:
    """The vintages to backtest now: those that matured since, the oldest first, a few at a time.

    At the first start (`judged` is None) the latest six: those that a champion learnt from last, if at all.
    """
    if judged is None:
        return tuple(sorted(matured)[-FIRST_RUNS:])
    return tuple(sorted(set(matured) - set(judged))[:RUNS_AT_ONCE])
