"""Expected loss: by stage and band, from one day to the next, and under each scenario."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa

from credit_risk_platform.dashboard.charts.columns import (
    BAD,
    BAND_ORDER,
    GOOD,
    finish,
    money,
    numbers,
    present,
    values,
    where,
)
from credit_risk_platform.dashboard.theme import COLOURS, INK, MUTED

TOTALS = ("opening", "closing")
SCENARIO_ORDER = ("baseline", "adverse", "severely_adverse")
CUT_BELOW = 0.25
"""Moves that all stay below this share of the opening cannot be read on an axis that starts at zero."""


def ecl_by_stage(rows: pa.Table, measure: str = "ecl") -> go.Figure:
    """Stacked bars: expected loss of each stage, by risk band."""
    stages = present(rows, "stage")
    figure = go.Figure()
    for band in present(rows, "risk_band", BAND_ORDER):
        mine = where(rows, "risk_band", band)
        sums = dict(zip(values(mine, "stage"), numbers(mine, measure), strict=True))
        figure.add_bar(
            x=[f"Stage {stage}" for stage in stages],
            y=[sums.get(stage) for stage in stages],
            name=band,
            marker_color=COLOURS.get(band),
            hovertemplate="<b>%{x}</b>, %{fullData.name}: %{y:,.2f}<extra></extra>",
        )
    figure.update_layout(barmode="stack", yaxis={"tickformat": "~s", "rangemode": "tozero"})
    return finish(figure)


def waterfall_gap(rows: pa.Table) -> float:
    """Closing less opening and bars: beyond a cent, the chart does not tell the whole change."""
    steps, amounts = values(rows, "step"), numbers(rows, "amount")
    closing = float(sum(amount for step, amount in zip(steps, amounts, strict=True) if step == "closing"))
    return closing - float(sum(amount for step, amount in zip(steps, amounts, strict=True) if step != "closing"))


def waterfall(rows: pa.Table) -> go.Figure:
    """From the opening to the closing expected loss: step_no, step, amount. Red adds to the loss, green takes off."""
    ordered = rows.sort_by("step_no")
    steps, amounts = values(ordered, "step"), numbers(ordered, "amount")
    labels = [step.replace("_", " ") for step in steps]
    figure = go.Figure(
        go.Waterfall(
            x=labels,
            y=amounts,
            measure=[
                "absolute" if step == "opening" else "total" if step == "closing" else "relative" for step in steps
            ],
            text=[
                money(amount) if step in TOTALS else _signed(amount)
                for step, amount in zip(steps, amounts, strict=True)
            ],
            textposition="outside",
            cliponaxis=False,
            increasing_marker_color=BAD,
            decreasing_marker_color=GOOD,
            totals_marker_color=INK,
            connector_line={"color": "#b8c2cb", "width": 1},
            hovertemplate="<b>%{x}</b>: %{y:,.2f}<extra></extra>",
        )
    )
    low, high = _reach(steps, amounts)
    figure.update_layout(xaxis={"type": "category"}, yaxis={"tickformat": "~s", "range": [low, high]})
    if low > 0:
        figure.add_annotation(
            text="the axis does not start at 0",
            xref="paper",
            yref="paper",
            x=0.01,
            y=1,
            yanchor="top",
            showarrow=False,
            font_size=11,
            font_color=MUTED,
        )
    return finish(figure, height=360, legend=False)


def _signed(amount: float) -> str:
    return f"{'+' if amount > 0 else '-' if amount < 0 else ''}{money(abs(amount))}"


def _reach(steps: list[str], amounts: np.ndarray) -> tuple[float, float]:
    """Ends of the axis. It starts at zero unless every step would then be too thin to see."""
    levels = np.cumsum([amount for step, amount in zip(steps, amounts, strict=True) if step != "closing"])
    if not len(levels):
        return 0.0, 1.0
    low, high = float(levels.min()), float(levels.max())
    span = high - low
    if high <= 0 or span == 0 or span > CUT_BELOW * high:
        return 0.0, (high or 1.0) * 1.12
    return max(low - 0.6 * span, 0.0), high + 0.25 * span


def scenarios(rows: pa.Table) -> go.Figure:
    """Expected loss under each scenario, stacked by stage; scenario, stage, ecl, unemployment_peak."""
    names = present(rows, "scenario", SCENARIO_ORDER)
    peaks = dict(zip(values(rows, "scenario"), numbers(rows, "unemployment_peak"), strict=True))
    totals = {name: float(np.nansum(numbers(where(rows, "scenario", name), "ecl"))) for name in names}
    labels = {name: _scenario_label(name, peaks[name]) for name in names}
    figure = go.Figure()
    for stage in present(rows, "stage"):
        mine = where(rows, "stage", stage)
        sums = dict(zip(values(mine, "scenario"), numbers(mine, "ecl"), strict=True))
        figure.add_bar(
            y=[labels[name] for name in names],
            x=[sums.get(name) for name in names],
            name=f"Stage {stage}",
            orientation="h",
            marker_color=COLOURS.get(f"Stage {stage}"),
            hovertemplate="<b>%{y}</b>, %{fullData.name}: %{x:,.2f}<extra></extra>",
        )
    for name in names:
        figure.add_annotation(
            x=totals[name], y=labels[name], text=f" {money(totals[name])}", showarrow=False, xanchor="left"
        )
    figure.update_layout(
        barmode="stack",
        xaxis={"tickformat": "~s", "range": [0, max(totals.values(), default=1.0) * 1.3 or 1.0]},
        yaxis={"autorange": "reversed"},
    )
    return finish(figure)


def _scenario_label(name: str, peak: float) -> str:
    words = name.replace("_", " ").capitalize()
    return (
        words if np.isnan(peak) else f"{words}<br><span style='font-size:11px'>unemployment up to {peak:.1f} %</span>"
    )
