"""Who trains, who stops, who calibrates, who judges: by vintage, in the order of time, never at random.

A random split lets a model see tomorrow's loans: here every split lies wholly after the one before it, and folds
never train on later vintages than they test.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np

MONTH = "datetime64[M]"


class SplitError(ValueError):
    """Too few vintages to hold the splits apart."""


class Split(StrEnum):
    """In the order of time. `early_stop` ends boosting, `validation` calibrates and chooses, `out_of_time` judges."""

    TRAIN = "train"
    EARLY_STOP = "early_stop"
    VALIDATION = "validation"
    OUT_OF_TIME = "out_of_time"


MIN_BADS = {Split.TRAIN: 100, Split.EARLY_STOP: 20, Split.VALIDATION: 30, Split.OUT_OF_TIME: 30}
"""Below this no model can be told from chance. A scorecard one would lend by wants ten times as many."""


@dataclass(frozen=True)
class SplitPlan:
    """First issue month of each later split; earlier months train."""

    early_stop_from: np.datetime64
    validation_from: np.datetime64
    out_of_time_from: np.datetime64

    @property
    def starts(self) -> np.ndarray:
        return np.array([self.early_stop_from, self.validation_from, self.out_of_time_from], dtype=MONTH)

    def assign(self, issue_month: np.ndarray) -> np.ndarray:
        """Split name of each loan, str (n,)."""
        names = np.array([str(split) for split in Split])
        return names[np.searchsorted(self.starts, issue_month.astype(MONTH), side="right")]


def plan_splits(
    months: np.ndarray,
    loans: np.ndarray,
    *,
    out_of_time: float = 0.25,
    validation: float = 0.15,
    early_stop: float = 0.10,
) -> SplitPlan:
    """Plan from the vintages alone: `months` (distinct) with `loans` each, so a large book need not leave its table.

    `out_of_time` is the smallest suffix of months holding at least its share of all loans; `validation` and then
    `early_stop` are the smallest suffixes of what remains before it, as shares of the loans before out-of-time.
    Raises `SplitError` if that leaves no month to train on.
    """
    order = np.argsort(months)
    calendar, counts = months[order].astype(MONTH), np.asarray(loans, dtype=np.int64)[order]
    if np.unique(calendar).size != calendar.size:
        raise SplitError("each issue month must come once")
    judged = smallest_suffix(counts, out_of_time * counts.sum())
    development = counts[:judged].sum()
    calibrated = smallest_suffix(counts[:judged], validation * development)
    stopped = smallest_suffix(counts[:calibrated], early_stop * development)
    if stopped < 1:
        raise SplitError(f"{calendar.size} issue months cannot keep {', '.join(Split)} apart")
    return SplitPlan(calendar[stopped], calendar[calibrated], calendar[judged])


def assign_splits(
    issue_month: np.ndarray, *, out_of_time: float = 0.25, validation: float = 0.15, early_stop: float = 0.10
) -> np.ndarray:
    """Split name of each loan, str (n,), from its issue month, datetime64[M] (n,). See `plan_splits`."""
    months, loans = np.unique(issue_month.astype(MONTH), return_counts=True)
    plan = plan_splits(months, loans, out_of_time=out_of_time, validation=validation, early_stop=early_stop)
    return plan.assign(issue_month)


def time_folds(issue_month: np.ndarray, folds: int = 3) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(train rows, test rows) with an expanding window: fold k tests on the vintages right after those it trains on.

    The months are cut into `folds` + 1 runs of about equal loans; the first run only trains. Raises `SplitError`
    when there are fewer months than runs.
    """
    months = issue_month.astype(MONTH)
    for start, end in _fold_edges(months, folds):
        yield np.flatnonzero(months < start), np.flatnonzero((months >= start) & (months < end))


def latest(issue_month: np.ndarray, share: float) -> np.ndarray:
    """Mask of the smallest suffix of months holding at least `share` of the loans: never all of them."""
    months, loans = np.unique(issue_month.astype(MONTH), return_counts=True)
    start = smallest_suffix(loans, share * loans.sum())
    if start < 1:
        raise SplitError(f"{months.size} issue months cannot be cut in two")
    return np.asarray(issue_month.astype(MONTH) >= months[start])


def _fold_edges(months: np.ndarray, folds: int) -> list[tuple[np.datetime64, np.datetime64]]:
    calendar, loans = np.unique(months, return_counts=True)
    if calendar.size < folds + 1:
        raise SplitError(f"{folds} folds need {folds + 1} issue months, there are {calendar.size}")
    before = np.cumsum(loans) - loans
    wanted = np.arange(1, folds + 1) * months.size / (folds + 1)
    starts = np.searchsorted(before, wanted)
    # One very large month may swallow a cut: each run still gets a month of its own.
    for k in range(folds):
        starts[k] = min(max(starts[k], starts[k - 1] + 1 if k else 1), calendar.size - folds + k)
    edges = [calendar[start] for start in starts] + [calendar[-1] + np.timedelta64(1, "M")]
    return list(pairwise(edges))


def smallest_suffix(counts: np.ndarray, wanted: float) -> int:
    """Index of the first element of the smallest suffix that holds at least `wanted`."""
    if not counts.size:
        return 0
    held = np.cumsum(counts[::-1])
    return int(counts.size - 1 - np.searchsorted(held, wanted)) if held[-1] >= wanted else 0
