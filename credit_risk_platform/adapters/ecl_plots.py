"""Pictures of provisions, in the style of `plots.py`: paths of the scenarios, the waterfall, loss by scenario."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np

from credit_risk_platform.adapters import plots
from credit_risk_platform.domain.provisioning.scenarios import LONG_RUN_UNEMPLOYMENT, ScenarioSet
from credit_risk_platform.domain.provisioning.waterfall import CLOSING, OPENING

TOTAL, RISE, FALL = "#4d4d4d", "#d55e00", "#009e73"
COLOURS = {"baseline": "#0072b2", "adverse": "#e69f00", "severely_adverse": "#d55e00"}
NARROW = 0.3
"""Where the bars move the whole by less than this share, they would not be seen above an axis from 0."""
MONTHS = 66
"""As far as the longest loan's life reaches."""


def paths(scenarios: ScenarioSet, day: date) -> str:
    """Unemployment by month ahead in each scenario, as the engine takes it on `day`."""
    figure, axes = plots._canvas(f"Months after {day}", "Unemployment, per cent", height=3.2)
    ahead = np.arange(1, MONTHS + 1)
    for one, weight in scenarios.weighted():
        label = f"{one.name.replace('_', ' ')}, weight {weight:.0%}"
        axes.plot(ahead, one.monthly(day, MONTHS), color=COLOURS.get(one.name, plots.INK), linewidth=1.5, label=label)
    axes.axhline(LONG_RUN_UNEMPLOYMENT, color=plots.INK, linewidth=0.8, linestyle=":", label="long-run mean")
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower right", frameon=False, fontsize=8)
    return plots._markdown(figure, "Unemployment by scenario")


def waterfall(rows: Sequence[Mapping[str, Any]]) -> str:
    """Opening, what moved it, closing: `step` and `amount` in order."""
    figure = plots._figure(1.5 * plots.SIZE_INCHES[0], 3.9)
    axes = figure.add_subplot()
    plots._dress(axes, "", "Expected credit loss")
    level = 0.0
    tops, bottoms = [], []
    for place, row in enumerate(rows):
        amount, whole = float(row["amount"]), row["step"] in (OPENING, CLOSING)
        base = 0.0 if whole else level
        colour = TOTAL if whole else RISE if amount > 0 else FALL
        axes.bar(place, amount, bottom=base, color=colour, width=0.65)
        level = base + amount
        tops.append(max(base, level))
        bottoms.append(tops[-1] if whole else min(base, level))
        axes.annotate(
            f"{amount:,.0f}" if whole or not round(amount) else f"{amount:+,.0f}",
            (place, tops[-1]), xytext=(0, 3), textcoords="offset points", ha="center", fontsize=8, color=plots.INK,
        )  # fmt: skip
    axes.set_xticks(range(len(rows)), [str(row["step"]).replace(" ", "\n") for row in rows], fontsize=7.5)
    axes.grid(axis="x", visible=False)
    _thousands(axes)
    axes.margins(y=0.1)
    spread = max(tops) - min(bottoms)
    if spread < NARROW * max(tops):
        axes.set_ylim(min(bottoms) - spread, max(tops) + spread / 3)
        axes.set_ylabel("Expected credit loss (axis does not begin at 0)", color=plots.INK, fontsize=9)
    return plots._markdown(figure, "What moved the expected credit loss")


def by_stage(rows: Sequence[Mapping[str, Any]]) -> str:
    """Expected credit loss under both frameworks by stage, with the coverage above."""
    figure, axes = plots._canvas("Stage", "Expected credit loss", height=3.2)
    stages = [row for row in rows if row["stage"] is not None]
    places = np.arange(len(stages))
    for shift, name, label, colour in ((-0.19, "ecl", "IFRS 9", plots.BAR), (0.19, "ecl_cecl", "CECL", "#9a9a9a")):
        bars = axes.bar(places + shift, [row[name] for row in stages], width=0.36, color=colour, label=label)
        if name == "ecl":
            axes.bar_label(bars, [f"{row['coverage'] or 0:.1%}" for row in stages], padding=2, fontsize=8)
    axes.set_xticks(places, [str(row["stage"]) for row in stages])
    axes.grid(axis="x", visible=False)
    axes.margins(y=0.12)
    _thousands(axes)
    axes.legend(frameon=False, fontsize=8)
    return plots._markdown(figure, "Expected credit loss by stage; coverage above the bars")


def by_scenario(rows: Sequence[Mapping[str, Any]]) -> str:
    """Loss of the book if one scenario were sure to come."""
    figure, axes = plots._canvas("Expected credit loss", "", height=0.5 * len(rows) + 0.9)
    names = [str(row["scenario"]).replace("_", " ") for row in rows][::-1]
    colours = [COLOURS.get(str(row["scenario"]), plots.INK) for row in rows][::-1]
    bars = axes.barh(names, [float(row["ecl"]) for row in rows][::-1], color=colours, height=0.6)
    axes.bar_label(bars, fmt="{:,.0f}", padding=3, color=plots.INK, fontsize=8)
    axes.margins(x=0.18)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_ticks([])  # the figures stand beside the bars
    return plots._markdown(figure, "Expected credit loss by scenario")


def _thousands(axes: Any) -> None:
    from matplotlib.ticker import StrMethodFormatter

    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
