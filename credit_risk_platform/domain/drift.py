"""Has the population moved? PSI over bins that are fixed on the development sample and never cut again.

Belongs here: bins, counts, PSI and its verdict, for features and for scores. Counts may as well come from SQL over
the whole population (`Bins.edges` and `levels` say how): `Bins.compare` takes counts from anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from credit_risk_platform.domain.models.frame import is_text

BINS = 10
FLOOR = 1e-4
"""An empty bin counts as this share: PSI stays finite, and comparable between samples."""
ENOUGH_ROWS = 500
MODERATE = 0.10
SIGNIFICANT = 0.25
"""Lewis (1994), Siddiqi (2017): a rule of thumb for about ten bins, not a test (Yurdakul and Naranjo 2020)."""


class Verdict(StrEnum):
    """What the PSI says."""

    STABLE = "stable"
    MODERATE = "moderate"
    SIGNIFICANT = "significant"
    NOT_ENOUGH_DATA = "not enough data"


@dataclass(frozen=True)
class Drift:
    """`psi` is None when either sample has fewer than 500 rows: noise would look like drift."""

    feature: str
    psi: float | None
    verdict: Verdict
    expected_rows: int
    actual_rows: int


@dataclass(frozen=True)
class Bins:
    """Bins of one feature and how the development sample fills them.

    Numbers: bin i holds values in (edges[i-1], edges[i]], so there is one bin more than edges. Categories: one bin
    per level and one for levels unknown in development. The last bin of both is 'missing'.
    """

    feature: str
    counts: tuple[int, ...]
    edges: tuple[float, ...] = ()
    levels: tuple[str, ...] | None = None

    @classmethod
    def fit(cls, feature: str, values: pa.Array | pa.ChunkedArray) -> Bins:
        """Ten quantile bins for numbers (a value that holds more than a tenth gets its own), levels for text."""
        if is_text(values.type):
            known = pc.unique(values.cast(pa.string())).drop_null()
            empty = cls(feature, (), levels=tuple(sorted(known.to_pylist())))
        else:
            empty = cls(feature, (), edges=tuple(float(edge) for edge in quantile_edges(_numbers(values))))
        return cls(feature, tuple(int(count) for count in empty.count(values)), empty.edges, empty.levels)

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of each bin, as a report shows it."""
        if self.levels is not None:
            return (*self.levels, "other", "missing")
        if not self.edges:
            return ("any", "missing")
        inner = (f"({low:g}, {high:g}]" for low, high in pairwise(self.edges))
        return (f"<= {self.edges[0]:g}", *inner, f"> {self.edges[-1]:g}", "missing")

    def count(self, values: pa.Array | pa.ChunkedArray) -> np.ndarray:
        """Rows per bin, int64, in the order of `labels`."""
        if self.levels is None:
            return self._count_numbers(_numbers(values))
        return self._count_texts(values.cast(pa.string()))

    def compare(self, counts: np.ndarray) -> Drift:
        """PSI of a sample with these counts against development."""
        expected, actual = np.asarray(self.counts, dtype=np.float64), np.asarray(counts, dtype=np.float64)
        if min(expected.sum(), actual.sum()) < ENOUGH_ROWS:
            return Drift(self.feature, None, Verdict.NOT_ENOUGH_DATA, int(expected.sum()), int(actual.sum()))
        value = psi(expected / expected.sum(), actual / actual.sum())
        return Drift(self.feature, value, verdict(value), int(expected.sum()), int(actual.sum()))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Bins:
        levels = content["levels"]
        return cls(
            content["feature"],
            tuple(content["counts"]),
            tuple(content["edges"]),
            None if levels is None else tuple(levels),
        )

    def _count_numbers(self, numbers: np.ndarray) -> np.ndarray:
        known = numbers[~np.isnan(numbers)]
        filled = np.bincount(np.searchsorted(self.edges, known, side="left"), minlength=len(self.edges) + 1)
        return np.append(filled, numbers.size - known.size)

    def _count_texts(self, texts: pa.Array | pa.ChunkedArray) -> np.ndarray:
        assert self.levels is not None
        tally = {row["values"]: row["counts"] for row in pc.value_counts(texts).to_pylist()}
        missing = tally.pop(None, 0)
        known = [tally.pop(level, 0) for level in self.levels]
        return np.array([*known, sum(tally.values()), missing], dtype=np.int64)


def psi(expected: np.ndarray, actual: np.ndarray) -> float:
    """Population stability index of two share vectors over the same bins: sum of (a - e) * ln(a / e)."""
    e, a = np.maximum(expected, FLOOR), np.maximum(actual, FLOOR)
    return float(np.sum((a - e) * np.log(a / e)))


def verdict(value: float) -> Verdict:
    """Below 0.10 stable, up to 0.25 moderate, above significant."""
    if value < MODERATE:
        return Verdict.STABLE
    return Verdict.MODERATE if value <= SIGNIFICANT else Verdict.SIGNIFICANT


def quantile_edges(values: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Inner edges of about equal-count bins (low, high], rising; at most `bins` - 1 of them. NaN is ignored.

    A value that several quantiles fall on gets a bin of its own, else a flag that is mostly 0 would have one bin
    and could never drift.
    """
    known = values[~np.isnan(values)]
    if not known.size:
        return np.empty(0)
    cuts = np.quantile(known, np.arange(1, bins) / bins, method="inverted_cdf")
    edges, hits = np.unique(cuts, return_counts=True)
    return np.unique(np.concatenate([edges, np.nextafter(edges[hits > 1], -np.inf)]))


def _numbers(values: pa.Array | pa.ChunkedArray) -> np.ndarray:
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return np.asarray(whole.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
