"""Pictures of the hazard and LGD models, in the style of `plots.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from credit_risk_platform.adapters import plots

TERM_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#9a9a9a")
LGD_BINS = 24


def kaplan_meier(curves: Mapping[int, tuple[np.ndarray, np.ndarray]]) -> str:
    """Per term: (what happened, what the model says), each the chance (T,) to have defaulted by month 1..T."""
    figure, axes = plots._canvas("Months on book", "Defaulted so far, were nobody to repay early")
    for (term, (seen, said)), colour in zip(sorted(curves.items()), TERM_COLOURS, strict=False):
        months = np.arange(len(seen) + 1)
        axes.step(months, np.append(0, seen), where="post", color=colour, linewidth=1.4, label=f"{term} months")
        axes.plot(months, np.append(0, said), color=colour, linewidth=1.2, linestyle="--")
    axes.plot([], [], color=plots.INK, linestyle="--", linewidth=1.2, label="model")
    axes.yaxis.set_major_formatter(_per_cent())
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    return plots._markdown(figure, "Kaplan-Meier against the hazard model")


def expected_and_observed(rows: Sequence[Mapping[str, Any]]) -> str:
    """Defaults that the model of older vintages expects of each younger one, against those that came, with 95 %."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    figure, axes = plots._canvas("Quarter of issue", "Defaults so far", height=3.1)
    quarters = np.array([row["group"] for row in rows]).astype("datetime64[M]").astype("datetime64[D]")
    observed = np.array([row["observed"] for row in rows])
    axes.errorbar(
        quarters, observed, yerr=1.96 * np.sqrt(observed), color=plots.GOOD, fmt="o", markersize=4, elinewidth=0.8,
        label="observed, 95 %",
    )  # fmt: skip
    axes.plot(quarters, [row["expected"] for row in rows], color=plots.BAD, linewidth=1.4, label="expected")
    ticks = AutoDateLocator(maxticks=8)
    axes.xaxis.set_major_locator(ticks)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(ticks))
    axes.set_ylim(bottom=0)
    axes.legend(loc="best", frameon=False, fontsize=8)
    return plots._markdown(figure, "Expected and observed defaults by vintage")


def realised_lgd(realised: np.ndarray, mean: float) -> str:
    """How much of the exposure at default was lost, workout by workout."""
    figure, axes = plots._canvas("Realised LGD", "Closed workouts", height=2.9)
    counts, edges = np.histogram(realised, bins=LGD_BINS, range=(0.0, 1.2))
    axes.stairs(counts, edges, fill=True, color=plots.BAR, alpha=0.8)
    axes.axvline(mean, color=plots.BAD, linewidth=1.2, linestyle="--", label=f"mean {mean:.1%}")
    axes.xaxis.set_major_formatter(_per_cent())
    axes.set_xlim(0, 1.2)
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    return plots._markdown(figure, "Realised LGD of closed workouts")


def _per_cent() -> Any:
    from matplotlib.ticker import PercentFormatter

    return PercentFormatter(1.0, decimals=0)
