"""What an experiment shows: approval rates and PDs of both models, the difference, and what the stop rule says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from credit_risk_platform.adapters.decisions import TABLE as DECISIONS
from credit_risk_platform.adapters.shadow import ARM, SCORES, lot_of
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.experiments import (
    Arm,
    Effect,
    Experiment,
    Mode,
    paired_effect,
    two_sample_effect,
    verdict,
)
from credit_risk_platform.domain.policy import Decision

READOUT = "gold.experiment_readout"
Z_95 = 1.959964
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
    params = [*lot_of(experiment), experiment.started, experiment.ended, experiment.challenger_sha]
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
    from (select *, {ARM} as arm from {DECISIONS} where decided_at >= ? and coalesce(decided_at < ?, true))
    where (arm = '{Arm.CHALLENGER}') = (bundle_sha = ?)
    group by arm
"""
