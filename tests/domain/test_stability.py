"""Gini stability: a model that decays must not hide behind a good mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from credit_risk_platform.domain.stability import WEEKS_PER_MONTH, StabilityError, gini_stability

MONTHS = np.arange("2015-01", "2017-01", dtype="datetime64[M]")


def test_a_declining_series_scores_below_a_flat_one_with_the_same_mean() -> None:
    falling = np.linspace(0.6, 0.4, MONTHS.size)
    declining, flat = gini_stability(MONTHS, falling), gini_stability(MONTHS, np.full(MONTHS.size, 0.5))
    assert declining.mean == pytest.approx(flat.mean)
    assert declining.score < flat.score == pytest.approx(0.5)


def test_the_published_formula_by_hand() -> None:
    """Gini 0.5, 0.5, 0.2 in three months: slope -0.15 a month, residuals -0.05, 0.1, -0.05, spread sqrt(0.005)."""
    found = gini_stability(MONTHS[:3], np.array([0.5, 0.5, 0.2]))
    assert found.mean == pytest.approx(0.4)
    assert found.slope == pytest.approx(-0.15 / WEEKS_PER_MONTH)
    assert found.spread == pytest.approx(np.sqrt(0.005))
    assert found.score == pytest.approx(0.4 - 88 * 0.15 / WEEKS_PER_MONTH - 0.5 * np.sqrt(0.005))


def test_rising_is_not_rewarded() -> None:
    assert gini_stability(MONTHS, np.linspace(0.4, 0.6, MONTHS.size)).score == pytest.approx(0.5)


def test_a_gap_in_the_calendar_counts_as_the_time_it_is() -> None:
    with_gap = gini_stability(MONTHS[[0, 6, 12]], np.array([0.6, 0.5, 0.4]))
    assert with_gap.slope == pytest.approx(-0.1 / (6 * WEEKS_PER_MONTH))


@pytest.mark.parametrize(
    ("months", "gini", "told"),
    [
        (MONTHS[:2], [0.5, 0.4], "3 different vintages are needed, there are 2"),
        (MONTHS[[0, 1, 1]], [0.5, 0.4, 0.3], "3 different vintages are needed, there are 2"),
        (MONTHS[:3], [0.5, np.nan, 0.3], "leave it out"),
    ],
)
def test_what_cannot_be_told_is_not_told(months: np.ndarray, gini: list[float], told: str) -> None:
    with pytest.raises(StabilityError, match=told):
        gini_stability(months, np.array(gini))


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=24))
def test_the_score_never_exceeds_the_mean(gini: list[float]) -> None:
    found = gini_stability(MONTHS[: len(gini)], np.array(gini))
    assert found.score <= found.mean + 1e-12
