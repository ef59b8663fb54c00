"""Figures say what their rows say: sums, gaps and the end of what is known."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa
import pytest

from credit_risk_platform.dashboard.charts import curves, decisions, delinquency, losses, quality, segments
from credit_risk_platform.dashboard.charts.columns import money


def table(**columns: list[Any]) -> pa.Table:
    return pa.table(columns)


def trace(figure: go.Figure, name: str) -> Any:
    return next(one for one in figure.data if one.name == name)


def test_a_vintage_line_ends_where_not_every_loan_has_got_to() -> None:
    rows = table(
        cohort=[date(2024, 1, 1)] * 3 + [date(2024, 4, 1)] * 2,
        months_on_book=[0, 1, 2, 0, 1],
        matured=[True, True, False, False, False],
        loans=[100] * 5,
        defaulted_loans=[0, 2, 3, 0, 1],
        default_rate=[0.0, 0.02, 0.03, None, None],  # a rate where nothing is known yet must not be drawn either
    )
    figure = curves.vintage_curves(rows)
    assert list(trace(figure, "2024 Q1").x) == [0, 1]
    assert list(trace(figure, "2024 Q1").y) == [0.0, 0.02]
    assert not [one for one in figure.data if one.name == "2024 Q2"]
    assert curves.unseasoned_cohorts(rows) == ["2024 Q2"]


def test_every_row_of_the_roll_rates_sums_to_one_and_an_empty_one_to_nothing() -> None:
    # 60 of 100 current loans stay, 30 go late, 10 are repaid; of one loan 30-59 days late nothing else is known
    rows = table(
        from_state=["Current", "Current", "Current", "30-59"],
        to_state=["Current", "1-29", "Prepaid/Closed", "60-89"],
        loans=[60, 30, 10, 1],
        balance=[100.0, 50.0, 50.0, 5.0],
    )
    shares = curves.transition_shares(rows)
    assert shares.sum(axis=1) == pytest.approx([1, np.nan, 1, np.nan, np.nan, np.nan], nan_ok=True)
    assert shares[0, [0, 1, -1]] == pytest.approx([0.6, 0.3, 0.1])
    assert curves.transition_shares(rows, "balance")[0, 0] == pytest.approx(0.5)
    heat = curves.roll_rates(rows).data[0]
    assert [text for line in heat.text for text in line if text] == ["60.0%", "30.0%", "10.0%", "100.0%"]


def test_the_bars_of_the_waterfall_sum_to_the_change_and_a_lost_cent_is_told() -> None:
    rows = table(
        step_no=[1, 2, 3, 4],
        step=["opening", "new business", "stage moves", "closing"],
        amount=[100.0, 30.0, -5.0, 125.0],
    )
    bars = losses.waterfall(rows).data[0]
    assert losses.waterfall_gap(rows) == 0
    assert list(bars.measure) == ["absolute", "relative", "relative", "total"]
    assert sum(y for y, kind in zip(bars.y, bars.measure, strict=True) if kind != "total") == bars.y[-1]
    assert list(bars.text) == ["100", "+30", "-5", "125"]
    short = rows.set_column(2, "amount", pa.array([100.0, 30.0, -5.0, 125.02]))
    assert losses.waterfall_gap(short) == pytest.approx(0.02)


def test_small_moves_can_be_read_and_the_cut_axis_says_so() -> None:
    moves = table(step_no=[1, 2, 3], step=["opening", "scenario", "closing"], amount=[1000.0, 10.0, 1010.0])
    figure = losses.waterfall(moves)
    assert figure.layout.yaxis.range[0] > 900
    assert figure.layout.annotations[0].text == "the axis does not start at 0"


def test_a_day_without_decisions_is_a_gap_and_no_zero() -> None:
    rows = table(day=[date(2026, 6, 1), date(2026, 6, 3)], outcome=["approve", "approve"], decisions=[5, 7])
    bars = trace(decisions.outcomes_by_day(rows), "approve")
    assert list(bars.x) == [date(2026, 6, 1), date(2026, 6, 2), date(2026, 6, 3)]
    assert list(bars.y) == [5.0, None, 7.0]


def test_a_month_that_is_missing_or_not_all_known_is_no_default_rate() -> None:
    rows = table(
        month_end=[date(2026, 1, 31), date(2026, 3, 31), date(2026, 4, 30)],
        new_defaults=[3, 4, 1],
        default_rate_12m=[0.04, 0.05, 0.01],
        complete=[True, True, False],
    )
    figure = delinquency.default_trend(rows, 0.08)
    assert list(trace(figure, "default rate, 12 months").y) == [0.04, None, 0.05, None]
    assert list(trace(figure, "new defaults").marker.pattern.shape) == ["", "", "", "/"]
    assert list(trace(figure, "target 8.0%").y) == [0.08, 0.08]


def test_estimates_do_not_look_like_measurements() -> None:
    matured = table(
        issue_month=[date(2023, 1, 1), date(2023, 2, 1)], exposure=["in sample", "held out"],
        loans=[200, 200], bads=[20, 10],
        auc=[0.72, 0.7], observed_bad_rate=[0.1, 0.05], expected_bad_rate=[0.09, 0.08],
    )  # fmt: skip
    estimated = table(
        issue_month=[date(2023, 2, 1), date(2023, 3, 1)], matured=[True, False], loans=[200, 100],
        estimated_auc=[0.6, 0.71],
        auc_error=[0.02, 0.03], estimated_bad_rate=[0.08, 0.09],
    )  # fmt: skip
    figure = quality.over_vintages(matured, estimated, "auc")
    guess = trace(figure, "estimated, not matured")
    assert list(guess.x) == [date(2023, 3, 1)]  # February is measured: its estimate would only confuse
    assert guess.marker.symbol == "circle-open"
    assert guess.line.dash == "dot"
    assert list(trace(figure, "measured, held out").x) == [date(2023, 2, 1)]


def test_the_interval_of_the_calibration_is_wilsons() -> None:
    # 10 of 100: Wilson (1927) gives 5.52 % to 17.44 %
    low, high = quality.wilson(np.array([10.0]), np.array([100.0]))
    assert (low[0], high[0]) == (pytest.approx(0.0552, abs=5e-5), pytest.approx(0.1744, abs=5e-5))


def test_a_suppressed_group_has_no_dot() -> None:
    rows = table(label=["62 and over", "other"], air=[0.7, None], air_low=[0.6, None], air_high=[0.8, None])
    assert list(segments.impact_ratios(rows).data[0].y) == ["62 and over"]


def test_bins_and_bands_show_every_loan() -> None:
    bins = table(bin_lower=[0.0, 0.01], bin_upper=[0.01, 0.02], loans=[30, 70])
    assert sum(decisions.distribution(bins, "pd").data[0].y) == 100
    bands = table(risk_band=["High", "Very Low"], loans=[25, 75])
    drawn = decisions.bands(bands).data[0]
    assert (list(drawn.x), list(drawn.text)) == (["Very Low", "High"], ["75.0%", "25.0%"])


def test_money_is_short_in_a_label() -> None:
    assert [money(amount) for amount in (950, 12_340, 1_234_567)] == ["950", "12.3k", "1.23M"]
