"""The one `score()`: portfolio, micro-batch, API and replay all come through here.

A row's score depends on that row, the bundle and the bands only: never on the batch it came in, its size or its
order. What goes into a score is stored with it (`numeric_inputs`, `categorical_inputs`), so it can be recomputed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.models.frame import FeatureTable

POINTS_FACTOR = 28.85390081777927
"""PDO / ln 2 with PDO = 20: 20 points double the odds (Siddiqi)."""
POINTS_OFFSET = 487.1228762045055
"""600 - factor * ln 50: 600 points stand for odds of 50 good to 1 bad."""

SCORE_SCHEMA = pa.schema(
    [
        ("loan_id", pa.string()),
        ("subject_token", pa.string()),
        ("as_of", pa.date32()),
        ("pd", pa.float64()),
        ("points", pa.float64()),
        ("band", pa.string()),
        ("policy_version", pa.string()),
        ("model_name", pa.string()),
        ("bundle_sha", pa.string()),
        ("feature_sql_hash", pa.string()),
        ("numeric_inputs", pa.list_(pa.float64())),
        ("categorical_inputs", pa.list_(pa.string())),
    ]
)


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


def points(pd: np.ndarray) -> np.ndarray:
    """Scorecard points of a PD: 600 at 50:1, 20 more when the odds double. PD 2 % -> 599.417073."""
    return POINTS_OFFSET + POINTS_FACTOR * np.log((1.0 - pd) / pd)


def score(bundle: ModelBundle, features: pa.Table, as_of: date, bands: Bands) -> pa.Table:
    """Score rows (`SCORE_SCHEMA`) for a table with `loan_id`, `subject_token` and the bundle's features.

    Missing values and unseen categories are scored as missing and as 'other'. Raises `BundleError` with the
    difference when the table does not fit the bundle, `ScoringError` when the identifying columns are absent.
    """
    absent = [name for name in ("loan_id", "subject_token") if name not in features.column_names]
    if absent:
        raise ScoringError(f"cannot name the scores: column {', '.join(absent)} is missing")
    bundle.check_features(features)
    frame = FeatureTable.from_arrow(features, bundle.features)
    pd = predict(bundle, frame)
    same: dict[str, Any] = {
        "as_of": pa.scalar(as_of, pa.date32()),
        "policy_version": bands.policy_version,
        "model_name": bundle.name,
        "bundle_sha": bundle.sha256,
        "feature_sql_hash": bundle.feature_sql_hash,
    }
    own: dict[str, Any] = {
        "loan_id": features.column("loan_id").cast(pa.string()),
        "subject_token": features.column("subject_token").cast(pa.string()),
        "pd": pa.array(pd),
        "points": pa.array(points(pd)),
        "band": bands.of(pd),
        "numeric_inputs": frame.numeric_inputs(),
        "categorical_inputs": frame.categorical_inputs(),
    }
    columns = {**own, **{name: pa.repeat(value, frame.rows) for name, value in same.items()}}
    return pa.table([columns[field.name] for field in SCORE_SCHEMA], schema=SCORE_SCHEMA)


def score_inputs(bundle: ModelBundle, numeric: pa.Array, categorical: pa.Array) -> np.ndarray:
    """PD (n,) from the inputs stored with scores: bit-equal to what `score()` gave, or the replay has found a fault."""
    return predict(bundle, FeatureTable.from_inputs(numeric, categorical, bundle.features))


def predict(bundle: ModelBundle, frame: FeatureTable) -> np.ndarray:
    """Calibrated PD, float64 (n,)."""
    return bundle.calibrator.apply(bundle.model.predict(frame))


def _edges(bands: list[dict[str, Any]]) -> tuple[float, ...]:
    for lower, upper in pairwise(bands):
        if lower["pd_upper"] != upper["pd_lower"]:
            raise ScoringError(f"gap or overlap between bands {lower['band']} and {upper['band']}")
    return (*(float(band["pd_lower"]) for band in bands), float(bands[-1]["pd_upper"]))
