"""The cut-off that earns most: worked out by hand on five loans, found again where PDs are true."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from credit_risk_platform.domain.economics import (
    Economics,
    EconomicsError,
    Judged,
    assess,
    at_cutoff,
    best_cutoff,
    cutoff_curve,
)

HAND = Economics(margin=0.10, lgd=0.50)
FIVE = Judged(
    pd=np.array([0.40, 0.01, 0.10, 0.05, 0.20]),
    is_bad=np.array([True, False, True, False, False]),
    amount=np.full(5, 100.0),
)
"""Safest first: good, good, bad, good, bad. Profit of approving 1, 2, .. of them: 10, 20, -30, -20, -70."""


def test_a_loan_breaks_even_at_margin_over_margin_plus_lgd():
    assert HAND.break_even == pytest.approx(1 / 6)
    assert Economics(0.12, 0.65).break_even == pytest.approx(0.12 / 0.77)


def test_five_loans_worked_out_by_hand():
    curve = cutoff_curve(FIVE, HAND, np.array([0.01, 0.05, 0.06, 0.155, 0.25, 0.60]))
    assert curve["approved"].to_pylist() == [0, 1, 2, 3, 4, 5]
    assert curve["profit"].to_pylist() == pytest.approx([0, 10, 20, -30, -20, -70])
    assert curve["bad_rate"].to_pylist() == [None, 0, 0, pytest.approx(1 / 3), 0.25, 0.4]
    assert curve["marginal_profit"].to_pylist() == [None, 0.1, 0.1, -0.5, 0.1, -0.5]
    assert curve["profit_per_loan"].to_pylist() == pytest.approx([0, 0.02, 0.04, -0.06, -0.04, -0.14])
    # A tenth less LGD: 45 lost on a bad loan instead of 50.
    assert curve["profit_low_lgd"].to_pylist() == pytest.approx([0, 10, 20, -25, -15, -60])
    assert curve["profit_high_lgd"].to_pylist() == pytest.approx([0, 10, 20, -35, -25, -80])


def test_the_best_cutoff_stands_at_the_first_loan_not_worth_it_and_says_what_is_forgone():
    finding = assess(FIVE, HAND, approve_below=0.155)
    assert (finding.best.cutoff, finding.best.loans, finding.best.profit) == (0.10, 2, pytest.approx(20))
    assert (finding.in_force.approval_rate, finding.in_force.profit) == (0.6, pytest.approx(-30))
    assert finding.forgone == pytest.approx(50)
    assert finding.flat == (pytest.approx(0.055), 0.10)


def test_large_loans_weigh_more_than_small_ones():
    """The one good loan beyond the bad one lends 1,000: it earns 100 and pays for the bad one's 50."""
    amounts = Judged(FIVE.pd, FIVE.is_bad, np.array([100, 100, 100, 100, 1000.0]))
    assert best_cutoff(amounts, HAND).profit == pytest.approx(10 + 10 - 50 + 100)
    finding = assess(amounts, HAND, 0.155)
    assert (finding.best.cutoff, finding.best_by_count.cutoff) == (0.40, 0.10)


def test_where_pds_are_true_the_optimum_is_the_break_even_pd():
    rng = np.random.default_rng(1)
    pd = rng.uniform(0, 0.5, 400_000)
    loans = Judged(pd, rng.random(pd.size) < pd, np.ones(pd.size))
    finding = assess(loans, Economics(0.12, 0.65), 0.155)
    assert finding.best.cutoff == pytest.approx(finding.break_even, abs=0.02)
    assert finding.best_with_high_lgd < finding.break_even < finding.best_with_low_lgd
    assert finding.flat[0] <= finding.break_even <= finding.flat[1]
    marginal = cutoff_curve(loans, Economics(0.12, 0.65), np.array([0.10, 0.15, 0.16, 0.20]))["marginal_profit"]
    assert marginal.to_numpy()[1] > 0 > marginal.to_numpy()[3]


@given(
    st.lists(st.tuples(st.floats(0.001, 0.999), st.booleans(), st.floats(1, 1e6)), min_size=1, max_size=40),
    st.floats(0, 1),
)
def test_no_cutoff_beats_the_best_and_nobody_need_lend_at_a_loss(rows, cutoff):
    loans = Judged(*(np.array(column) for column in zip(*rows, strict=True)))
    best = best_cutoff(loans, HAND)
    assert best.profit >= at_cutoff(loans, HAND, cutoff).profit
    assert best.profit >= 0
    assert best.profit == pytest.approx(at_cutoff(loans, HAND, best.cutoff).profit)


def test_impossible_assumptions_are_refused():
    with pytest.raises(EconomicsError, match="must be shares"):
        Economics(margin=12, lgd=0.65)
    with pytest.raises(EconomicsError, match="no loans"):
        Judged(np.empty(0), np.empty(0), np.empty(0))
    with pytest.raises(EconomicsError, match="amount above 0"):
        Judged(np.array([0.1]), np.array([False]), np.array([np.nan]))
