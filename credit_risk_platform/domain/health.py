"""How the platform does, in one word per area: what an engineer reads in the morning.

Belongs here: the words, when an asset is late, and which word an area's figures earn. Does not: reading the figures.
What never happened is "not yet" and never red: a fresh platform has nothing wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

TRAIL = 14
"""Evaluations of a check that are looked back on: two weeks of a daily one."""
LAG_ACT = 10_000
"""Messages that wait, from which on somebody has to act (`StreamFallsBehind` in deploy/prometheus/rules.yml)."""
DEAD_SHARE = 0.05
API_ERRORS_LOOK, API_ERRORS_ACT = 0.001, 0.01
"""The promise is that 99.9 % of calls are answered."""
API_P95_MS = 200.0
DISK_LOOK, DISK_ACT = 0.20, 0.10
"""Share of the disk that is free."""


class Freshness(StrEnum):
    """An asset's age against its policy."""

    FRESH = "fresh"
    WARN = "warn"
    OVERDUE = "overdue"
    NEVER = "never"
    UNSCHEDULED = "no policy"


class Result(StrEnum):
    """What a check last said. A red one that only warns blocks nothing."""

    PASSED = "passed"
    WARNED = "warned"
    FAILED = "failed"
    NEVER = "never"


class State(StrEnum):
    """The word for an area, from good to bad; `NOT_YET` is as good as `OK`."""

    OK = "ok"
    NOT_YET = "not yet"
    LOOK = "look"
    ACT = "act"

    @property
    def green(self) -> bool:
        return self in (State.OK, State.NOT_YET)


@dataclass(frozen=True)
class Deadline:
    """An asset made before `overdue` is overdue, one made before `warn` nearly so."""

    overdue: datetime
    warn: datetime


@dataclass(frozen=True)
class Area:
    """One line of the page. `next_step` is empty where nothing is to be done; `link` is a path of the Dagster UI."""

    name: str
    state: State
    finding: str
    next_step: str = ""
    link: str = ""


def freshness(made: datetime | None, deadline: Deadline | None) -> Freshness:
    """Of an asset last made at `made`. Nothing is late that was never made."""
    if made is None:
        return Freshness.NEVER
    if deadline is None:
        return Freshness.UNSCHEDULED
    if made < deadline.overdue:
        return Freshness.OVERDUE
    return Freshness.WARN if made < deadline.warn else Freshness.FRESH


def all_green(areas: Iterable[Area]) -> bool:
    return all(area.state.green for area in areas)


def named(names: Sequence[str], at_most: int = 4) -> str:
    """Some of the names, and how many more there are."""
    more = len(names) - at_most
    return ", ".join(names[:at_most]) + (f" and {more} more" if more > 0 else "")


def grade(value: float, look: float, act: float) -> State:
    """`value` of a figure of which less is better."""
    return State.ACT if value > act else State.LOOK if value > look else State.OK
