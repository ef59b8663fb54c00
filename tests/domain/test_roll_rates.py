"""Powers of a transition matrix: what a year of one-month moves foretells, and what it must not claim to know."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from credit_risk_platform.domain.roll_rates import (
    CHARGED_OFF,
    CLOSED,
    DEFAULT,
    OPEN,
    PERFORMING,
    REACHED,
    absorbing_matrix,
    counts_of,
    default_within,
    shares,
)

MOVES = [
    # nine in ten Current loans stay, one falls behind; half of those are cured; from 30 days on there is no way back
    ("Current", "Current", 90), ("Current", "1-29", 10), ("1-29", "Current", 5), ("1-29", "30-59", 5),
    ("30-59", "60-89", 4), ("60-89", "90-119", 1), ("60-89", CHARGED_OFF, 1), ("90-119", "Current", 3),
]  # fmt: skip
COUNTS = counts_of(*zip(*MOVES, strict=True))
any_counts = arrays.arrays(np.int64, (len(OPEN), len(REACHED)), elements=st.integers(0, 50))


def test_the_power_of_a_matrix_has_its_golden_values() -> None:
    # The shortest way to default is Current, 1-29, 30-59, 60-89, default: four months, 0.1 * 0.5 * 1 * 1 = 0.05. With
    # five months there is one to spare at the start (0.9 * 0.05). 60-89 defaults in the next month, 30-59 in two.
    assert default_within(COUNTS, 1) == pytest.approx([0, 0, 0, 1])
    assert default_within(COUNTS, 4) == pytest.approx([0.05, 0.5, 1, 1])
    assert default_within(COUNTS, 5) == pytest.approx([0.05 + 0.9 * 0.05, 0.5 + 0.5 * 0.05, 1, 1])


def test_a_default_that_is_cured_stays_a_default() -> None:
    matrix = absorbing_matrix(COUNTS)
    assert matrix[DEFAULT].tolist() == [0, 0, 0, 0, 1, 0], "three of 90-119 are Current again, and still count"
    assert matrix[DEFAULT + 1].tolist() == [0, 0, 0, 0, 0, 1]


def test_repaid_loans_leave_the_forecast() -> None:
    counts = counts_of(["Current", "Current"], [CLOSED, "90-119"], [3, 1])
    assert default_within(counts, 12)[0] == 0.25


def test_nothing_is_foretold_of_a_state_that_was_never_left() -> None:
    counts = counts_of(["Current", "Current", "1-29"], ["Current", "1-29", "30-59"], [9, 1, 1])
    assert np.isnan(default_within(counts, 12)).all(), "all ways lead to 30-59, and nobody knows what comes after"
    assert default_within(counts, 1)[0] == 0, "in one month no Current loan gets there"


def test_an_unknown_state_is_refused() -> None:
    with pytest.raises(ValueError, match="Paid"):
        counts_of(["Current"], ["Paid"], [1])


@settings(max_examples=60, deadline=None)
@given(counts=any_counts, months=st.integers(1, 36))
def test_rows_sum_to_one_and_default_never_becomes_less_likely(counts: np.ndarray, months: int) -> None:
    seen = counts.sum(axis=1) > 0
    assert shares(counts)[seen].sum(axis=1) == pytest.approx(np.ones(seen.sum()))
    power = np.linalg.matrix_power(absorbing_matrix(counts), months)
    assert power.sum(axis=1) == pytest.approx(np.ones(len(PERFORMING) + 2))
    sooner, later = default_within(counts, months), default_within(counts, months + 1)
    known = np.isfinite(later)
    assert np.isfinite(sooner)[known].all()
    assert ((sooner[known] <= later[known] + 1e-12) & (later[known] <= 1 + 1e-12)).all()
