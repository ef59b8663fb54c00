"""What a champion learnt from, as bins: the fixed yardstick of all drift, kept so that it outlives the training set.

Features are cut on the training split, the PD on the held-out vintages (validation and out-of-time), where it is
honest. Made once per bundle and stored: the training set is rebuilt every week, the yardstick must not move with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from credit_risk_platform.adapters import training_data
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.drift import Bins
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.scoring import predict
from credit_risk_platform.domain.splits import Split

TABLE = "monitoring.reference_bins"
PD = "pd"
HELD_OUT = (Split.VALIDATION, Split.OUT_OF_TIME)
BATCH_ROWS = 250_000


class NoReferenceError(LookupError):
    """There is nothing to measure drift against; the message says what to materialise."""


@dataclass(frozen=True)
class Reference:
    """Bins of each feature and of the PD. `own`: cut on the very training set the bundle was trained on.

    `learnt_until` is the last issue month of that set: later vintages are new to the bundle.
    """

    bundle_sha: str
    own: bool
    learnt_until: date
    bins: dict[str, Bins]

    @property
    def described(self) -> str:
        """One line for a report."""
        return (
            "the training set of the champion"
            if self.own
            else "the present training set (the champion's own was replaced before its bins were kept)"
        )


def reference_of(warehouse: Warehouse, bundle: ModelBundle) -> Reference:
    """The bundle's yardstick: as stored, or cut now and stored. Raises `NoReferenceError` without a training set."""
    return _stored(warehouse, bundle.sha256) or _cut(warehouse, bundle)


def _stored(warehouse: Warehouse, sha: str) -> Reference | None:
    if not warehouse.exists(TABLE):
        return None
    rows = warehouse.query(f"select * from {TABLE} where bundle_sha = ?", [sha]).to_pylist()
    if not rows:
        return None
    bins = {row["feature"]: Bins.from_dict(json.loads(row["bins"])) for row in rows}
    return Reference(sha, rows[0]["own"], rows[0]["learnt_until"], bins)


def require_training_set(warehouse: Warehouse, bundle: ModelBundle) -> None:
    """Raises `NoReferenceError` where the training set is absent or lacks a feature of the bundle."""
    if not warehouse.exists(training_data.TABLE):
        raise NoReferenceError(f"{training_data.TABLE} is not there: materialise gold/training_set first")
    absent = {feature.name for feature in bundle.features} - set(warehouse.columns(training_data.TABLE))
    if absent:
        raise NoReferenceError(
            f"the training set no longer holds {', '.join(sorted(absent))}, which {bundle.name} reads: train anew"
        )


def _cut(warehouse: Warehouse, bundle: ModelBundle) -> Reference:
    require_training_set(warehouse, bundle)
    bins = {feature.name: _feature_bins(warehouse, feature.name) for feature in bundle.features}
    bins[PD] = Bins.fit(PD, pa.array(_held_out_pds(warehouse, bundle)))
    own = training_data.fingerprint(warehouse) == bundle.training_fingerprint
    last = warehouse.query(f"select max(issue_month) as last from {training_data.TABLE}")["last"][0].as_py()
    reference = Reference(bundle.sha256, own, last, bins)
    warehouse.upsert(TABLE, _rows(reference), ["bundle_sha", "feature"])
    return reference


def _feature_bins(warehouse: Warehouse, name: str) -> Bins:
    """One column at a time: ten million doubles are 80 MB, fifty columns of them would not be bounded."""
    values = warehouse.query(f"select {name} from {training_data.TABLE} where split = ?", [str(Split.TRAIN)])
    return Bins.fit(name, values[name])


def _held_out_pds(warehouse: Warehouse, bundle: ModelBundle) -> np.ndarray:
    sql = f"select * from {training_data.TABLE} where split in (?, ?)"
    with warehouse.stream(sql, [str(split) for split in HELD_OUT], BATCH_ROWS) as batches:
        return np.concatenate([np.empty(0), *_predicted(bundle, batches)])


def _predicted(bundle: ModelBundle, batches: Iterator[pa.RecordBatch]) -> Iterator[np.ndarray]:
    for batch in batches:
        yield predict(bundle, FeatureTable.from_arrow(pa.Table.from_batches([batch]), bundle.features))


def _rows(reference: Reference) -> pa.Table:
    count = len(reference.bins)
    return pa.table(
        {
            "bundle_sha": pa.repeat(reference.bundle_sha, count),
            "feature": list(reference.bins),
            "own": pa.repeat(reference.own, count),
            "learnt_until": pa.repeat(reference.learnt_until, count),
            "bins": [json.dumps(bins.to_dict(), sort_keys=True) for bins in reference.bins.values()],
        }
    )
