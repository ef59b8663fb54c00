"""Macroeconomic scenarios as paths of unemployment, month by month ahead of a reporting day.

Belongs here: which quarter a month takes its value from, what comes after the last quarter, and how scenarios are
weighed. Does not: reading a file (`adapters.scenario_file`), and what unemployment does to loans (`hazard`, `lgd`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from credit_risk_platform.domain.provisioning.contents import sha256_of

Floats = npt.NDArray[np.float64]

KIND = "scenarios"
BASELINE, ADVERSE, SEVERELY_ADVERSE = "baseline", "adverse", "severely_adverse"
WEIGHTS = {BASELINE: 0.60, ADVERSE: 0.25, SEVERELY_ADVERSE: 0.15}
"""Probabilities of the IFRS 9 scenarios. A management judgement: severe paths of the supervisors are no forecast."""

LONG_RUN_UNEMPLOYMENT = 5.7
"""Per cent; mean of the US civilian rate 1948-2024 (BLS, series UNRATE). Where every path ends, and what a loan's
PD at origination expected: nobody kept the forecast of each day of issue."""

REVERSION_MONTHS = 12
"""A path that ends goes back to the long-run mean in a straight line over so many months."""

SUPPORTABLE_MONTHS = 24
"""How far a forecast is called reasonable and supportable (ASC 326-20-30-9)."""


class ScenarioError(ValueError):
    """Scenarios that cannot be used; the message says what to mend."""


@dataclass(frozen=True)
class Quarter:
    """A calendar quarter, in the order of time."""

    index: int

    @classmethod
    def of(cls, year: int, quarter: int) -> Quarter:
        return cls(year * 4 + quarter - 1)

    @classmethod
    def ahead(cls, day: date, months: int) -> Quarter:
        """Quarter of the month that lies `months` after the month of `day`."""
        return cls((day.year * 12 + day.month - 1 + months) // 3)

    def __str__(self) -> str:
        return f"{self.index // 4} Q{self.index % 4 + 1}"


@dataclass(frozen=True)
class Scenario:
    """One path: unemployment in per cent, quarter by quarter from `first`. `derived` paths stand in no file."""

    name: str
    first: Quarter
    unemployment: tuple[float, ...]
    derived: bool = False

    @property
    def last(self) -> Quarter:
        return Quarter(self.first.index + len(self.unemployment) - 1)

    @property
    def peak(self) -> float:
        return max(self.unemployment)

    def dated(self, day: date) -> bool:
        """Whether the path covers the month after `day`; else it is taken by quarters ahead from its first one."""
        return self.first.index <= Quarter.ahead(day, 1).index <= self.last.index

    def monthly(self, day: date, months: int, supportable: int | None = None) -> Floats:
        """Unemployment in per cent of the months 1..`months` after `day`.

        Quarters up to the day are skipped. After the last quarter, or after `supportable` months where that is
        sooner, the path reverts to the long-run mean.
        """
        start = Quarter.ahead(day, 1).index if not self.dated(day) else self.first.index
        ahead = np.array([Quarter.ahead(day, t).index - start for t in range(1, months + 1)], dtype=np.int64)
        known = int((ahead < len(self.unemployment)).sum())
        end = known if supportable is None else min(known, supportable)
        path = np.asarray(self.unemployment)[np.minimum(ahead, len(self.unemployment) - 1)]
        if end < months:
            steps = np.minimum(np.arange(1, months - end + 1) / REVERSION_MONTHS, 1.0)
            path[end:] = path[end - 1] + (LONG_RUN_UNEMPLOYMENT - path[end - 1]) * steps
        return path


@dataclass(frozen=True)
class ScenarioSet:
    """The scenarios of one file with their weights, which sum to 1. JSON-serialisable, named by its content."""

    scenarios: tuple[Scenario, ...]
    weights: Mapping[str, float]

    @property
    def sha256(self) -> str:
        return sha256_of(self.to_dict())

    def scenario(self, name: str) -> Scenario:
        for one in self.scenarios:
            if one.name == name:
                return one
        raise ScenarioError(f"there is no scenario {name}; there are {', '.join(one.name for one in self.scenarios)}")

    def weighted(self) -> tuple[tuple[Scenario, float], ...]:
        return tuple((one, self.weights[one.name]) for one in self.scenarios)

    def alone(self, name: str) -> ScenarioSet:
        """One scenario as if it were sure: what a stress test asks."""
        return ScenarioSet((self.scenario(name),), {name: 1.0})

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": KIND,
            "scenarios": [
                {"name": s.name, "first": s.first.index, "unemployment": list(s.unemployment), "derived": s.derived}
                for s in self.scenarios
            ],
            "weights": dict(self.weights),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> ScenarioSet:
        return cls(
            tuple(
                Scenario(s["name"], Quarter(s["first"]), tuple(s["unemployment"]), s["derived"])
                for s in stored["scenarios"]
            ),
            dict(stored["weights"]),
        )


def scenario_set(given: Sequence[Scenario], weights: Mapping[str, float] = WEIGHTS) -> ScenarioSet:
    """The three scenarios in order of severity.

    The Federal Reserve has published no adverse scenario since 2020: where it is lacking, the middle of the other two
    stands for it and is marked as derived. Raises `ScenarioError` where one of those two is lacking.
    """
    found = {one.name: one for one in given}
    lacking = [name for name in (BASELINE, SEVERELY_ADVERSE) if name not in found]
    if lacking:
        raise ScenarioError(f"no lines of the scenario {' and '.join(lacking)}; there are {', '.join(found) or 'none'}")
    if ADVERSE not in found:
        found[ADVERSE] = _middle(found[BASELINE], found[SEVERELY_ADVERSE])
    return ScenarioSet(tuple(found[name] for name in weights), dict(weights))


def _middle(mild: Scenario, severe: Scenario) -> Scenario:
    if mild.first != severe.first:
        raise ScenarioError(
            f"{mild.name} begins in {mild.first} and {severe.name} in {severe.first}: give both the same first "
            "quarter, or add the adverse scenario"
        )
    pairs = zip(mild.unemployment, severe.unemployment, strict=False)
    return Scenario(ADVERSE, mild.first, tuple((low + high) / 2 for low, high in pairs), derived=True)
