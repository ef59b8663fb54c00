"""Pictures of decisions, in the style of `plots.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from credit_risk_platform.adapters import plots
from credit_risk_platform.domain.economics import LGD_BAND, Finding

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BAND = "#9ec9e2"


def profit_curve(curve: pa.Table, finding: Finding) -> str:
    """Profit by cut-off (`economics.cutoff_curve`), its band for a tenth more and less LGD, and the two cut-offs."""
    figure, axes = plots._canvas("Approve below this PD", "Profit on the held-out loans")
    cutoffs = plots._column(curve, "cutoff")
    low, high = plots._column(curve, "profit_high_lgd"), plots._column(curve, "profit_low_lgd")
    axes.fill_between(cutoffs, low, high, color=BAND, alpha=0.6, linewidth=0, label=f"LGD ± {LGD_BAND:.0%}")
    axes.plot(cutoffs, plots._column(curve, "profit"), color=plots.BAR)
    axes.axhline(0, color=plots.INK, linewidth=0.8)
    for cutoff, label, style, colour in (
        (finding.in_force.cutoff, "in force", "-", plots.BAD),
        (finding.best.cutoff, "best here", "--", plots.INK),
    ):
        axes.axvline(cutoff, color=colour, linewidth=1, linestyle=style, label=f"{label}, {cutoff:.1%}")
    axes.set(xlim=(0, float(cutoffs[-1])))
    _percent_below(axes)
    from matplotlib.ticker import EngFormatter

    axes.yaxis.set_major_formatter(EngFormatter())
    axes.legend(loc="lower left", frameon=False, fontsize=8)
    return plots._markdown(figure, "Profit by cut-off")


def trade_off(curve: pa.Table, finding: Finding) -> str:
    """Bad rate of the approved against the share approved, with the cut-off in force."""
    figure, axes = plots._canvas("Share of applications approved", "Bad rate of the approved", height=2.9)
    rates = plots._column(curve, "approval_rate"), np.asarray(curve["bad_rate"].to_numpy(), dtype=np.float64)
    axes.plot(*rates, color=plots.BAR)
    now = finding.in_force
    if now.bad_rate is not None:
        label = f"in force, {now.cutoff:.1%}"
        axes.plot([now.approval_rate], [now.bad_rate], "o", color=plots.BAD, markersize=5, label=label)
        axes.legend(loc="upper left", frameon=False, fontsize=8)
    plots._percent(axes)
    return plots._markdown(figure, "Approval rate and bad rate")


def _percent_below(axes: Axes) -> None:
    from matplotlib.ticker import PercentFormatter

    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
