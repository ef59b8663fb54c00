"""What the candidates achieved, kept in the warehouse: one row per candidate and training set, one per metric.

The leader board and the promotion read it; nothing is handed from asset to asset, so candidates may be trained one by
one, in any run, and only those of the present training set compete.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import pyarrow as pa

from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.promotion import Contender

CANDIDATES = "models.candidates"
METRICS = "models.candidate_metrics"

Measured = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""split -> metric -> {value, low, high}, as a bundle stores them; null where nothing could be measured."""


@dataclass(frozen=True)
class Candidate:
    """One trained candidate.

    Losses are mean log-losses; `fold_auc_*` are over time-ordered folds (None: not tuned). `rules_lift` and
    `model_lift`: bad rate of the declined over the overall one, at the rules' `declined_share`.
    """

    training_fingerprint: str
    name: str
    bundle_sha: str
    mlflow_run_id: str
    params: str
    calibrator: str
    validation_loss: float
    intercept_shift: float
    fold_auc_mean: float | None
    fold_auc_sd: float | None
    learnt_rows: int
    declined_share: float | None
    rules_lift: float | None
    model_lift: float | None


_ARROW = {"str": pa.string(), "int": pa.int64(), "float": pa.float64(), "float | None": pa.float64()}
_SCHEMA = pa.schema([(field.name, _ARROW[str(field.type)]) for field in fields(Candidate)])
_METRIC_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("training_fingerprint", "name", "split", "metric")]
    + [(name, pa.float64()) for name in ("value", "low", "high")]
)


def record(warehouse: Warehouse, candidate: Candidate, metrics: Measured) -> None:
    """Keep a candidate's result; training it again on the same set replaces it."""
    key = {"training_fingerprint": candidate.training_fingerprint, "name": candidate.name}
    rows = [
        {**key, "split": split, "metric": metric, **{part: found[part] for part in ("value", "low", "high")}}
        for split, measured in metrics.items()
        for metric, found in measured.items()
    ]
    where, params = "training_fingerprint = ? and name = ?", list(key.values())
    with warehouse.transaction() as transaction:
        transaction.replace(CANDIDATES, pa.Table.from_pylist([asdict(candidate)], _SCHEMA), where, params)
        transaction.replace(METRICS, pa.Table.from_pylist(rows, _METRIC_SCHEMA), where, params)


def trained_on(warehouse: Warehouse, fingerprint: str, names: Sequence[str]) -> list[Candidate]:
    """Candidates trained on this very set, in the order of `names`; those not trained on it are absent."""
    if not warehouse.exists(CANDIDATES):
        return []
    found = warehouse.query(f"select * from {CANDIDATES} where training_fingerprint = ?", [fingerprint]).to_pylist()
    by_name = {row["name"]: Candidate(**row) for row in found}
    return [by_name[name] for name in names if name in by_name]


def metrics_of(warehouse: Warehouse, fingerprint: str) -> dict[str, dict[str, dict[str, float]]]:
    """Candidate -> split -> metric -> value, for one training set; what could not be measured is absent."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    rows = warehouse.query(
        f"select name, split, metric, value from {METRICS} where training_fingerprint = ? and value is not null",
        [fingerprint],
    )
    for row in rows.to_pylist():
        found.setdefault(row["name"], {}).setdefault(row["split"], {})[row["metric"]] = row["value"]
    return found


def contenders(warehouse: Warehouse, fingerprint: str, names: Sequence[str]) -> dict[str, tuple[Candidate, Contender]]:
    """Name -> what was recorded and what the promotion rules look at, for the candidates trained on this very set."""
    found = trained_on(warehouse, fingerprint, names)
    metrics = metrics_of(warehouse, fingerprint) if found else {}
    return {
        candidate.name: (
            candidate,
            Contender(
                candidate.name,
                candidate.bundle_sha,
                metrics[candidate.name],
                candidate.validation_loss,
                candidate.intercept_shift,
            ),
        )
        for candidate in found
    }


def values(measured: Measured) -> dict[str, dict[str, float]]:
    """Split -> metric -> value of what could be measured."""
    return {
        split: {name: float(part["value"]) for name, part in found.items() if part["value"] is not None}
        for split, found in measured.items()
    }


def flat(measured: Measured) -> dict[str, float]:
    """`<split>.<metric>` with the ends of its interval as `.low` and `.high`, as MLflow names them."""
    found: dict[str, float] = {}
    for split, metrics in measured.items():
        for name, parts in metrics.items():
            ends = {
                f"{split}.{name}": parts["value"],
                f"{split}.{name}.low": parts["low"],
                f"{split}.{name}.high": parts["high"],
            }
            found.update({key: float(value) for key, value in ends.items() if value is not None})
    return found
