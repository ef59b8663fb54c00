"""The challenger's scores of applications that are decided already, and what an experiment shows so far.

Shadow scores are computed from the inputs that the ledger keeps, after the decision, into a table of their own: there
is no way for them to act.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from credit_risk_platform.adapters.bundles import BundleNotFoundError, BundleStore
from credit_risk_platform.adapters.decisions import TABLE as DECISIONS
from credit_risk_platform.adapters.ledger import LEDGER
from credit_risk_platform.adapters.warehouse.base import Select, Warehouse
from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.experiments import (
    HASH_DIGITS,
    Arm,
    Effect,
    Experiment,
    Mode,
    paired_effect,
    two_sample_effect,
    verdict,
)
from credit_risk_platform.domain.models.frame import FeatureTable, InputFeature
from credit_risk_platform.domain.policy import Decision, Policy
from credit_risk_platform.domain.scoring import predict

SCORES = "gold.shadow_scores"
READOUT = "gold.experiment_readout"
BATCH_ROWS = 50_000
Z_95 = 1.959964
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
READOUT_SCHEMA = pa.schema(
    [
        ("experiment_id", pa.string()),
        ("mode", pa.string()),
        ("started", pa.timestamp("us")),
        ("ended", pa.timestamp("us")),
        ("share", pa.float64()),
        ("sample", pa.int64()),
        ("champion_sample", pa.int64()),
        ("challenger_sample", pa.int64()),
        ("disagreements", pa.int64()),
        ("mean_pd_difference", pa.float64()),
        ("pd_difference_low", pa.float64()),
        ("pd_difference_high", pa.float64()),
        *((name, pa.float64()) for name in Effect.__dataclass_fields__),
        ("verdict", pa.string()),
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


def readout(warehouse: Warehouse, experiment: Experiment) -> dict[str, Any]:
    """What the experiment shows by now, as a row of `READOUT_SCHEMA`; also kept in the table of that name."""
    figures = _shadow(warehouse, experiment) if experiment.mode is Mode.SHADOW else _split(warehouse, experiment)
    effect = figures.pop("effect")
    row = {
        "experiment_id": experiment.id,
        "mode": str(experiment.mode),
        "started": experiment.started,
        "ended": experiment.ended,
        "share": experiment.share,
        **figures,
        **(vars(effect) if effect else {}),
        "verdict": verdict(effect, figures["sample"], experiment.stop_rule),
    }
    table = pa.Table.from_pylist([row], READOUT_SCHEMA)
    warehouse.upsert(READOUT, table, ["experiment_id"])
    return dict(table.to_pylist()[0])


def no_readout(warehouse: Warehouse) -> None:
    """The table without a row, where nobody ever experimented."""
    warehouse.append_missing(READOUT, READOUT_SCHEMA.empty_table(), ["experiment_id"])


def flips(warehouse: Warehouse, experiment: Experiment) -> pa.Table:
    """Champion's decision by challenger's decision: how many applications, and their mean PDs."""
    sql = f"""
        select champion_decision as champion, challenger_decision as challenger, count(*) as applications,
            avg(champion_pd) as champion_pd, avg(challenger_pd) as challenger_pd
        from {SCORES} where experiment_id = ? group by all order by all
    """
    return warehouse.query(sql, [experiment.id])


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
    params = [experiment.id, *_lot(experiment), experiment.challenger_sha, now]
    with warehouse.transaction({"challenged": rows, "shadowed": Select(_SHADOWED, params)}) as transaction:
        return transaction.append_missing(SCORES, Select("select * from shadowed"), ["experiment_id", "score_id"])


def _shadow(warehouse: Warehouse, experiment: Experiment) -> dict[str, Any]:
    row = warehouse.query(_PAIRED, [experiment.id]).to_pylist()[0]
    effect = paired_effect(
        row["both"], row["only_champion"], row["only_challenger"], row["neither"], experiment.stop_rule
    )
    reach = Z_95 * (row["sd"] or 0.0) / np.sqrt(max(row["sample"], 1))
    mean = row["mean_pd_difference"]
    return {
        "sample": row["sample"],
        "champion_sample": row["sample"],
        "challenger_sample": row["sample"],
        "disagreements": row["disagreements"],
        "mean_pd_difference": mean,
        "pd_difference_low": None if mean is None else mean - reach,
        "pd_difference_high": None if mean is None else mean + reach,
        "effect": effect,
    }


def _split(warehouse: Warehouse, experiment: Experiment) -> dict[str, Any]:
    """Arms as they decided: an application counts where the model that scored it is the one its lot says."""
    params = [*_lot(experiment), experiment.started, experiment.ended, experiment.challenger_sha]
    found = {row["arm"]: row for row in warehouse.query(_ARMS, params).to_pylist()}
    none = {"n": 0, "approved": 0, "mean_pd": None, "variance": 0.0}
    champion, challenger = (found.get(str(arm), none) for arm in (Arm.CHAMPION, Arm.CHALLENGER))
    counts = [(side["approved"], side["n"]) for side in (champion, challenger)]
    mean = reach = None
    if champion["n"] and challenger["n"]:
        mean = challenger["mean_pd"] - champion["mean_pd"]
        reach = Z_95 * float(np.sqrt(sum((s["variance"] or 0.0) / s["n"] for s in (champion, challenger))))
    return {
        "sample": champion["n"] + challenger["n"],
        "champion_sample": champion["n"],
        "challenger_sample": challenger["n"],
        "disagreements": None,
        "mean_pd_difference": mean,
        "pd_difference_low": None if mean is None or reach is None else mean - reach,
        "pd_difference_high": None if mean is None or reach is None else mean + reach,
        "effect": two_sample_effect(counts[0], counts[1], experiment.stop_rule),
    }


def _features(bundles: BundleStore, sha: str) -> tuple[InputFeature, ...] | None:
    try:
        return bundles.load(sha).features
    except BundleNotFoundError:
        return None


def _since(experiment: Experiment) -> list[Any]:
    return [experiment.started, experiment.ended, experiment.id]


def _lot(experiment: Experiment) -> list[Any]:
    return [f"{experiment.id}|", experiment.share]


_ARM = f"""
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
    select ? as experiment_id, score_id, subject_token, {_ARM} as arm, champion_sha, ? as challenger_sha,
        policy_version, champion_pd, challenger_pd, champion_decision, challenger_decision, ?::timestamp as scored_at
    from challenged
"""
_YES = f"= '{Decision.APPROVE}'"
_PAIRED = f"""
    select count(*) as sample, count(*) filter (champion_decision <> challenger_decision) as disagreements,
        count(*) filter (champion_decision {_YES} and challenger_decision {_YES}) as both,
        count(*) filter (champion_decision {_YES} and not challenger_decision {_YES}) as only_champion,
        count(*) filter (not champion_decision {_YES} and challenger_decision {_YES}) as only_challenger,
        count(*) filter (not champion_decision {_YES} and not challenger_decision {_YES}) as neither,
        avg(challenger_pd - champion_pd) as mean_pd_difference, stddev_samp(challenger_pd - champion_pd) as sd
    from {SCORES} where experiment_id = ?
"""
_ARMS = f"""
    select arm, count(*) as n, count(*) filter (policy_decision {_YES}) as approved, avg(pd) as mean_pd,
        var_samp(pd) as variance
    from (select *, {_ARM} as arm from {DECISIONS} where decided_at >= ? and coalesce(decided_at < ?, true))
    where (arm = '{Arm.CHALLENGER}') = (bundle_sha = ?)
    group by arm
"""
