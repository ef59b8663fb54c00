"""Splits follow the calendar: nobody is judged on a vintage that taught the model."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_risk_platform.domain.splits import MONTH, Split, SplitError, assign_splits, latest, plan_splits, time_folds

ORDER = [str(split) for split in Split]


def months_of(counts: list[int]) -> np.ndarray:
    """`counts[k]` loans issued in the k-th month from January 2010."""
    calendar = np.datetime64("2010-01", "M") + np.arange(len(counts)).astype("timedelta64[M]")
    return np.repeat(calendar, counts)


BOOKS = st.lists(st.integers(1, 40), min_size=2, max_size=40).map(months_of)


def test_ten_equal_months_by_hand():
    names = assign_splits(months_of([10] * 10))
    # Out of time: 3 months hold 30 % >= 25 %. Of the 70 before: validation 2 months (>= 10.5), early stop 1 (>= 7).
    assert Counter(names.tolist()) == {"train": 40, "early_stop": 10, "validation": 20, "out_of_time": 30}
    assert names[::10].tolist() == ["train"] * 4 + ["early_stop"] + ["validation"] * 2 + ["out_of_time"] * 3


@settings(deadline=None)
@given(BOOKS)
def test_splits_are_disjoint_in_time_and_complete_whatever_the_book(months):
    try:
        names = assign_splits(months)
    except SplitError:
        return
    assert set(names) == set(ORDER)
    ends = [(months[names == split].min(), months[names == split].max()) for split in ORDER]
    assert all(earlier[1] < later[0] for earlier, later in pairwise(ends))


@settings(deadline=None)
@given(BOOKS)
def test_out_of_time_is_the_smallest_suffix_with_a_quarter_of_the_loans(months):
    try:
        held = assign_splits(months) == "out_of_time"
    except SplitError:
        return
    first = months[held].min()
    assert held.mean() >= 0.25
    assert (months > first).mean() < 0.25


@settings(deadline=None)
@given(BOOKS, st.randoms())
def test_the_order_of_rows_has_no_say(months, random):
    shuffled = list(range(months.size))
    random.shuffle(shuffled)
    try:
        names = assign_splits(months)
    except SplitError:
        return
    assert assign_splits(months[shuffled]).tolist() == names[shuffled].tolist()


def test_planning_from_counts_gives_the_same_splits_as_planning_from_loans():
    months = months_of([5, 9, 2, 30, 14, 8, 8, 21, 3, 12])
    plan = plan_splits(*np.unique(months, return_counts=True))
    assert plan.assign(months).tolist() == assign_splits(months).tolist()


@pytest.mark.parametrize("counts", [[10], [10, 10, 10], [1000, 1, 1, 1]])
def test_a_book_too_short_to_split_says_so(counts):
    with pytest.raises(SplitError, match="cannot keep train, early_stop, validation, out_of_time apart"):
        assign_splits(months_of(counts))


def test_a_month_given_twice_is_refused():
    with pytest.raises(SplitError, match="come once"):
        plan_splits(np.array(["2010-01", "2010-01"], dtype=MONTH), np.array([1, 2]))


def test_lending_club_is_judged_on_the_10618_loans_from_august_2011(datasets: Path):
    counts: Counter[str] = Counter()
    with gzip.open(datasets / "lendingclub" / "LoanStats3a_rawstyle.csv.gz", "rt", encoding="utf-8") as lines:
        next(lines)
        for row in csv.DictReader(lines):
            status = row.get("loan_status") or ""
            if row.get("issue_d") and status and not status.startswith("Does not meet"):
                counts[datetime.strptime(row["issue_d"], "%b-%Y").strftime("%Y-%m")] += 1
    months = np.array(sorted(counts), dtype=MONTH)
    loans = np.array([counts[month] for month in sorted(counts)])
    plan = plan_splits(months, loans)
    assert plan.out_of_time_from == np.datetime64("2011-08", "M")
    assert loans[months >= plan.out_of_time_from].sum() == 10_618


@settings(deadline=None)
@given(st.lists(st.integers(1, 40), min_size=5, max_size=40).map(months_of), st.integers(1, 4))
def test_a_fold_never_trains_on_a_vintage_it_tests_or_a_later_one(months, folds):
    seen = list(time_folds(months, folds))
    assert len(seen) == folds
    for train, test in seen:
        assert train.size
        assert test.size
        assert months[train].max() < months[test].min()
    tested = np.concatenate([test for _, test in seen])
    assert np.unique(tested).size == tested.size
    assert months[tested].max() == months.max()
    sizes = [train.size for train, _ in seen]
    assert sizes == sorted(sizes)


def test_folds_of_equal_months_by_hand():
    seen = [(train.size, test.size) for train, test in time_folds(months_of([10] * 8), 3)]
    assert seen == [(20, 20), (40, 20), (60, 20)]


def test_more_folds_than_months_is_refused():
    with pytest.raises(SplitError, match="3 folds need 4 issue months, there are 3"):
        list(time_folds(months_of([5, 5, 5]), 3))


def test_the_latest_share_is_a_suffix_and_never_everything():
    months = months_of([10, 10, 10, 10])
    assert latest(months, 0.15).sum() == 10
    assert latest(months, 0.26).sum() == 20
    with pytest.raises(SplitError, match="cannot be cut in two"):
        latest(months_of([10]), 0.1)
