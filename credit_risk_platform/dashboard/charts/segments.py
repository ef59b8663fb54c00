"""Slices of the book: watch list segments, concentration against limits, groups of the fair-lending screen."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa

from credit_risk_platform.dashboard.charts.columns import BAD, LIGHTS, PLAIN, WARN, finish, numbers, values
from credit_risk_platform.dashboard.theme import COLOURS, MUTED

WATCH_COLOURS = {"high": BAD, "watch": WARN, "standard": COLOURS["Not scored"]}
WATCH_ORDER = ("high", "watch", "standard")
FOUR_FIFTHS = 0.8


def list_against_book(rows: pa.Table) -> go.Figure:
    """Default rate on the watch list beside that of the whole population, for each way it is evaluated."""
    labels = values(rows, "label")
    figure = go.Figure()
    for name, words, colour in (
        ("baseline_default_rate", "all loans", COLOURS["Not scored"]),
        ("watchlist_default_rate", "on the watch list", BAD),
    ):
        rates = numbers(rows, name)
        figure.add_bar(
            x=labels,
            y=rates,
            name=words,
            marker_color=colour,
            text=["" if np.isnan(rate) else f"{rate:.1%}" for rate in rates],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{x}<br><b>" + words + "</b>: %{y:.2%} defaulted<extra></extra>",
        )
    figure.update_layout(barmode="group", yaxis={"tickformat": ".0%", "rangemode": "tozero"}, bargap=0.35)
    return finish(figure, height=300)


def watch_segments(rows: pa.Table) -> go.Figure:
    """Open loans and exposure by segment, each as a share of its total: segment, loans, exposure."""
    figure = go.Figure()
    measures = (("loans", "loans"), ("exposure", "exposure"))
    totals = {name: float(np.nansum(numbers(rows, name))) or 1.0 for name, _ in measures}
    by_segment = {row["segment"]: row for row in rows.to_pylist()}
    for segment in (one for one in WATCH_ORDER if one in by_segment):
        amounts = [float(by_segment[segment][name] or 0) for name, _ in measures]
        shares = [amount / totals[name] for amount, (name, _) in zip(amounts, measures, strict=True)]
        figure.add_bar(
            y=[words for _, words in measures],
            x=shares,
            name=segment,
            orientation="h",
            marker_color=WATCH_COLOURS[segment],
            text=[f"{share:.1%}" for share in shares],
            textposition="auto",
            insidetextanchor="middle",
            customdata=amounts,
            hovertemplate="%{y}, <b>%{fullData.name}</b>: %{customdata:,.0f}, %{x:.1%}<extra></extra>",
        )
    figure.update_layout(barmode="stack", xaxis={"tickformat": ".0%", "range": [0, 1]}, yaxis={"autorange": "reversed"})
    return finish(figure, height=230)


def concentration(rows: pa.Table) -> go.Figure:
    """Share of the open exposure by segment against its limit, in the colour of its light; largest on top."""
    ordered = rows.sort_by("share")
    names = [str(name).replace("_", " ") for name in values(ordered, "segment")]
    shares, limits = numbers(ordered, "share"), numbers(ordered, "limit_share")
    figure = go.Figure(
        go.Bar(
            x=shares,
            y=names,
            orientation="h",
            name="share of exposure",
            marker_color=[LIGHTS.get(light or "", MUTED) for light in values(ordered, "light")],
            text=[f"{share:.1%}" for share in shares],
            textposition="outside",
            cliponaxis=False,
            customdata=np.stack([numbers(ordered, "exposure"), numbers(ordered, "loans")], axis=1),
            hovertemplate="<b>%{y}</b>: %{x:.2%}, %{customdata[0]:,.0f} in %{customdata[1]:,.0f} loans<extra></extra>",
        )
    )
    figure.add_scatter(
        x=limits,
        y=names,
        mode="markers",
        name="limit",
        marker={"symbol": "line-ns-open", "size": 16, "color": "#1f2937", "line_width": 2},
        hovertemplate="<b>%{y}</b>: limit %{x:.1%}<extra></extra>",
    )
    figure.update_layout(xaxis={"tickformat": ".0%", "rangemode": "tozero"}, yaxis={"type": "category"})
    return finish(figure, height=110 + 26 * rows.num_rows)


def impact_ratios(rows: pa.Table) -> go.Figure:
    """Adverse impact ratio of each group with its 95 % interval, beside the four-fifths line of the screen.

    `rows`: label, air, air_low, air_high. Suppressed groups have no figures and are not drawn; the page lists them.
    """
    ratios, low, high = (numbers(rows, name) for name in ("air", "air_low", "air_high"))
    labels = values(rows, "label")
    seen = [place for place, ratio in enumerate(ratios) if not np.isnan(ratio)][::-1]
    figure = go.Figure(
        go.Scatter(
            x=ratios[seen],
            y=[labels[place] for place in seen],
            error_x={
                "array": (high - ratios)[seen], "arrayminus": (ratios - low)[seen], "thickness": 1.2,
                "color": "#94a3b8",
            },
            mode="markers",
            marker={"size": 10, "color": [WARN if ratios[place] < FOUR_FIFTHS else PLAIN for place in seen]},
            hovertemplate="<b>%{y}</b>: ratio %{x:.3f}<extra></extra>",
        )
    )  # fmt: skip
    figure.add_vline(x=FOUR_FIFTHS, line={"color": WARN, "dash": "dot", "width": 1.2}, annotation_text="0.8")
    figure.add_vline(x=1, line={"color": MUTED, "dash": "dash", "width": 1})
    figure.update_layout(yaxis={"type": "category"})
    return finish(figure, height=90 + 30 * len(seen), legend=False)
