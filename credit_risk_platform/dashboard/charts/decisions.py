"""Applications: how far they came, what was decided, why they were declined, how scores are spread."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa

from credit_risk_platform.dashboard.charts.columns import (
    BAND_ORDER,
    PLAIN,
    days,
    finish,
    month_starts,
    numbers,
    on_calendar,
    present,
    values,
    where,
)
from credit_risk_platform.dashboard.theme import COLOURS, MUTED

OUTCOMES = ("approve", "refer", "decline")


def funnel(rows: pa.Table) -> go.Figure:
    """From applications to booked loans: step, applications, in the order given. A step nobody counts is left out."""
    counts = numbers(rows, "applications")
    steps = [name for name, count in zip(values(rows, "step"), counts, strict=True) if not np.isnan(count)]
    figure = go.Figure(
        go.Funnel(
            y=steps,
            x=[count for count in counts if not np.isnan(count)],
            textinfo="value+percent initial",
            texttemplate="%{value:,.0f}, %{percentInitial:.1%}",
            marker_color=[COLOURS.get(STEP_COLOURS.get(step, ""), PLAIN) for step in steps],
            connector={"fillcolor": "#eef2f7", "line_width": 0},
            hovertemplate="<b>%{y}</b>: %{x:,.0f}, %{percentInitial:.1%} of all applications<extra></extra>",
        )
    )
    return finish(figure, legend=False)


STEP_COLOURS = {"Approved": "approve"}


def outcomes_by_day(rows: pa.Table, monthly: bool = False) -> go.Figure:
    """Stacked bars of decisions by day (or first of the month) and outcome; a day without any is a gap."""
    at = [day for day in values(rows, "day") if day is not None]
    calendar = (month_starts if monthly else days)(min(at), max(at)) if at else []
    form = "%b %Y" if monthly else "%-d %b %Y"
    figure = go.Figure()
    for outcome in present(rows, "outcome", OUTCOMES):
        mine = where(rows, "outcome", outcome)
        figure.add_bar(
            x=calendar,
            y=on_calendar(calendar, values(mine, "day"), numbers(mine, "decisions").tolist()),
            name=outcome,
            marker_color=COLOURS.get(outcome, MUTED),
            hovertemplate="%{x|" + form + "}, <b>%{fullData.name}</b>: %{y:,.0f}<extra></extra>",
        )
    figure.update_layout(barmode="stack", xaxis={"tickformat": form})
    if len(calendar) == 1:
        figure.update_xaxes(tickvals=calendar)
    return finish(figure)


def by_channel(rows: pa.Table) -> go.Figure:
    """Share of each outcome in each channel's decisions; the hover has the counts: channel, outcome, decisions."""
    channels = present(rows, "channel", ("api", "stream", "portfolio"))
    totals = {name: float(np.nansum(numbers(where(rows, "channel", name), "decisions"))) for name in channels}
    figure = go.Figure()
    for outcome in present(rows, "outcome", OUTCOMES):
        mine = where(rows, "outcome", outcome)
        counts = dict(zip(values(mine, "channel"), numbers(mine, "decisions"), strict=True))
        shares = [counts[name] / totals[name] if counts.get(name) else None for name in channels]
        figure.add_bar(
            y=channels,
            x=shares,
            name=outcome,
            orientation="h",
            marker_color=COLOURS.get(outcome, MUTED),
            text=["" if share is None else f"{share:.0%}" for share in shares],
            textposition="inside",
            insidetextanchor="middle",
            customdata=[counts.get(name) for name in channels],
            hovertemplate="%{y}, <b>%{fullData.name}</b>: %{x:.1%}, %{customdata:,.0f} decisions<extra></extra>",
        )
    figure.update_layout(barmode="stack", xaxis={"tickformat": ".0%", "range": [0, 1]}, yaxis={"type": "category"})
    return finish(figure, height=130 + 60 * len(channels))


def distribution(rows: pa.Table, kind: str) -> go.Figure:
    """Histogram from bins made in SQL: bin_lower, bin_upper, loans. Kinds: pd, points, bureau_score."""
    low, high, loans = (numbers(rows, name) for name in ("bin_lower", "bin_upper", "loans"))
    total = float(np.nansum(loans)) or 1.0
    figure = go.Figure(
        go.Bar(
            x=(low + high) / 2,
            y=loans,
            width=high - low,
            marker={"color": PLAIN, "line": {"color": "#ffffff", "width": 1}},
            customdata=np.stack([low, high, loans / total], axis=1),
            hovertemplate=(
                "%{customdata[0]:.0%} to %{customdata[1]:.0%}" if kind == "pd"
                else "%{customdata[0]:.0f} to %{customdata[1]:.0f}"
            ) + ": <b>%{y:,.0f}</b> loans, %{customdata[2]:.1%}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(xaxis={"tickformat": ".0%" if kind == "pd" else "d"}, yaxis={"tickformat": "~s"}, bargap=0)
    return finish(figure, height=280, legend=False)


def bands(rows: pa.Table) -> go.Figure:
    """Loans by risk band: risk_band, loans. The labels are shares and sum to 100 %."""
    order = present(rows, "risk_band", BAND_ORDER)
    counts = dict(zip(values(rows, "risk_band"), numbers(rows, "loans"), strict=True))
    total = sum(counts.values()) or 1.0
    figure = go.Figure(
        go.Bar(
            x=order,
            y=[counts[band] for band in order],
            marker_color=[COLOURS.get(band, MUTED) for band in order],
            text=[f"{counts[band] / total:.1%}" for band in order],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="<b>%{x}</b>: %{y:,.0f} loans, %{text}<extra></extra>",
        )
    )
    figure.update_layout(yaxis={"tickformat": "~s"}, xaxis={"type": "category"})
    return finish(figure, height=280, legend=False)


def reasons(rows: pa.Table) -> go.Figure:
    """Principal reasons of declined applications, most frequent on top: reason, declines, share."""
    ordered = rows.sort_by("declines")
    figure = go.Figure(
        go.Bar(
            x=numbers(ordered, "declines"),
            y=[_wrapped(text) for text in values(ordered, "reason")],
            orientation="h",
            marker_color=PLAIN,
            text=[f"{share:.0%}" for share in numbers(ordered, "share")],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="<b>%{y}</b>: %{x:,.0f} declined applications, %{text}<extra></extra>",
        )
    )
    figure.update_layout(xaxis_range=[0, 1.15 * max(numbers(rows, "declines"), default=1.0)])
    return finish(figure, height=60 + 38 * rows.num_rows, legend=False)


def _wrapped(text: str, width: int = 34) -> str:
    import textwrap

    return "<br>".join(textwrap.wrap(text, width))
