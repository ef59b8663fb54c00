"""When a loan on the book is observed, what then counts as bad, and which observations teach, stop, calibrate, judge.

A loan appears at several observation points, so two things could carry tomorrow into a model's past: a split cut at
random, and an outcome window that reaches into the months a later split observes. Splits therefore follow each other
in time, and an *embargo* stands before validation and before out-of-time: the outcomes of everything before it are
over when the first observation after it is made, so no default is the label of rows on both sides of it. A history too
short for that gets a shorter embargo, which the page of the training set states. Early stopping adjoins train without
one: it only ends the boosting.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from credit_risk_platform.domain.splits import MONTH, Split, SplitError, smallest_suffix

EVERY_MONTHS = 3
"""Each loan is observed at every third month end, staggered over the loans so that every calendar month is seen."""
WINDOW_MONTHS = 12
"""A default in the twelve months after the observation is bad; an observation younger than that teaches nothing."""
MIN_MONTHS_ON_BOOK = 3
"""Before the third month there is no behaviour to learn from; the application model speaks for such a loan."""
DEFAULT_DPD = 90
MIN_DEFAULTED = {Split.TRAIN: 40, Split.EARLY_STOP: 10, Split.VALIDATION: 15, Split.OUT_OF_TIME: 30}
"""Loans that defaulted, each counted once however often it was observed: some two thousand synthetic loans.

Days past due say more than an application form, so fewer than `splits.MIN_BADS` do; the gates judge what comes of it.
"""
LEAST_TRAIN_SHARE = 1 / 4
"""The embargo is shortened, month by month, until train holds at least this share of all matured observations."""


@dataclass(frozen=True)
class ObservationPlan:
    """Months are observation months (datetime64[M]); what lies between an `until` and the next `from` is left out.

    `embargo` is in months: `WINDOW_MONTHS` when the history is long enough, less when it is not; 1 is none at all.
    """

    embargo: int
    early_stop_from: np.datetime64
    learn_until: np.datetime64
    validation_from: np.datetime64
    validation_until: np.datetime64
    out_of_time_from: np.datetime64

    def assign(self, month: np.ndarray) -> np.ndarray:
        """Split name of each observation, str (n,); empty for what the embargo leaves out."""
        m = month.astype(MONTH)
        return np.select(
            [
                m < self.early_stop_from,
                m <= self.learn_until,
                (m >= self.validation_from) & (m <= self.validation_until),
                m >= self.out_of_time_from,
            ],
            [str(split) for split in Split],
            default="",
        )


def plan_observations(
    months: np.ndarray,
    rows: np.ndarray,
    *,
    out_of_time: float = 0.25,
    validation: float = 0.15,
    early_stop: float = 0.10,
) -> ObservationPlan:
    """Plan from the calendar alone: distinct observation `months` with the number of `rows` of each.

    The longest embargo wins with which train keeps `LEAST_TRAIN_SHARE`; shares are as in `splits.plan_splits`.
    Raises `SplitError` when not even without one every split gets a month.
    """
    order = np.argsort(months)
    calendar, counts = months[order].astype(MONTH), np.asarray(rows, dtype=np.int64)[order]
    plan = None
    for embargo in range(WINDOW_MONTHS, 0, -1):
        plan = _plan(calendar, counts, embargo, (out_of_time, validation, early_stop))
        if plan is not None and counts[calendar < plan.early_stop_from].sum() >= LEAST_TRAIN_SHARE * counts.sum():
            return plan
    if plan is None:
        raise SplitError(f"{calendar.size} observation months cannot keep {', '.join(Split)} apart")
    return plan


def _plan(
    calendar: np.ndarray, counts: np.ndarray, embargo: int, shares: tuple[float, float, float]
) -> ObservationPlan | None:
    """With exactly this embargo; None where a split would be left without a month."""
    gap = np.timedelta64(embargo, "M")
    starts: list[np.datetime64] = []
    ends: list[np.datetime64] = []
    left, base = counts.size, counts.sum()
    for step, share in enumerate(shares):
        start = smallest_suffix(counts[:left], share * base) if left else 0
        if start < 1:
            return None
        starts.append(calendar[start])
        # Early stopping, the last to be cut, adjoins train.
        before = gap if step < 2 else np.timedelta64(1, "M")
        left = int(np.searchsorted(calendar, calendar[start] - before, side="right"))
        if left < 1:
            return None
        ends.append(calendar[left - 1])
        base = counts[:left].sum() if step == 0 else base
    return ObservationPlan(
        embargo=embargo,
        early_stop_from=starts[2],
        learn_until=ends[1],
        validation_from=starts[1],
        validation_until=ends[0],
        out_of_time_from=starts[0],
    )
