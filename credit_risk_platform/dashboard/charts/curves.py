"""Cohorts and states: vintage curves, the transition matrix, and how well that matrix foretold."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.compute as pc

from credit_risk_platform.dashboard.charts.columns import (
    OLD_TO_NEW,
    PLAIN,
    finish,
    numbers,
    present,
    quarter,
    scale,
    values,
    where,
)
from credit_risk_platform.dashboard.theme import MUTED

FROM_STATES = ("Current", "1-29", "30-59", "60-89", "90-119", "120+")
TO_STATES = (*FROM_STATES, "Charged Off", "Prepaid/Closed")


def vintage_curves(rows: pa.Table, rate: str = "default_rate") -> go.Figure:
    """Cumulative default rate by months on book, one line per cohort; pale is old, dark is new.

    `rows` has cohort date, months_on_book, matured, loans and the rate. A cell that not every loan of its cohort has
    reached is not drawn: a line ends where knowledge ends.
    """
    known = seasoned(rows, rate)
    cohorts = present(known, "cohort")
    figure = go.Figure()
    for cohort, colour in zip(cohorts, scale(len(cohorts)), strict=True):
        line = where(known, "cohort", cohort).sort_by("months_on_book")
        figure.add_scatter(
            x=numbers(line, "months_on_book"),
            y=numbers(line, rate),
            name=quarter(cohort),
            mode="lines",
            line={"color": colour, "width": 1.7},
            customdata=np.stack([numbers(line, "defaulted_loans"), numbers(line, "loans")], axis=1),
            hovertemplate=(
                "<b>%{fullData.name}</b>, month %{x:.0f}<br>%{y:.2%} defaulted: "
                "%{customdata[0]:,.0f} of %{customdata[1]:,.0f} loans<extra></extra>"
            ),
            showlegend=False,
        )
    if cohorts:
        figure.add_trace(_years(cohorts[0].year, cohorts[-1].year))
    figure.update_layout(xaxis_title="Months on book", yaxis={"tickformat": ".0%", "rangemode": "tozero"})
    return finish(figure, height=380, legend=False)


def seasoned(rows: pa.Table, rate: str = "default_rate") -> pa.Table:
    """The cells that every loan of the cohort has reached, and that have a rate."""
    return rows.filter(pc.and_(pc.fill_null(rows["matured"], False), pc.is_valid(rows[rate])))


def unseasoned_cohorts(rows: pa.Table, rate: str = "default_rate") -> list[str]:
    """Cohorts that have not one seasoned month: named under the chart, as they cannot be seen in it."""
    drawn = set(present(seasoned(rows, rate), "cohort"))
    return [quarter(cohort) for cohort in present(rows, "cohort") if cohort not in drawn]


def _years(first: int, last: int) -> go.Scatter:
    """An invisible point that carries the colour bar: a legend of forty quarters would hide the chart."""
    bar = {
        "title": {"text": "issued", "side": "right"}, "thickness": 10, "len": 0.8, "outlinewidth": 0,
        "tickformat": "d", "nticks": min(last - first + 1, 6),
    }  # fmt: skip
    stops = [[place, colour] for place, colour in zip((0.0, 0.5, 1.0), OLD_TO_NEW, strict=True)]
    marker = {"color": [first], "cmin": first, "cmax": max(last, first + 1), "colorscale": stops, "colorbar": bar}
    return go.Scatter(x=[None], y=[None], mode="markers", marker=marker, showlegend=False, hoverinfo="skip")


def transition_shares(rows: pa.Table, measure: str = "loans") -> np.ndarray:
    """(from, to) shares of `measure` in the order of the states; each row sums to 1, or is NaN where nobody stood."""
    sums = np.zeros((len(FROM_STATES), len(TO_STATES)))
    for start, end, amount in zip(
        values(rows, "from_state"), values(rows, "to_state"), numbers(rows, measure), strict=True
    ):
        if start in FROM_STATES:
            sums[FROM_STATES.index(start), TO_STATES.index(end)] += amount
    totals = sums.sum(axis=1, keepdims=True)
    return np.divide(sums, totals, out=np.full_like(sums, np.nan), where=totals > 0)


def roll_rates(rows: pa.Table, measure: str = "loans") -> go.Figure:
    """Where loans stood a month later, by where they stood: from_state, to_state and the measure, summed here."""
    shares = transition_shares(rows, measure)
    labels = [["" if np.isnan(share) or share == 0 else f"{share:.1%}" for share in line] for line in shares]
    figure = go.Figure(
        go.Heatmap(
            z=np.sqrt(shares),  # a cure of 2 % and one of 8 % must look different beside a diagonal of 95 %
            x=[state.replace(" ", "<br>").replace("/", "/<br>") for state in TO_STATES],
            y=list(FROM_STATES),
            text=labels,
            texttemplate="%{text}",
            customdata=shares,
            hovertemplate="from <b>%{y}</b> to <b>%{x}</b>: %{customdata:.2%}<extra></extra>",
            colorscale=[[0, "#f8fafc"], [0.4, "#bfd4f5"], [1, "#5b8def"]],
            zmin=0,
            zmax=1,
            showscale=False,
            xgap=2,
            ygap=2,
        )
    )
    figure.update_layout(
        xaxis={"title": "a month later", "side": "top", "showgrid": False, "type": "category"},
        yaxis={"autorange": "reversed", "showgrid": False, "type": "category"},
    )
    return finish(figure, height=360, legend=False)


def roll_forecast(rows: pa.Table) -> go.Figure:
    """Share of loans in default twelve months on: what the matrix of then foretold beside what came, by state."""
    states = present(rows, "from_state", FROM_STATES)
    ordered = {state: where(rows, "from_state", state) for state in states}
    figure = go.Figure()
    for name, colour, label in (("forecast", MUTED, "foretold"), ("realised", PLAIN, "came true")):
        figure.add_bar(
            x=states,
            y=[float(numbers(ordered[state], name)[0]) for state in states],
            name=label,
            marker_color=colour,
            customdata=[float(numbers(ordered[state], "loans")[0]) for state in states],
            hovertemplate="<b>%{x}</b>: %{y:.2%} " + label + "<br>%{customdata:,.0f} loans<extra></extra>",
        )
    figure.update_layout(
        barmode="group",
        xaxis={"title": "days past due twelve months ago", "type": "category"},
        yaxis={"tickformat": ".0%", "rangemode": "tozero"},
    )
    return finish(figure)
