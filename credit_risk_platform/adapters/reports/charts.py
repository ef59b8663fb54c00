"""Two small pictures of what the tables beside them say, as SVG in the page: columns from zero, and a waterfall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT, FOOT, HEAD = 960.0, 190.0, 34.0, 20.0
GAP = 0.28
"""Share of a column's place that stays empty."""


@dataclass(frozen=True)
class Bar:
    """One column in the picture's own units; `kind` is total, up or down."""

    x: float
    y: float
    width: float
    height: float
    middle: float
    label: str
    value: Any
    kind: str


CHARTS = {("portfolio_risk", "defaults"): (0, 4, "columns"), ("ecl", "waterfall"): (0, 1, "waterfall")}
"""(report, section) -> the table's columns with label and value, and the form."""


def chart_of(kind: str, section: dict[str, Any]) -> list[Bar]:
    """The columns of a section's picture, if it has one and there is anything to draw."""
    if (kind, section["id"]) not in CHARTS or not section["tables"]:
        return []
    label, value, form = CHARTS[kind, section["id"]]
    pairs = [(str(row[label]), row[value]) for row in section["tables"][0]["rows"] if row[value] is not None]
    if len(pairs) < 2:
        return []
    if form == "waterfall":
        return _waterfall(pairs)
    return _placed([(name, 0.0, amount, amount, "total") for name, amount in reversed(pairs)])


def _waterfall(pairs: Sequence[tuple[str, float]]) -> list[Bar]:
    """The first and the last stand on the ground; what lies between starts where the one before ended."""
    level, bars = 0.0, []
    for place, (name, amount) in enumerate(pairs):
        if place in (0, len(pairs) - 1):
            bars.append((name, 0.0, amount, amount, "total"))
            level = amount
        else:
            bars.append((name, level, level + amount, amount, "up" if amount > 0 else "down"))
            level += amount
    return _placed(bars)


def _placed(spans: Sequence[tuple[str, float, float, float, str]]) -> list[Bar]:
    ends = [end for _, start, stop, _, _ in spans for end in (start, stop, 0.0)]
    low, high = min(ends), max(ends)
    scale = (HEIGHT - FOOT - HEAD) / ((high - low) or 1.0)
    step = WIDTH / len(spans)
    return [
        Bar(
            x=round(place * step + step * GAP / 2, 1),
            y=round(HEAD + (high - max(start, stop)) * scale, 1),
            width=round(step * (1 - GAP), 1),
            height=round(max(abs(stop - start) * scale, 1.0), 1),
            middle=round((place + 0.5) * step, 1),
            label=name,
            value=amount,
            kind=kind,
        )
        for place, (name, start, stop, amount, kind) in enumerate(spans)
    ]
