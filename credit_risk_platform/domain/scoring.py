"""The one `score()`: portfolio, micro-batch, API and replay all come through here.

A row's score and decision depend on that row, the bundle and the policy only: never on the batch it came in, its size
or its order. What goes into a score is stored with it (`numeric_inputs`, `categorical_inputs`), so that it can be
recomputed.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from credit_risk_platform.domain.bands import Bands, ScoringError
from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.decision_reasons import reasons_of
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.points import points
from credit_risk_platform.domain.policy import Policy

__all__ = ["SCORE_SCHEMA", "Bands", "ScoringError", "decide", "points", "predict", "score", "score_inputs"]

SCORE_SCHEMA = pa.schema(
    [
        ("loan_id", pa.string()),
        ("subject_token", pa.string()),
        ("as_of", pa.date32()),
        ("pd", pa.float64()),
        ("points", pa.float64()),
        ("band", pa.string()),
        ("decision", pa.string()),
        ("reasons", pa.list_(pa.string())),
        ("rules", pa.list_(pa.string())),
        ("policy_version", pa.string()),
        ("model_name", pa.string()),
        ("bundle_sha", pa.string()),
        ("feature_sql_hash", pa.string()),
        ("numeric_inputs", pa.list_(pa.float64())),
        ("categorical_inputs", pa.list_(pa.string())),
    ]
)


def score(bundle: ModelBundle, features: pa.Table, as_of: date, policy: Policy | Bands) -> pa.Table:
    """Score rows (`SCORE_SCHEMA`) for a table with `loan_id`, `subject_token` and the bundle's features.

    With `Bands` alone nothing is decided: decision, reasons and rules are null. Missing values and unseen categories
    are scored as missing and as 'other'. Raises `BundleError` with the difference when the table does not fit the
    bundle, `ScoringError` when the identifying columns are absent, and what `decide` raises.
    """
    absent = [name for name in ("loan_id", "subject_token") if name not in features.column_names]
    if absent:
        raise ScoringError(f"cannot name the scores: column {', '.join(absent)} is missing")
    bundle.check_features(features)
    frame = FeatureTable.from_arrow(features, bundle.features)
    pd = predict(bundle, frame)
    same: dict[str, Any] = {
        "as_of": pa.scalar(as_of, pa.date32()),
        "policy_version": policy.policy_version,
        "model_name": bundle.name,
        "bundle_sha": bundle.sha256,
        "feature_sql_hash": bundle.feature_sql_hash,
    }
    own: dict[str, Any] = {
        "loan_id": features.column("loan_id").cast(pa.string()),
        "subject_token": features.column("subject_token").cast(pa.string()),
        "pd": pa.array(pd),
        "points": pa.array(points(pd)),
        **decide(bundle, frame, pd, policy),
        "numeric_inputs": frame.numeric_inputs(),
        "categorical_inputs": frame.categorical_inputs(),
    }
    columns = {**own, **{name: pa.repeat(value, frame.rows) for name, value in same.items()}}
    return pa.table([columns[field.name] for field in SCORE_SCHEMA], schema=SCORE_SCHEMA)


def decide(bundle: ModelBundle, frame: FeatureTable, pd: np.ndarray, policy: Policy | Bands) -> dict[str, pa.Array]:
    """Columns band, decision, reasons and rules (n,) of rows with their PDs (n,): what `score()` says, and a replay.

    Raises `PolicyError` when the policy reads what the model does not, `BundleError` when the bundle is too old to
    give reasons.
    """
    if isinstance(policy, Bands):
        texts = pa.nulls(frame.rows, pa.list_(pa.string()))
        return {"band": policy.of(pd), "decision": pa.nulls(frame.rows, pa.string()), "reasons": texts, "rules": texts}
    decided = policy.decide(frame, pd)
    return {
        "band": policy.bands.of(pd),
        "decision": decided.decision,
        "reasons": reasons_of(bundle, frame, decided, policy),
        "rules": decided.rules,
    }


def score_inputs(bundle: ModelBundle, numeric: pa.Array, categorical: pa.Array) -> np.ndarray:
    """PD (n,) from the inputs stored with scores: bit-equal to what `score()` gave, or the replay has found a fault."""
    return predict(bundle, FeatureTable.from_inputs(numeric, categorical, bundle.features))


def predict(bundle: ModelBundle, frame: FeatureTable) -> np.ndarray:
    """Calibrated PD, float64 (n,)."""
    return bundle.calibrator.apply(bundle.model.predict(frame))
