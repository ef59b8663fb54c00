"""Models: foretold against come true, drift against the training population, quality of each vintage."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.compute as pc

from credit_risk_platform.dashboard.charts.columns import (
    BAD,
    BAND_ORDER,
    LIGHTS,
    PLAIN,
    WARN,
    finish,
    numbers,
    present,
    values,
    where,
)
from credit_risk_platform.dashboard.theme import MUTED
from credit_risk_platform.domain import intervals

IN_SAMPLE, SEEN = "in sample", "#9dbcf5"
"""Vintages that the model has learnt from, as monitoring.performance_matured calls them, and their colour."""
MODERATE, SIGNIFICANT = 0.10, 0.25
"""Bounds of the population stability index (Siddiqi 2017): below the first little moved, above the second much."""


def wilson(bads: np.ndarray, loans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval of a share (Wilson 1927); NaN where there is no loan."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return intervals.wilson(bads / loans, loans)


def calibration(rows: pa.Table, label: str) -> go.Figure:
    """Mean PD against the share that defaulted, with 95 % intervals: expected, bads, loans and the column `label`."""
    expected, bads, loans = (numbers(rows, name) for name in ("expected", "bads", "loans"))
    observed = np.divide(bads, loans, out=np.full_like(bads, np.nan), where=loans > 0)
    low, high = wilson(bads, loans)
    top = 1.1 * float(np.nanmax(np.concatenate([expected, high, [0.01]])))
    figure = go.Figure()
    figure.add_scatter(
        x=[0, top], y=[0, top], mode="lines", name="as foretold", line={"color": MUTED, "dash": "dash", "width": 1.2},
        hoverinfo="skip",
    )  # fmt: skip
    figure.add_scatter(
        x=expected,
        y=observed,
        error_y={"array": high - observed, "arrayminus": observed - low, "thickness": 1, "color": "#9db4c6"},
        mode="markers",
        name="came true, 95 % interval",
        marker={"color": PLAIN, "size": np.clip(np.sqrt(loans) / 2.5, 6, 18)},
        text=[str(value) for value in values(rows, label)],
        customdata=np.stack([bads, loans], axis=1),
        hovertemplate=(
            "<b>%{text}</b><br>foretold %{x:.2%}, came true %{y:.2%}<br>"
            "%{customdata[0]:,.0f} of %{customdata[1]:,.0f} loans<extra></extra>"
        ),
    )
    figure.update_layout(
        xaxis={"title": "mean PD", "tickformat": ".0%", "range": [0, top]},
        yaxis={"title": "defaulted", "tickformat": ".0%", "range": [0, top]},
    )
    return finish(figure)


def backtest(rows: pa.Table) -> go.Figure:
    """Traffic lights by vintage and band: issue_month, band, light, expected_pd, bad_rate, loans."""
    months = present(rows, "issue_month")
    bands = present(rows, "band", (*BAND_ORDER, "all"))
    figure = go.Figure()
    for light, colour in LIGHTS.items():
        mine = where(rows, "light", light)
        figure.add_scatter(
            x=values(mine, "issue_month"),
            y=values(mine, "band"),
            mode="markers",
            name=light,
            marker={"color": colour, "size": 13, "symbol": "square"},
            customdata=np.stack([numbers(mine, name) for name in ("expected_pd", "bad_rate", "loans")], axis=1),
            hovertemplate=(
                "%{x|%b %Y}, <b>%{y}</b>: foretold %{customdata[0]:.2%}, came true %{customdata[1]:.2%}, "
                "%{customdata[2]:,.0f} loans<extra></extra>"
            ),
        )
    figure.update_layout(yaxis={"categoryorder": "array", "categoryarray": bands, "type": "category"})
    if len(months) == 1:
        figure.update_xaxes(tickvals=months, tickformat="%b %Y")
    return finish(figure, height=110 + 34 * len(bands))


def drift(rows: pa.Table) -> go.Figure:
    """Population stability index by day, one line per series (as_of, series, psi), between the usual bounds."""
    figure = go.Figure()
    colours = (PLAIN, WARN, BAD, MUTED)
    for number, series in enumerate(present(rows, "series")):
        mine = where(rows, "series", series).sort_by("as_of")
        figure.add_scatter(
            x=values(mine, "as_of"),
            y=numbers(mine, "psi"),
            name=series,
            mode="lines+markers",
            line={"color": colours[number % len(colours)], "width": 2},
            hovertemplate="%{x|%-d %b %Y}, <b>%{fullData.name}</b>: %{y:.4f}<extra></extra>",
        )
    for bound, colour, words in ((MODERATE, WARN, "moderate"), (SIGNIFICANT, BAD, "significant")):
        figure.add_hline(
            y=bound, line={"color": colour, "width": 1, "dash": "dot"}, annotation_text=words,
            annotation_font={"size": 11, "color": colour}, annotation_position="top left",
        )  # fmt: skip
    top = float(np.nanmax(np.append(numbers(rows, "psi"), 0.0)))
    figure.update_layout(yaxis={"range": [0, max(0.3, 1.1 * top)]}, xaxis={"tickformat": "%-d %b %Y"})
    if len(set(values(rows, "as_of"))) == 1:
        figure.update_xaxes(tickvals=values(rows, "as_of")[:1])
    return finish(figure)


def feature_drift(rows: pa.Table) -> go.Figure:
    """The features that moved most: feature, psi, verdict; longest bar on top."""
    ordered = rows.sort_by("psi")
    colours = {"stable": PLAIN, "moderate": WARN, "significant": BAD}
    figure = go.Figure(
        go.Bar(
            x=numbers(ordered, "psi"),
            y=[name.replace("_", " ") for name in values(ordered, "feature")],
            orientation="h",
            marker_color=[colours.get(verdict, MUTED) for verdict in values(ordered, "verdict")],
            text=[f"{psi:.3f}" for psi in numbers(ordered, "psi")],
            textposition="outside",
            cliponaxis=False,
            customdata=values(ordered, "verdict"),
            hovertemplate="<b>%{y}</b>: %{x:.4f}, %{customdata}<extra></extra>",
        )
    )
    top = float(np.nanmax(np.append(numbers(rows, "psi"), 0.0)))
    figure.update_layout(xaxis={"range": [0, max(MODERATE, top) * 1.15]})
    figure.add_vline(x=MODERATE, line={"color": WARN, "width": 1, "dash": "dot"})
    return finish(figure, height=60 + 24 * rows.num_rows, legend=False)


def over_vintages(matured: pa.Table, estimated: pa.Table, measure: str) -> go.Figure:
    """AUC or bad rate by issue month: measured where the outcome is known, estimated where it is not.

    The estimates are hollow and dashed, with their interval: nobody should take them for measurements.
    """
    known, guessed = MEASURES[measure]
    figure = go.Figure()
    for words, colour, rows in _measured(matured):
        figure.add_scatter(
            x=values(rows, "issue_month"),
            y=numbers(rows, known),
            name=words,
            mode="lines+markers",
            line={"color": colour, "width": 2},
            marker_size=5,
            customdata=np.stack([numbers(rows, "loans"), numbers(rows, "bads")], axis=1),
            hovertemplate="%{x|%b %Y}: <b>%{y:.3f}</b> %{fullData.name}<br>%{customdata[1]:,.0f} of "
            "%{customdata[0]:,.0f} loans bad<extra></extra>",
        )
    open_ones = estimated.filter(_not(estimated["matured"]))
    figure.add_scatter(
        x=values(open_ones, "issue_month"),
        y=numbers(open_ones, guessed),
        error_y={"array": intervals.Z95 * numbers(open_ones, "auc_error"), "thickness": 1, "color": "#efd29b"}
        if measure == "auc"
        else None,
        name="estimated, not matured",
        mode="lines+markers",
        line={"color": WARN, "width": 1.5, "dash": "dot"},
        marker={"size": 6, "symbol": "circle-open"},
        customdata=numbers(open_ones, "loans"),
        hovertemplate="%{x|%b %Y}: %{y:.3f} <b>estimated</b>, %{customdata:,.0f} loans<extra></extra>",
    )
    if measure == "bad rate":
        figure.add_scatter(
            x=values(matured, "issue_month"),
            y=numbers(matured, "expected_bad_rate"),
            name="foretold, mean PD",
            mode="lines",
            line={"color": MUTED, "width": 1.5, "dash": "dash"},
            hovertemplate="%{x|%b %Y}: %{y:.3f} foretold<extra></extra>",
        )
    figure.update_layout(yaxis={"tickformat": ".2f" if measure == "auc" else ".0%"})
    return finish(figure)


MEASURES = {"auc": ("auc", "estimated_auc"), "bad rate": ("observed_bad_rate", "estimated_bad_rate")}


def _measured(matured: pa.Table) -> list[tuple[str, str, pa.Table]]:
    """What the model was trained on flatters it, and is drawn paler."""
    seen = pc.equal(matured["exposure"], IN_SAMPLE)
    parts = (
        ("measured, trained on", SEEN, matured.filter(seen)),
        ("measured, held out", PLAIN, matured.filter(pc.invert(seen))),
    )
    return [part for part in parts if part[2].num_rows]


def _not(flags: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.invert(pc.fill_null(flags, False))
