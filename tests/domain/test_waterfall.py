"""The bars sum to the change of the allowance, and each cause shows in its own bar only."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_risk_platform.domain.provisioning.waterfall import (
    BARS,
    CLOSING,
    LEFT,
    LGD,
    MOVES,
    NEW,
    OPENING,
    PD,
    REMEASURED,
    RESTATED,
    SCENARIO,
    STEPS,
    Measured,
    movements,
    steps,
)

NONE = float("nan")
# stays, stays and worsens, left, new, only ever booked (a loan that the source took back)
QUIET = Measured(
    booked=np.array([10.0, 20.0, 30.0, NONE, NONE]),
    then=np.array([10.0, 20.0, 30.0, NONE, NONE]),
    stage_then=np.array([1, 1, 2, 0, 0]),
    now=np.array([9.0, 80.0, NONE, 5.0, NONE]),
    stage_now=np.array([1, 2, 0, 1, 0]),
    pd=np.array([9.0, 80.0, NONE, 5.0, NONE]),
    lgd=np.array([9.0, 80.0, NONE, 5.0, NONE]),
    closing=np.array([9.0, 80.0, NONE, 5.0, NONE]),
)


def told(of: Measured) -> dict[str, float]:
    return steps(of, movements(of))


def test_a_month_in_which_only_loans_moved() -> None:
    assert told(QUIET) == {
        OPENING: 60.0, NEW: 5.0, LEFT: -30.0, MOVES: 60.0, REMEASURED: -1.0, PD: 0.0, LGD: 0.0, SCENARIO: 0.0,
        RESTATED: 0.0, CLOSING: 94.0,
    }  # fmt: skip
    assert tuple(told(QUIET)) == STEPS


def test_new_models_and_scenarios_have_a_bar_each() -> None:
    found = told(replace(QUIET, pd=QUIET.pd * 2, lgd=QUIET.lgd * 3, closing=QUIET.closing * 3.5))
    assert (found[PD], found[LGD], found[SCENARIO]) == (94.0, 94.0, 47.0)
    assert (found[MOVES], found[NEW], found[CLOSING]) == (60.0, 5.0, 329.0)


def test_what_a_source_restated_shows_in_its_bar_only() -> None:
    """Booked 60: since then the source says that loan 1 was worth 14 then, and that a fifth loan of 7 never was."""
    booked = np.array([6.0, 20.0, 30.0, NONE, 7.0])
    found, quiet = told(replace(QUIET, booked=booked)), told(QUIET)
    assert found[RESTATED] == 4.0 - 7.0
    assert {bar: found[bar] for bar in BARS if bar != RESTATED} == {bar: quiet[bar] for bar in BARS if bar != RESTATED}
    assert found[CLOSING] == quiet[CLOSING]


money = st.one_of(st.just(NONE), st.floats(0, 1e7).map(lambda value: round(value, 2)))
amount = st.floats(0, 1e7).map(lambda value: round(value, 2))
loan = st.tuples(money, money, st.booleans(), *[amount] * 4, st.integers(1, 3), st.integers(1, 3))


@settings(max_examples=60, deadline=None)
@given(st.lists(loan, min_size=1, max_size=30))
def test_the_bars_always_sum_to_the_change(rows: list[tuple]) -> None:
    columns = [np.array(column, dtype=float) for column in zip(*rows, strict=True)]
    booked, then, stayed, now, pd, lgd, closing, stage_then, stage_now = columns
    on = [np.where(stayed == 1, one, NONE) for one in (now, pd, lgd, closing)]
    of = Measured(booked, then, stage_then.astype(int), on[0], stage_now.astype(int), *on[1:])
    found = told(of)
    assert found[OPENING] + sum(found[bar] for bar in BARS) == pytest.approx(found[CLOSING], abs=0.01)
