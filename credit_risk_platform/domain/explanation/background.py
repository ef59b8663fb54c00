"""The loans that explanations compare with: which a bundle keeps, which stand for a cut-off, how they are stored."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from credit_risk_platform.domain.models.frame import NUMERIC, FeatureLike, FeatureTable

KEPT = 1_000
"""Loans in a bundle: enough to find a hundred near any sensible cut-off, half a megabyte at forty features."""
MARGINAL = 100
"""Loans of one background: explaining costs in proportion to it, and their mean settles within a few per cent."""


def over_ranks(pd: np.ndarray, at_most: int = KEPT) -> np.ndarray:
    """Row numbers (at most `at_most`) evenly over the ranks of `pd` (n,), lowest first; ties in row order."""
    order = np.argsort(pd, kind="stable")
    places = np.arange(pd.size) if pd.size <= at_most else np.linspace(0, pd.size - 1, at_most).astype(np.int64)
    return np.asarray(order[places])


def marginal_approvals(pd: np.ndarray, cutoff: float, at_most: int = MARGINAL) -> np.ndarray:
    """Row numbers of the loans nearest below `cutoff`: what an applicant would have had to be like.

    Where no loan lies below, the least risky ones: they came nearest to being approved.
    """
    order = np.argsort(pd, kind="stable")
    approved = order[: int(np.searchsorted(pd[order], cutoff))]
    return np.asarray(approved[-at_most:] if approved.size else order[:at_most])


def to_bytes(background: FeatureTable) -> bytes:
    """Canonical JSON, feature -> values, missing = null: equal loans give equal bytes."""
    numbers = {name: _numbers(background.numeric[:, j]) for j, name in enumerate(background.numeric_names)}
    lists = background.categorical_inputs().flatten().to_pylist()
    width = len(background.categorical_names)
    texts = {name: lists[k::width] for k, name in enumerate(background.categorical_names)}
    return json.dumps({**numbers, **texts}, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def from_bytes(content: bytes, features: Sequence[FeatureLike]) -> FeatureTable:
    """The loans back, with `features` in their order."""
    told = json.loads(content)
    kinds = {feature.name: pa.float64() if str(feature.kind) == NUMERIC else pa.string() for feature in features}
    return FeatureTable.from_arrow(
        pa.table({name: pa.array(told[name], kind) for name, kind in kinds.items()}), features
    )


def _numbers(column: np.ndarray) -> list[float | None]:
    return pa.array(column, from_pandas=True).to_pylist()
