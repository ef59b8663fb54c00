"""Pictures of scores and of drift, in the style of `plots.py`."""

from __future__ import annotations

from collections.abc import Sequence

from credit_risk_platform.adapters import plots


def pd_histogram(counts: Sequence[int], edges: Sequence[float]) -> str:
    """How many loans fall into each PD interval [edges[i], edges[i + 1])."""
    figure, axes = plots._canvas("Predicted PD", "Loans", height=2.9)
    axes.stairs(counts, edges, fill=True, color=plots.BAR, alpha=0.8)
    axes.set(xlim=(edges[0], edges[-1]))
    from matplotlib.ticker import PercentFormatter, StrMethodFormatter

    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    return plots._markdown(figure, "Histogram of predicted PDs")
