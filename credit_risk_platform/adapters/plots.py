"""Pictures for asset pages: small PNGs as data URIs in markdown, one style, no pyplot (it keeps global state).

Splits keep their colour in every picture, chosen to be told apart by colour-blind eyes. Curves come thinned from
`domain/curves.py`, so a picture costs the same for any size of book; the same numbers give the same bytes.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"train": "#9a9a9a", "validation": "#0072b2", "out_of_time": "#d55e00"}
BAR = "#0072b2"
GOOD, BAD = "#0072b2", "#d55e00"
INK, GRID = "#333333", "#e3e3e3"
SIZE_INCHES = (5.2, 3.9)
DPI = 96
PALETTE = 48


def roc(curves: Mapping[str, pa.Table], values: Mapping[str, Mapping[str, float]]) -> str:
    """ROC of each split (`curves.roc_curve` tables) with its AUC, the diagonal of a coin toss, and where the KS is."""
    figure, axes = _canvas("Share of good loans declined", "Share of bad loans declined")
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle="--", label="no skill, AUC 0.500")
    for split, curve in curves.items():
        x, y = _column(curve, "false_positive_rate"), _column(curve, "true_positive_rate")
        axes.plot(x, y, color=_colour(split), label=f"{_plain(split)}, AUC {values[split]['auc']:.3f}")
    split = list(curves)[-1]
    _mark_ks(axes, curves[split], values[split]["ks"], _colour(split))
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="lower right", frameon=False, fontsize=8)
    return _markdown(figure, "ROC curve")


def calibration(curves: Mapping[str, pa.Table]) -> str:
    """Mean PD against bad rate (`curves.calibration_curve` tables) with 95 % intervals; the diagonal is perfect."""
    figure, axes = _canvas("Predicted PD", "Observed bad rate")
    top = 1.05 * max(max(_column(curve, name).max() for name in ("mean_pd", "high")) for curve in curves.values())
    axes.plot([0, top], [0, top], color=INK, linewidth=0.8, linestyle="--", label="perfect")
    for split, curve in curves.items():
        x, y = _column(curve, "mean_pd"), _column(curve, "bad_rate")
        reach = np.abs(np.vstack([y - _column(curve, "low"), _column(curve, "high") - y]))
        axes.errorbar(
            x, y, yerr=reach, color=_colour(split), marker="o", markersize=4, elinewidth=0.7, label=_plain(split)
        )
    axes.set(xlim=(0, top), ylim=(0, top))
    _percent(axes)
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    return _markdown(figure, "Calibration curve")


def importance(shares: Mapping[str, float], directions: Mapping[str, int], top: int = 12) -> str:
    """The `top` features by share of the model's work; + raises the PD with a higher value, - lowers it."""
    ranked = sorted(shares.items(), key=lambda item: (-item[1], item[0]))[:top][::-1]
    figure, axes = _canvas("Share of the model's work", "", height=0.26 * len(ranked) + 0.9)
    signs = {1: " (+)", -1: " (-)"}
    labels = [name + signs.get(directions.get(name, 0), "") for name, _ in ranked]
    bars = axes.barh(labels, [share for _, share in ranked], color=BAR, height=0.7)
    axes.bar_label(bars, fmt="%.3f", padding=3, color=INK, fontsize=8)
    axes.margins(x=0.14)
    axes.grid(axis="y", visible=False)
    return _markdown(figure, "Feature importance")


def score_distribution(pd: np.ndarray, is_bad: np.ndarray, bins: int = 40) -> str:
    """Histogram of the PD of good and of bad loans, each as a share of its own group, up to the 99.5 % quantile."""
    figure, axes = _canvas("Predicted PD", "Share of the group")
    top = float(np.quantile(pd, 0.995)) if len(pd) else 1.0
    edges = np.linspace(0, top or 1.0, bins + 1)
    for label, member, colour in (("good", ~is_bad.astype(bool), GOOD), ("bad", is_bad.astype(bool), BAD)):
        counts, _ = np.histogram(pd[member], edges)
        shares = counts / max(int(member.sum()), 1)
        axes.stairs(shares, edges, fill=True, alpha=0.45, color=colour, label=f"{label}, {int(member.sum()):,} loans")
    _percent(axes)
    axes.legend(loc="upper right", frameon=False, fontsize=8)
    return _markdown(figure, "Score distribution")


def scorecard_points(bins: pa.Table, top: int = 6) -> str:
    """Points per bin of the `top` features whose points reach furthest; `bins` has feature, bin, loans and points.

    Bins that held no loan are left out. Points are rounded here, and nowhere else.
    """
    found = bins.filter(pc.greater(bins["loans"], 0)).to_pylist()
    by_feature: dict[str, list[tuple[str, float]]] = {}
    for row in found:
        by_feature.setdefault(row["feature"], []).append((row["bin"], row["points"]))
    reach = {name: max(p for _, p in lines) - min(p for _, p in lines) for name, lines in by_feature.items()}
    chosen = sorted(by_feature, key=lambda name: (-reach[name], name))[:top]
    sizes = [len(by_feature[name]) for name in chosen]
    figure = _figure(1.15 * SIZE_INCHES[0], 0.2 * sum(sizes) + 0.35 * len(chosen))
    panels = figure.subplots(len(chosen), sharex=True, squeeze=False, height_ratios=sizes)[:, 0]
    for name, axes in zip(chosen, panels, strict=True):
        lines = by_feature[name][::-1]
        _dress(axes, "", "")
        axes.set_title(name, color=INK, fontsize=9, loc="left")
        bars = axes.barh(range(len(lines)), [points for _, points in lines], color=BAR, height=0.7)
        axes.set_yticks(range(len(lines)), [_short(label) for label, _ in lines])
        axes.bar_label(bars, fmt="%.0f", padding=3, color=INK, fontsize=8)
        axes.margins(x=0.08)
        axes.grid(axis="y", visible=False)
    return _markdown(figure, "Points per bin")


def _short(label: str, longest: int = 36) -> str:
    return label if len(label) <= longest else f"{label[: longest - 3]}..."


def _mark_ks(axes: Axes, curve: pa.Table, ks: float, colour: str) -> None:
    x, y = _column(curve, "false_positive_rate"), _column(curve, "true_positive_rate")
    at = int(np.argmax(y - x))
    axes.plot([x[at], x[at]], [x[at], y[at]], color=colour, linewidth=0.9, linestyle=":")
    middle = (x[at], (x[at] + y[at]) / 2)
    axes.annotate(f"KS {ks:.3f}", middle, xytext=(5, 0), textcoords="offset points", fontsize=8, color=INK)


def _column(curve: pa.Table, name: str) -> np.ndarray:
    return np.asarray(curve[name].to_numpy())


def _canvas(x_label: str, y_label: str, height: float = SIZE_INCHES[1]) -> tuple[Figure, Axes]:
    figure = _figure(SIZE_INCHES[0], height)
    axes = figure.add_subplot()
    _dress(axes, x_label, y_label)
    return figure, axes


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _dress(axes: Axes, x_label: str, y_label: str) -> None:
    axes.set_xlabel(x_label, color=INK, fontsize=9)
    axes.set_ylabel(y_label, color=INK, fontsize=9)
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=8, length=0)
    axes.spines[:].set_visible(False)


def _percent(axes: Axes) -> None:
    from matplotlib.ticker import PercentFormatter

    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))


def _colour(split: str) -> str:
    return COLOURS.get(split, INK)


def _plain(split: str) -> str:
    return split.replace("_", "-")


def _markdown(figure: Figure, alt: str) -> str:
    from PIL import Image

    figure.canvas.draw()
    pixels = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[:, :, :3])  # type: ignore[attr-defined]
    buffer = io.BytesIO()
    # Flat colours need no true colour: a palette makes the file a quarter of the size.
    pixels.quantize(PALETTE, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return f"![{alt}](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"
