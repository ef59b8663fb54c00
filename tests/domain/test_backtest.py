"""Backtests by hand: a light that turns at the wrong count costs capital, or sends people after nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_risk_platform.domain.backtest import (
    BandVerdict,
    Graded,
    Light,
    binomial_test,
    grade,
    hosmer_lemeshow,
    in_total,
)


def test_three_bad_of_ten_at_ten_percent_as_the_binomial_is_written_out() -> None:
    """P(X >= 3) = 1 - 0.9^10 - 10 * 0.1 * 0.9^9 - 45 * 0.01 * 0.9^8."""
    found = binomial_test(Graded("A", 10, 0.1, 3))
    assert found.p_too_low == pytest.approx(1 - 0.3486784401 - 0.3874204890 - 0.1937102445)
    assert found.p_too_high == pytest.approx(0.3486784401 + 0.3874204890 + 0.1937102445 + 120 * 0.001 * 0.4782969)
    assert found.light is Light.PASS


@pytest.mark.parametrize(
    ("bads", "light"),
    [(56, Light.AMBER), (57, Light.PASS), (84, Light.PASS), (85, Light.AMBER), (96, Light.AMBER), (97, Light.FAIL)],
    ids=["too cautious", "low by chance", "high by chance", "high", "very high", "red"],
)
def test_lights_of_a_thousand_loans_at_seven_percent(bads: int, light: Light) -> None:
    """Mean 70, deviation 8.07: 1.645 of them are 13 loans, 3.09 are 25; the binomial is skewed to the right by two."""
    assert binomial_test(Graded("A", 1_000, 0.07, bads)).light is light


def test_pds_that_were_too_high_are_never_red() -> None:
    assert binomial_test(Graded("A", 10_000, 0.5, 0)).light is Light.AMBER


def test_lights_change_at_five_percent_and_at_one_in_a_thousand() -> None:
    lights = [BandVerdict(p, 1.0).light for p in (0.05, 0.0499, 0.001, 0.00099)]
    assert lights == [Light.PASS, Light.AMBER, Light.AMBER, Light.FAIL]
    assert [BandVerdict(1.0, p).light for p in (0.05, 0.0499, 0.0)] == [Light.PASS, Light.AMBER, Light.AMBER]


def test_bands_are_counted_in_order_and_empty_ones_left_out() -> None:
    pd, bad = np.array([0.30, 0.01, 0.03, 0.10]), np.array([1.0, 0, 1, 0])
    found = grade(("low", "middle", "high"), np.array([2, 0, 0, 2]), pd, bad)
    assert [(band.grade, band.loans, band.bads) for band in found] == [("low", 2, 1), ("high", 2, 1)]
    assert [band.pd for band in found] == pytest.approx([0.02, 0.20])
    total = in_total(found)
    assert (total.loans, total.bads, total.expected) == (4, 2, pytest.approx(0.44))


def test_hosmer_lemeshow_by_hand() -> None:
    """(15 - 10)^2 / (100 * 0.1 * 0.9) + (28 - 20)^2 / (100 * 0.2 * 0.8) = 25 / 9 + 64 / 16; p = exp(-x / 2)."""
    found = hosmer_lemeshow([Graded("A", 100, 0.1, 15), Graded("B", 100, 0.2, 28)])
    assert found is not None
    assert (found.statistic, found.groups) == (pytest.approx(25 / 9 + 4), 2)
    assert found.p_value == pytest.approx(np.exp(-(25 / 9 + 4) / 2))


def test_bands_too_thin_for_chi_squared_are_joined_with_their_neighbour() -> None:
    thin, wide, last = Graded("A", 100, 0.01, 0), Graded("B", 100, 0.09, 12), Graded("C", 2, 0.5, 1)
    found = hosmer_lemeshow([thin, wide, last])
    joined = in_total([thin, wide, last])
    assert found is not None
    assert found.groups == 1
    assert found.statistic == pytest.approx((13 - 11) ** 2 / (11 * (1 - joined.pd)))
    assert hosmer_lemeshow([thin]) is None


@settings(max_examples=50, deadline=None)
@given(loans=st.integers(1, 400), pd=st.floats(0.001, 0.999), bads=st.integers(0, 400))
def test_more_bad_loans_never_turn_a_light_greener(loans: int, pd: float, bads: int) -> None:
    bads = min(bads, loans)
    fewer, more = (binomial_test(Graded("A", loans, pd, n)) for n in (max(bads - 1, 0), bads))
    assert more.p_too_low <= fewer.p_too_low
    assert fewer.p_too_high <= more.p_too_high
