"""The master scale: which band a PD falls in, versioned and dated.

Belongs here: reading one version from the rows on record and refusing one with gaps. Does not: what is decided on a PD
(`policy.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa


class ScoringError(ValueError):
    """Rows that cannot be scored, or bands that do not cover every PD. The message says what to mend."""


@dataclass(frozen=True)
class Bands:
    """A versioned master scale: band i holds PDs in [edges[i], edges[i + 1]); the last edge lies above 1."""

    policy_version: str
    edges: tuple[float, ...]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        told = f"policy {self.policy_version} with bands {', '.join(self.names)} and edges {self.edges}"
        if not self.names or len(self.edges) != len(self.names) + 1:
            raise ScoringError(f"{told}: there must be one edge more than bands")
        if any(lower >= upper for lower, upper in pairwise(self.edges)):
            raise ScoringError(f"{told}: edges must rise")
        if self.edges[0] > 0 or self.edges[-1] <= 1:
            raise ScoringError(f"{told}: bands must cover PDs from 0 to 1")

    @classmethod
    def from_rows(cls, rows: pa.Table, as_of: date) -> Bands:
        """The version in force on `as_of` from `gold.risk_bands`; raises `ScoringError` if none was, or on gaps."""
        started = [row for row in rows.to_pylist() if row["effective_from"] <= as_of]
        if not started:
            raise ScoringError(f"no risk bands in force on {as_of}: gold.risk_bands starts later")
        latest = max(row["effective_from"] for row in started)
        bands = sorted((row for row in started if row["effective_from"] == latest), key=lambda row: row["band_order"])
        versions = sorted({row["policy_version"] for row in bands})
        if len(versions) > 1:
            raise ScoringError(f"two policy versions start on {latest}: {', '.join(versions)}")
        return cls(versions[0], _edges(bands), tuple(row["band"] for row in bands))

    def indices(self, pd: np.ndarray) -> np.ndarray:
        """Band number of each PD, int64 (n,)."""
        return np.searchsorted(np.asarray(self.edges), pd, side="right") - 1

    def of(self, pd: np.ndarray) -> pa.Array:
        """Band name of each PD."""
        indices = pa.array(self.indices(pd), pa.int32())
        return pa.DictionaryArray.from_arrays(indices, pa.array(self.names)).cast(pa.string())


def _edges(bands: list[dict[str, Any]]) -> tuple[float, ...]:
    for lower, upper in pairwise(bands):
        if lower["pd_upper"] != upper["pd_lower"]:
            raise ScoringError(f"gap or overlap between bands {lower['band']} and {upper['band']}")
    return (*(float(band["pd_lower"]) for band in bands), float(bands[-1]["pd_upper"]))
