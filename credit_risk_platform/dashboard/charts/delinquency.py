"""Arrears over time: what stood in each bucket, and how many loans defaulted."""

from __future__ import annotations

from datetime import date

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa

from credit_risk_platform.dashboard.charts.columns import (
    DPD_COLOURS,
    DPD_ORDER,
    PLAIN,
    finish,
    money_axis,
    month_ends,
    numbers,
    on_calendar,
    present,
    values,
    where,
)
from credit_risk_platform.dashboard.theme import INK, MUTED, TARGET

IN_ARREARS = DPD_ORDER[1:]


def buckets_over_time(rows: pa.Table, measure: str = "share_of_loans") -> go.Figure:
    """Stacked shares of the open book in arrears by bucket: month_end, dpd_bucket, loans and the measure.

    Current loans are left out: at nine tenths of the height they would flatten what the chart is for.
    """
    months = _calendar(rows)
    figure = go.Figure()
    for bucket in (one for one in present(rows, "dpd_bucket", IN_ARREARS) if one in IN_ARREARS):
        mine = where(rows, "dpd_bucket", bucket)
        at = values(mine, "month_end")
        figure.add_bar(
            x=months,
            y=on_calendar(months, at, numbers(mine, measure).tolist()),
            customdata=on_calendar(months, at, numbers(mine, "loans").tolist()),
            name=bucket,
            marker={"color": DPD_COLOURS.get(bucket, MUTED), "line_width": 0},
            hovertemplate="%{x|%b %Y}, <b>%{fullData.name}</b>: %{y:.2%}, %{customdata:,.0f} loans<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0.08, yaxis={"tickformat": ".1%"}, legend_traceorder="normal")
    return finish(figure)


def default_trend(rows: pa.Table, target: float | None = None) -> go.Figure:
    """Defaults of twelve months over the loans open before them, as a line; new defaults by month as bars.

    `rows`: month_end, new_defaults, default_rate_12m, complete. A month not all known yet is hatched, and the line
    leaves it out.
    """
    months = _calendar(rows)
    at, complete = values(rows, "month_end"), [bool(known) for known in values(rows, "complete")]
    rate = np.where(complete, numbers(rows, "default_rate_12m"), np.nan)
    whole = dict(zip(at, complete, strict=True))
    figure = go.Figure()
    figure.add_bar(
        x=months,
        y=on_calendar(months, at, numbers(rows, "new_defaults").tolist()),
        name="new defaults",
        yaxis="y2",
        marker={
            "color": "#d5dde4",
            "pattern": {"shape": ["" if whole.get(month, True) else "/" for month in months], "fgcolor": MUTED},
        },
        customdata=["" if whole.get(month, True) else "<br>not all known yet" for month in months],
        hovertemplate="%{x|%b %Y}: %{y:,.0f} new defaults%{customdata}<extra></extra>",
    )
    figure.add_scatter(
        x=months,
        y=on_calendar(months, at, rate.tolist()),
        name="default rate, 12 months",
        mode="lines",
        line={"color": PLAIN, "width": 2.4},
        hovertemplate="%{x|%b %Y}: <b>%{y:.2%}</b> of the loans open a year before<extra></extra>",
    )
    if target is not None and months:
        figure.add_scatter(
            x=[months[0], months[-1]],
            y=[target, target],
            name=f"target {target:.1%}",
            mode="lines",
            line={"color": TARGET, "width": 1.4, "dash": "dash"},
            hovertemplate=f"target {target:.1%}<extra></extra>",
        )
    figure.update_layout(
        yaxis=money_axis(tickformat=".1%", rangemode="tozero"),
        yaxis2={"side": "right", "rangemode": "tozero", "showgrid": False, "title": "new defaults", "color": MUTED},
    )
    return finish(figure)


def loan_history(rows: pa.Table) -> go.Figure:
    """One loan: its balance as a line, its days past due as bars coloured by bucket; month_end, balance, dpd_bucket."""
    months = _calendar(rows)
    at = values(rows, "month_end")
    buckets = dict(zip(at, values(rows, "dpd_bucket"), strict=True))
    figure = go.Figure()
    figure.add_bar(
        x=months,
        y=on_calendar(months, at, numbers(rows, "days_past_due").tolist()),
        name="days past due",
        yaxis="y2",
        marker_color=[DPD_COLOURS.get(buckets.get(month) or "", MUTED) for month in months],
        hovertemplate="%{x|%b %Y}: <b>%{y:.0f}</b> days past due<extra></extra>",
    )
    figure.add_scatter(
        x=months,
        y=on_calendar(months, at, numbers(rows, "balance").tolist()),
        name="balance",
        mode="lines+markers",
        marker_size=4,
        line={"color": INK, "width": 2},
        hovertemplate="%{x|%b %Y}: <b>%{y:,.2f}</b> owed<extra></extra>",
    )
    figure.update_layout(
        yaxis=money_axis(tickformat="~s", rangemode="tozero", title="balance"),
        yaxis2={"side": "right", "range": [0, _worst(rows)], "showgrid": False, "title": "days past due", "nticks": 6},
    )
    if len(months) <= 12:
        figure.update_xaxes(tickvals=months, tickformat="%b %Y")
    return finish(figure)


def _worst(rows: pa.Table) -> float:
    """Top of the axis of days: a day late must not look like a wreck."""
    return max(30.0, 1.1 * float(np.nanmax(np.append(numbers(rows, "days_past_due"), 0.0))))


def _calendar(rows: pa.Table) -> list[date]:
    at = [day for day in values(rows, "month_end") if day is not None]
    return month_ends(min(at), max(at)) if at else []
