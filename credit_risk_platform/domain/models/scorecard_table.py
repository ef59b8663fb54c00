"""A scorecard as a table: per feature its bins, per bin the points. What the model is kept as, shown as, scores with.

Points follow Siddiqi: -(coefficient * WOE + intercept / n) * factor + offset / n for each of the n features, so that
they sum to the score of the uncalibrated PD. Decimals are kept; whoever shows points may round them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from credit_risk_platform.domain.models.base import sigmoid
from credit_risk_platform.domain.models.woe import Binned, bins_from
from credit_risk_platform.domain.points import POINTS_FACTOR, POINTS_OFFSET

LEAKAGE_IV = 0.5
"""An information value above this is too good to be true more often than not."""
POINTS_TABLE, FEATURES_TABLE = "scorecard_points", "scorecard_features"


@dataclass(frozen=True)
class Characteristic:
    """One line of the card: `points` holds a number per bin. The coefficient is of WOE, in log-odds of bad: <= 0."""

    binned: Binned
    coefficient: float
    points: tuple[float, ...]

    @property
    def feature(self) -> str:
        return self.binned.feature

    @property
    def spread(self) -> float:
        """Standard deviation of the points over the training loans: how much the feature moves scores."""
        share = np.asarray(self.binned.rows) / sum(self.binned.rows)
        points = np.asarray(self.points)
        return float(np.sqrt(np.sum(share * (points - np.sum(share * points)) ** 2)))

    def of(self, values: np.ndarray) -> np.ndarray:
        """Points of each value, float64 (n,)."""
        return np.asarray(self.points)[self.binned.bins.indices(values)]


@dataclass(frozen=True)
class Dropped:
    """A feature that was binned and does not score."""

    feature: str
    iv: float
    why: str


@dataclass(frozen=True)
class ScorecardTable:
    """`columns` are the places of the characteristics among the model's prepared columns."""

    characteristics: tuple[Characteristic, ...]
    columns: tuple[int, ...]
    dropped: tuple[Dropped, ...]

    @classmethod
    def scaled(
        cls,
        binned: Sequence[Binned],
        columns: Sequence[int],
        coefficients: Sequence[float],
        intercept: float,
        dropped: Sequence[Dropped],
    ) -> ScorecardTable:
        """Points from a logistic regression of bad on WOE: one coefficient per entry of `binned`."""
        n = len(binned)
        lines = []
        for entry, coefficient in zip(binned, coefficients, strict=True):
            margins = coefficient * np.asarray(entry.woe) + intercept / n
            points = -margins * POINTS_FACTOR + POINTS_OFFSET / n
            lines.append(Characteristic(entry, float(coefficient), tuple(points.tolist())))
        return cls(tuple(lines), tuple(columns), tuple(dropped))

    @cached_property
    def features(self) -> tuple[str, ...]:
        return tuple(line.feature for line in self.characteristics)

    def points(self, design: np.ndarray) -> np.ndarray:
        """Points of each row for each characteristic, float64 (n, k), from prepared columns (n, width)."""
        scored = np.empty((design.shape[0], len(self.characteristics)))
        for j, (line, column) in enumerate(zip(self.characteristics, self.columns, strict=True)):
            scored[:, j] = line.of(design[:, column])
        return scored

    def probability(self, design: np.ndarray) -> np.ndarray:
        """Uncalibrated probability of bad (n,): the one whose score is the sum of the points.

        Adds one characteristic after the other, so that the bits do not depend on how many rows there are.
        """
        total = np.zeros(design.shape[0])
        for line, column in zip(self.characteristics, self.columns, strict=True):
            total += line.of(design[:, column])
        return sigmoid((POINTS_OFFSET - total) / POINTS_FACTOR)

    def points_table(self) -> pa.Table:
        """One row per bin: feature, iv, bin, loans, share, bad_rate (null where empty), woe, points."""
        rows = [row for line in self.characteristics for row in _bins_of(line)]
        return pa.Table.from_pylist(rows, schema=_POINTS_SCHEMA)

    def features_table(self) -> pa.Table:
        """One row per binned feature, by falling IV: feature, iv, coefficient, points_low, points_high, finding."""
        rows = [_summary(line) for line in self.characteristics]
        rows += [{"feature": gone.feature, "iv": gone.iv, "finding": f"left out: {gone.why}"} for gone in self.dropped]
        ranked = sorted(rows, key=lambda row: (-row["iv"], row["feature"]))
        return pa.Table.from_pylist(ranked, schema=_FEATURES_SCHEMA)

    def to_dict(self) -> dict[str, Any]:
        return {
            "factor": POINTS_FACTOR,
            "offset": POINTS_OFFSET,
            "characteristics": [_line_to_dict(line) for line in self.characteristics],
            "columns": list(self.columns),
            "dropped": [{"feature": gone.feature, "iv": gone.iv, "why": gone.why} for gone in self.dropped],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ScorecardTable:
        return cls(
            characteristics=tuple(_line_from_dict(line) for line in content["characteristics"]),
            columns=tuple(content["columns"]),
            dropped=tuple(Dropped(**gone) for gone in content["dropped"]),
        )


_POINTS_SCHEMA = pa.schema(
    [
        ("feature", pa.string()),
        ("iv", pa.float64()),
        ("bin", pa.string()),
        ("loans", pa.int64()),
        ("share", pa.float64()),
        ("bad_rate", pa.float64()),
        ("woe", pa.float64()),
        ("points", pa.float64()),
    ]
)
_FEATURES_SCHEMA = pa.schema(
    [
        ("feature", pa.string()),
        ("iv", pa.float64()),
        ("coefficient", pa.float64()),
        ("points_low", pa.float64()),
        ("points_high", pa.float64()),
        ("finding", pa.string()),
    ]
)


def _bins_of(line: Characteristic) -> list[dict[str, Any]]:
    entry, loans = line.binned, sum(line.binned.rows)
    parts = zip(entry.bins.labels, entry.rows, entry.bads, entry.woe, line.points, strict=True)
    return [
        {"feature": entry.feature, "iv": entry.iv, "bin": label, "loans": rows, "share": rows / loans,
         "bad_rate": bads / rows if rows else None, "woe": woe, "points": points}
        for label, rows, bads, woe, points in parts
    ]  # fmt: skip


def _summary(line: Characteristic) -> dict[str, Any]:
    suspect = line.binned.iv > LEAKAGE_IV
    return {
        "feature": line.feature,
        "iv": line.binned.iv,
        "coefficient": line.coefficient,
        "points_low": min(line.points),
        "points_high": max(line.points),
        "finding": f"scores; IV above {LEAKAGE_IV:g}: is it known at the time?" if suspect else "scores",
    }


def _line_to_dict(line: Characteristic) -> dict[str, Any]:
    names = ("rows", "bads", "woe", "iv")
    counted = {name: getattr(line.binned, name) for name in names}
    return {
        "feature": line.feature,
        "bins": line.binned.bins.to_dict(),
        **counted,
        "coefficient": line.coefficient,
        "points": line.points,
    }


def _line_from_dict(content: Mapping[str, Any]) -> Characteristic:
    rows, bads, woe = (tuple(content[name]) for name in ("rows", "bads", "woe"))
    binned = Binned(content["feature"], bins_from(content["bins"]), rows, bads, woe, content["iv"])
    return Characteristic(binned, content["coefficient"], tuple(content["points"]))
