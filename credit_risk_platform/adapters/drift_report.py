"""Drift of a day, measured in SQL over everybody: counts per fixed bin, PSI per feature, one row each.

Two populations, because they answer different questions. `new_applications` (decided in the last 90 days) are what the
model was made for: drift there calls for a new model. `portfolio` (all open loans) is also shaped by who has left.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from credit_risk_platform.adapters.drift_reference import PD, Reference
from credit_risk_platform.adapters.ledger import SCORES
from credit_risk_platform.adapters.portfolio import FEATURES, OPEN, OUTCOMES, open_on
from credit_risk_platform.adapters.warehouse.base import Select, Warehouse, Workspace
from credit_risk_platform.domain.drift import Bins, Drift

FEATURE_DRIFT = "monitoring.feature_drift"
SCORE_DRIFT = "monitoring.score_drift"
PORTFOLIO, NEW = "portfolio", "new_applications"
NEW_DAYS = 90


@dataclass(frozen=True)
class Measured:
    """Drift of one feature in one population, with the shares behind it (bins in the order of `labels`)."""

    population: str
    drift: Drift
    labels: tuple[str, ...]
    expected: tuple[float, ...]
    actual: tuple[float, ...]


def feature_drift(warehouse: Warehouse, reference: Reference, as_of: date) -> list[Measured]:
    """Every feature of the bundle, for both populations of the day."""
    names = [name for name in reference.bins if name != PD]
    decided = f"select loan_id, decision_date > ? as is_new, {OPEN} as is_open from {OUTCOMES} where decision_date <= ?"
    population = Select(
        f"select {', '.join(names)}, is_open, is_new from {FEATURES} join ({decided}) using (loan_id)",
        [as_of - timedelta(days=NEW_DAYS), *open_on(as_of), as_of],
    )
    with warehouse.workspace() as workspace:
        workspace.stage("population", population)
        return [found for name in names for found in _measure(workspace, reference.bins[name])]


def score_drift(warehouse: Warehouse, reference: Reference, as_of: date) -> list[Measured]:
    """The PDs of the day against those of the held-out vintages, for both populations."""
    population = Select(
        f"""
        select pd, true as is_open, decision_date > ? as is_new
        from {SCORES} join {OUTCOMES} using (loan_id) where as_of = ?
        """,
        [as_of - timedelta(days=NEW_DAYS), as_of],
    )
    with warehouse.workspace() as workspace:
        workspace.stage("population", population)
        return list(_measure(workspace, reference.bins[PD]))


def rows_of(measured: Sequence[Measured], as_of: date, bundle_sha: str) -> pa.Table:
    """The rows kept for a day: `FEATURE_DRIFT` and `SCORE_DRIFT` have the same columns."""
    return pa.Table.from_pylist([_row(found, as_of, bundle_sha) for found in measured], _SCHEMA)


def version_of(rows: pa.Table) -> str:
    """Hash of the content of a day's rows."""
    return hashlib.sha256(json.dumps(rows.to_pylist(), default=str).encode()).hexdigest()


def _measure(workspace: Workspace, bins: Bins) -> Iterator[Measured]:
    for population, counts in _counts(workspace, bins).items():
        yield Measured(population, bins.compare(counts), bins.labels, _shares(np.asarray(bins.counts)), _shares(counts))


def _counts(workspace: Workspace, bins: Bins) -> Mapping[str, np.ndarray]:
    """Rows per bin and population, in the order of `Bins.labels`."""
    expression, params = bin_number(bins)
    found = workspace.query(
        f"""
        select {expression} as bin, count(*) filter (is_open) as {PORTFOLIO}, count(*) filter (is_new) as {NEW}
        from population group by bin
        """,
        params,
    )
    counts = {population: np.zeros(len(bins.labels), dtype=np.int64) for population in (NEW, PORTFOLIO)}
    for population, filled in counts.items():
        filled[found["bin"].to_numpy()] = found[population].to_numpy()
    return counts


def bin_number(bins: Bins) -> tuple[str, list[Any]]:
    """SQL (and its parameters) of a value's place in `Bins.labels`, where `Bins.count` would put it."""
    name, last = bins.feature, len(bins.labels) - 1
    if bins.levels is None:
        steps = " ".join(f"when {name} <= ? then {k}" for k in range(len(bins.edges)))
        return f"case when {name} is null or isnan({name}) then {last} {steps} else {last - 1} end", list(bins.edges)
    steps = " ".join(f"when {name} = ? then {k}" for k in range(len(bins.levels)))
    return f"case when {name} is null then {last} {steps} else {last - 1} end", list(bins.levels)


def _shares(counts: np.ndarray) -> tuple[float, ...]:
    return tuple((counts / max(int(counts.sum()), 1)).tolist())


def _row(found: Measured, as_of: date, bundle_sha: str) -> dict[str, Any]:
    return {
        "as_of": as_of,
        "bundle_sha": bundle_sha,
        "population": found.population,
        "feature": found.drift.feature,
        "psi": found.drift.psi,
        "verdict": str(found.drift.verdict),
        "expected_rows": found.drift.expected_rows,
        "actual_rows": found.drift.actual_rows,
        "bin_labels": found.labels,
        "expected_shares": found.expected,
        "actual_shares": found.actual,
    }


_SCHEMA = pa.schema(
    [
        ("as_of", pa.date32()),
        ("bundle_sha", pa.string()),
        ("population", pa.string()),
        ("feature", pa.string()),
        ("psi", pa.float64()),
        ("verdict", pa.string()),
        ("expected_rows", pa.int64()),
        ("actual_rows", pa.int64()),
        ("bin_labels", pa.list_(pa.string())),
        ("expected_shares", pa.list_(pa.float64())),
        ("actual_shares", pa.list_(pa.float64())),
    ]
)
