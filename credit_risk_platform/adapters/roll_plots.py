"""Pictures of a transition matrix and of what its power foretold, in the style of `plots.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from credit_risk_platform.adapters import plots
from credit_risk_platform.domain.roll_rates import OPEN, REACHED, shares

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (7.6, 3.6)
FORETOLD, CAME_TRUE = "#9a9a9a", "#0072b2"
DARK = 0.5
"""Fill of a cell from which on its figure is written in white."""


def heat_map(moves: np.ndarray) -> str:
    """One-month transition matrix of `roll_rates.counts_of` counts: from below to across, rows summing to 100 %."""
    matrix = shares(moves)
    figure = plots._figure(*SIZE)
    axes = figure.add_subplot()
    plots._dress(axes, "State a month later", "Days past due")
    axes.grid(visible=False)
    fill = np.sqrt(np.nan_to_num(matrix))  # small moves must show beside a diagonal of 95 %
    axes.imshow(fill, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(REACHED)), [name.replace(" ", "\n").replace("/", "/\n") for name in REACHED])
    axes.set_yticks(range(len(OPEN)), OPEN)
    for row, column in np.argwhere(matrix > 0):
        colour = "white" if fill[row, column] > DARK else plots.INK
        share = "<0.1%" if matrix[row, column] < 0.001 else f"{matrix[row, column]:.1%}"
        axes.text(column, row, share, ha="center", va="center", fontsize=8, color=colour)
    return plots._markdown(figure, "Transition matrix of one month")


def forecast_bars(rows: pa.Table) -> str:
    """Foretold beside realised default by state, the latter with its 95 % interval; `roll_forecast.SCHEMA` rows."""
    figure, axes = plots._canvas("Days past due twelve months before", "Default within twelve months")
    places = np.arange(rows.num_rows)
    _bars(axes, places - 0.2, _values(rows, "forecast"), FORETOLD, "foretold by the matrix")
    realised = _values(rows, "realised")
    _bars(axes, places + 0.2, realised, CAME_TRUE, "came true, 95 %")
    reach = np.abs(np.vstack([_values(rows, "low"), _values(rows, "high")]) - realised)
    axes.errorbar(places + 0.2, realised, yerr=reach, fmt="none", ecolor=plots.INK, elinewidth=0.8)
    axes.set_xticks(places, rows["from_state"].to_pylist())
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    return plots._markdown(figure, "Default foretold and realised, by state a year ago")


def _bars(axes: Axes, places: np.ndarray, heights: np.ndarray, colour: str, label: str) -> None:
    axes.bar(places, np.nan_to_num(heights), width=0.38, color=colour, label=label)


def _values(rows: pa.Table, name: str) -> np.ndarray:
    return np.asarray(rows[name].to_numpy(), dtype=np.float64)
