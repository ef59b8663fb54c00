"""Splits of observations: in the order of time, and no default the label of rows on both sides of an embargo."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from credit_risk_platform.domain.observation import LEAST_TRAIN_SHARE, WINDOW_MONTHS, ObservationPlan, plan_observations
from credit_risk_platform.domain.splits import Split, SplitError


def calendar(months: int) -> np.ndarray:
    return np.datetime64("2015-01", "M") + np.arange(months)


def gaps(plan: ObservationPlan) -> tuple[int, int]:
    return (
        int((plan.validation_from - plan.learn_until).astype(int)),
        int((plan.out_of_time_from - plan.validation_until).astype(int)),
    )


def test_a_long_history_keeps_a_whole_window_between_what_teaches_what_calibrates_and_what_judges():
    plan = plan_observations(calendar(120), np.full(120, 10))
    assert plan.embargo == WINDOW_MONTHS
    assert gaps(plan) == (12, 12)
    # Of 120 equal months the last 30 judge; of the 79 before the embargo the last 12 (15 %) calibrate.
    assert str(plan.out_of_time_from) == "2022-07"
    assert str(plan.validation_until) == "2021-07"
    assert str(plan.validation_from) == "2020-08"
    assert str(plan.learn_until) == "2019-08"


def test_a_default_is_never_the_label_on_both_sides_of_the_embargo():
    plan = plan_observations(calendar(120), np.full(120, 10))
    months = calendar(120)
    names = plan.assign(months)
    for earlier, later in ((Split.TRAIN, Split.VALIDATION), (Split.VALIDATION, Split.OUT_OF_TIME)):
        last_outcome = months[names == earlier].max() + WINDOW_MONTHS
        assert last_outcome <= months[names == later].min()


def test_a_short_history_gets_a_shorter_embargo_rather_than_no_model():
    plan = plan_observations(calendar(36), np.full(36, 10))
    assert 0 < plan.embargo < WINDOW_MONTHS
    kept = plan.assign(calendar(36))
    assert (kept == Split.TRAIN).mean() >= LEAST_TRAIN_SHARE


@pytest.mark.parametrize("months", [0, 1, 3])
def test_too_few_months_say_so(months):
    with pytest.raises(SplitError, match=f"{months} observation months cannot keep train"):
        plan_observations(calendar(months), np.full(months, 10))


@given(st.lists(st.integers(100, 300), min_size=12, max_size=150))
def test_every_split_has_months_and_lies_after_the_one_before(counts):
    months = calendar(len(counts))
    plan = plan_observations(months, np.array(counts))
    names = plan.assign(months)
    bounds = [(months[names == split].min(), months[names == split].max()) for split in Split]
    assert all(ends < starts for (_, ends), (starts, _) in pairwise(bounds))
    assert min(gaps(plan)) >= plan.embargo >= 1
    assert plan.embargo <= WINDOW_MONTHS
