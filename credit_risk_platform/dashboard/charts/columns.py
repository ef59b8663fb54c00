"""What every chart asks of its rows: numbers with holes, calendars with gaps, months and money in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.compute as pc

from credit_risk_platform.dashboard.theme import ACCENT, COLOURS, apply

DPD_ORDER = ("Current", "1-29", "30-59", "60-89", "90-119", "120+")
DPD_COLOURS = {
    "Current": "#c9d6df", "1-29": "#f4d58d", "30-59": "#f0a35e",
    "60-89": "#e0703c", "90-119": "#bc3f32", "120+": "#7a1f2b",
}  # fmt: skip
"""Darker is later: the order can be read without the legend, and without colours too."""
BAND_ORDER = ("Very Low", "Low", "Medium", "High", "Very High", "Not scored")
GOOD, WARN, BAD, PLAIN = COLOURS["green"], COLOURS["amber"], COLOURS["red"], ACCENT
LIGHTS = {"green": GOOD, "amber": WARN, "red": BAD}
PALE, BLUE_INK = "#dbe6f4", "#0f2747"
OLD_TO_NEW = (PALE, PLAIN, BLUE_INK)
"""Ends and middle of the scale along which cohorts are coloured: pale is old, dark is new."""


def numbers(rows: pa.Table, name: str) -> np.ndarray:
    """A column as float64, null as NaN: Plotly leaves a hole there and never a zero."""
    return np.asarray(rows[name].cast(pa.float64()).to_numpy(), dtype=float)


def values(rows: pa.Table, name: str) -> list[Any]:
    return list(rows[name].to_pylist())


def where(rows: pa.Table, name: str, value: Any) -> pa.Table:
    return rows.filter(pc.equal(rows[name], pa.scalar(value, rows.schema.field(name).type)))


def present(rows: pa.Table, name: str, order: Sequence[str] = ()) -> list[Any]:
    """Distinct values, those of `order` first and in that order, then the others by name."""
    found = [value for value in pc.unique(rows[name]).to_pylist() if value is not None]
    known = [value for value in order if value in found]
    return known + sorted((value for value in found if value not in known), key=str)


def month_starts(first: date, last: date) -> list[date]:
    """The first of every month from `first`'s to `last`'s."""
    months = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
    return [date(number // 12, number % 12 + 1, 1) for number in months]


def month_ends(first: date, last: date) -> list[date]:
    """Every month end from `first`'s month to `last`'s."""
    return [(start + timedelta(days=31)).replace(day=1) - timedelta(days=1) for start in month_starts(first, last)]


def days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=step) for step in range((last - first).days + 1)]


def on_calendar(calendar: Iterable[date], at: Sequence[date], series: Sequence[float]) -> list[float | None]:
    """The series on every date of the calendar; `None` where it has no row: an empty day is a gap and not a zero."""
    known = dict(zip(at, series, strict=True))
    return [None if (value := known.get(day)) is None or np.isnan(value) else float(value) for day in calendar]


def finish(figure: go.Figure, height: int = 320, legend: bool = True) -> go.Figure:
    """The shared looks, with the legend just below the plot, or below the title of its x axis, whatever the height."""
    apply(figure, height=height, legend=legend)
    lines = 1 + sum(bool(axis.title.text) for axis in figure.select_xaxes())
    figure.update_layout(legend_y=-28 * lines / max(height - 60 - 28 * lines, 60))
    return figure


def money_axis(**more: Any) -> dict[str, Any]:
    """A y axis over another one: ticks of its own, else Plotly takes over those of the other at odd numbers."""
    return {"tickmode": "auto", "nticks": 6, "overlaying": "y2", **more}


def quarter(day: date) -> str:
    return f"{day.year} Q{(day.month + 2) // 3}"


def money(amount: float) -> str:
    """Short for a label: 1.23M. The hover has every digit."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(amount) >= size:
            return f"{amount / size:,.{1 if unit == 'k' else 2}f}{unit}"
    return f"{amount:,.0f}"


def scale(steps: int) -> list[str]:
    """So many colours from old to new."""
    from plotly.colors import sample_colorscale

    stops = [[place, colour] for place, colour in zip((0.0, 0.5, 1.0), OLD_TO_NEW, strict=True)]
    return list(sample_colorscale(stops, np.linspace(0.15, 1.0, max(steps, 1)).tolist()))
