"""Pictures of performance by vintage, in the style of `plots.py`: realised and estimated are never one line.

Vintages without labels are hatched, and nothing realised is drawn over them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from credit_risk_platform.adapters import plots
from credit_risk_platform.adapters.performance import WIDE, speaks
from credit_risk_platform.domain.intervals import wilson
from credit_risk_platform.domain.maturity import Exposure

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REALISED, ESTIMATED, EARLY = "#0072b2", "#d55e00", "#009e73"
CHANCE = "#fbe6d8"
HATCH, LEARNT = "#b5b5b5", "#f0f0f0"
SIZE = (8.6, 5.8)
MONTH, HALF = np.timedelta64(1, "M"), 15.0
FEWEST_LOANS = 30
"""The bad rate of a handful of loans is not drawn: its interval would lie."""
ROOM = 0.1
"""AUC around what is drawn: the wide intervals of the first, thin vintages may leave the picture."""


def over_vintages(matured: pa.Table, estimated: pa.Table) -> str:
    """AUC above, bad rate below, by month of issue: `MATURED_SCHEMA` and `ESTIMATED_SCHEMA` rows of one champion."""
    figure = plots._figure(*SIZE)
    upper, lower = figure.subplots(2, sharex=True)
    _auc(upper, matured, estimated)
    _bad_rate(lower, matured, estimated)
    for axes in (upper, lower):
        _grounds(axes, estimated)
        axes.margins(x=0.01)
    _legend(figure, upper, lower)
    return plots._markdown(figure, "AUC and bad rate by vintage, realised and estimated apart")


def _auc(axes: Axes, matured: pa.Table, estimated: pa.Table) -> None:
    plots._dress(axes, "", "AUC")
    _series(axes, estimated, "estimated_auc", ESTIMATED, "estimated from PDs, with 95 % of chance", "--")
    _reach(axes, estimated)
    clear = matured.filter(pa.array([speaks(row) for row in matured.to_pylist()], pa.bool_()))
    months, values = _months(clear), _values(clear, "auc")
    reach = WIDE * _values(clear, "auc_error")
    axes.errorbar(
        months, values, yerr=reach, color=REALISED, fmt="o", markersize=3.2, elinewidth=0.7, label="realised, 95 %"
    )
    axes.axhline(0.5, color=plots.INK, linewidth=0.8, linestyle=":")
    drawn = np.concatenate([[0.5], _values(estimated, "estimated_auc"), values])
    axes.set_ylim(max(drawn.min() - ROOM, 0.0), min(drawn.max() + ROOM, 1.0))


def _bad_rate(axes: Axes, matured: pa.Table, estimated: pa.Table) -> None:
    from matplotlib.ticker import PercentFormatter

    plots._dress(axes, "Month of issue", "Bad rate")
    _series(axes, estimated, "estimated_bad_rate", ESTIMATED, "", "--")
    many = matured.filter(pc.greater_equal(matured["loans"], FEWEST_LOANS))
    rate, loans = _values(many, "observed_bad_rate"), _values(many, "loans")
    reach = np.abs(np.vstack(wilson(rate, loans)) - rate)
    axes.errorbar(_months(many), rate, yerr=reach, color=REALISED, fmt="o", markersize=3.2, elinewidth=0.7)
    _series(axes, estimated, "early_rate", EARLY, "30 days late by month 3 (early sign)", "-")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_ylim(bottom=0)


def _series(axes: Axes, rows: pa.Table, name: str, colour: str, label: str, style: str) -> None:
    values = _values(rows, name)
    if np.isfinite(values).any():
        axes.plot(_months(rows), values, color=colour, linewidth=1.4, linestyle=style, label=label or None)


def _reach(axes: Axes, rows: pa.Table) -> None:
    """Where a realised AUC falls 19 times in 20, were the PDs right. One flat colour: blends would cost a palette."""
    values, error = _values(rows, "estimated_auc"), WIDE * _values(rows, "auc_error")
    axes.fill_between(_months(rows), values - error, values + error, color=CHANCE, linewidth=0, zorder=0.5)


def _grounds(axes: Axes, estimated: pa.Table) -> None:
    """Grey behind what the champion learnt from, hatching behind what has no labels yet."""
    learnt = estimated.filter(pc.equal(estimated["exposure"], str(Exposure.IN_SAMPLE)))
    immature = estimated.filter(pc.invert(estimated["matured"]))
    if learnt.num_rows:
        first, last = _span(learnt)
        axes.axvspan(first, last, color=LEARNT, linewidth=0, zorder=0, label="the champion learnt from these")
    for k, (first, last) in enumerate(_runs(_months(immature))):
        label = "no labels yet" if k == 0 else None
        axes.axvspan(first, last, facecolor="none", edgecolor=HATCH, hatch="//", linewidth=0, zorder=0.6, label=label)


def _legend(figure: Figure, *panels: Axes) -> None:
    handles: dict[str, Artist] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=3, frameon=False, fontsize=8)


def _runs(months: np.ndarray) -> list[tuple[float, float]]:
    """Unbroken stretches of months, each half a month beyond its ends, as the axis counts days."""
    from matplotlib.dates import date2num

    if not months.size:
        return []
    calendar = months.astype("datetime64[M]")
    breaks = np.flatnonzero(np.diff(calendar) > MONTH)
    firsts, lasts = np.append(0, breaks + 1), np.append(breaks, calendar.size - 1)
    days = date2num(months)
    return [(float(days[a]) - HALF, float(days[b]) + HALF) for a, b in zip(firsts, lasts, strict=True)]


def _span(rows: pa.Table) -> tuple[float, float]:
    stretches = _runs(_months(rows))
    return stretches[0][0], stretches[-1][1]


def _months(rows: pa.Table) -> np.ndarray:
    return np.asarray(rows["issue_month"].to_numpy()).astype("datetime64[D]")


def _values(rows: pa.Table, name: str) -> np.ndarray:
    return np.asarray(rows[name].to_numpy(), dtype=np.float64)
