"""The challenger's scores of applications that are decided already.

Shadow scores are computed from the inputs that the ledger keeps, after the decision, into a table of their own: there
is no way for them to act.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pyarrow as pa

from credit_risk_platform.adapters.bundles import BundleNotFoundError, BundleStore
from credit_risk_platform.adapters.decisions import TABLE as DECISIONS
from credit_risk_platform.adapters.ledger import LEDGER
from credit_risk_platform.adapters.warehouse.base import Select, Warehouse
from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.experiments import HASH_DIGITS, Arm, Experiment
from credit_risk_platform.domain.models.frame import FeatureTable, InputFeature
from credit_risk_platform.domain.policy import Policy
from credit_risk_platform.domain.scoring import predict

SCORES = "gold.shadow_scores"
BATCH_ROWS = 50_000
SCHEMA = pa.schema(
    [
        ("experiment_id", pa.string()),
        ("score_id", pa.string()),
        ("subject_token", pa.string()),
        ("arm", pa.string()),
        ("champion_sha", pa.string()),
        ("challenger_sha", pa.string()),
        ("policy_version", pa.string()),
        ("champion_pd", pa.float64()),
        ("challenger_pd", pa.float64()),
        ("champion_decision", pa.string()),
        ("challenger_decision", pa.string()),
        ("scored_at", pa.timestamp("us")),
    ]
)


def score(
    warehouse: Warehouse, bundles: BundleStore, policies: Mapping[str, Policy], experiment: Experiment | None,
    now: datetime,
) -> int:  # fmt: skip
    """Score what was decided since the experiment began and has no shadow score; how many.

    Left out are scores of a bundle that is gone or reads other features, and of policy versions no longer on file.
    """
    warehouse.append_missing(SCORES, SCHEMA.empty_table(), ["experiment_id", "score_id"])
    if experiment is None or not warehouse.exists(DECISIONS) or not warehouse.exists(LEDGER):
        return 0
    challenger = bundles.load(experiment.challenger_sha)
    written = 0
    for group in warehouse.query(_GROUPS, _since(experiment)).to_pylist():
        policy = policies.get(group["policy_version"])
        if policy is None or _features(bundles, group["bundle_sha"]) != challenger.features:
            continue
        params = [*_since(experiment), group["bundle_sha"], group["policy_version"]]
        with warehouse.stream(_INPUTS, params, BATCH_ROWS) as batches:
            scored = [_challenged(batch, challenger, policy) for batch in batches]
        for rows in scored:
            written += _append(warehouse, rows, experiment, now)
    return written


def _challenged(batch: pa.RecordBatch, challenger: ModelBundle, policy: Policy) -> pa.Table:
    """The rows with the challenger's PD and what the same policy says to it."""
    numeric, categorical = batch.column("numeric_inputs"), batch.column("categorical_inputs")
    frame = FeatureTable.from_inputs(numeric, categorical, challenger.features)
    pd = predict(challenger, frame)
    kept = pa.Table.from_batches([batch]).drop_columns(["numeric_inputs", "categorical_inputs"])
    return kept.append_column("challenger_pd", pa.array(pd)).append_column(
        "challenger_decision", policy.decide(frame, pd).decision
    )


def _append(warehouse: Warehouse, rows: pa.Table, experiment: Experiment, now: datetime) -> int:
    params = [experiment.id, *lot_of(experiment), experiment.challenger_sha, now]
    with warehouse.transaction({"challenged": rows, "shadowed": Select(_SHADOWED, params)}) as transaction:
        return transaction.append_missing(SCORES, Select("select * from shadowed"), ["experiment_id", "score_id"])


def _features(bundles: BundleStore, sha: str) -> tuple[InputFeature, ...] | None:
    try:
        return bundles.load(sha).features
    except BundleNotFoundError:
        return None


def _since(experiment: Experiment) -> list[Any]:
    return [experiment.started, experiment.ended, experiment.id]


def lot_of(experiment: Experiment) -> list[Any]:
    """The parameters of `ARM`."""
    return [f"{experiment.id}|", experiment.share]


ARM = f"""
    case when ('0x' || left(sha256(? || subject_token), {HASH_DIGITS}))::bigint / {16**HASH_DIGITS}.0::double < ?
        then '{Arm.CHALLENGER}' else '{Arm.CHAMPION}' end
"""
"""`domain.experiments.lot` said in SQL."""
_DECIDED = f"""
    from {DECISIONS} as made
    where decided_at >= ? and coalesce(decided_at < ?, true)
        and not exists (select 1 from {SCORES} as s where s.experiment_id = ? and s.score_id = made.score_id)
"""
_GROUPS = f"select distinct bundle_sha, policy_version {_DECIDED} order by all"
_INPUTS = f"""
    with wanted as (select score_id, as_of {_DECIDED} and bundle_sha = ? and policy_version = ?)
    select score_id, subject_token, bundle_sha as champion_sha, policy_version, pd as champion_pd,
        decision as champion_decision, numeric_inputs, categorical_inputs
    from {LEDGER}
    where score_id in (select score_id from wanted)
        and as_of between (select min(as_of) from wanted) and (select max(as_of) from wanted)
"""
_SHADOWED = f"""
    select ? as experiment_id, score_id, subject_token, {ARM} as arm, champion_sha, ? as challenger_sha,
        policy_version, champion_pd, challenger_pd, champion_decision, challenger_decision, ?::timestamp as scored_at
    from challenged
"""
