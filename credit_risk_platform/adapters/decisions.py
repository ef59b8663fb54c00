"""Decisions on applications in SQL: what the policy said of each score, with texts, cut-offs and fraud signals.

`score()` decides. Here its decision is joined with the words and figures of its policy version, and a fraud signal may
send an approved application to a person: nothing here declines, and nothing touches a PD.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from credit_risk_platform.adapters import fraud_signals, policy_record
from credit_risk_platform.adapters.api_sink import TOPIC as HTTP
from credit_risk_platform.adapters.ledger import LEDGER
from credit_risk_platform.adapters.table_version import table_version
from credit_risk_platform.adapters.warehouse.base import Select, Warehouse
from credit_risk_platform.domain.policy import SEVERITY, Decision

SCORES = "gold.application_scores"
TABLE = "gold.decisions"
QUEUE = "gold.referral_queue"
AUTO, PERSON, FRAUD = "auto", "referral queue", "fraud review"
_TEXTS = pa.list_(pa.string())
SCHEMA = pa.schema(
    [
        ("score_id", pa.string()),
        ("loan_id", pa.string()),
        ("subject_token", pa.string()),
        ("channel", pa.string()),
        ("as_of", pa.date32()),
        ("decided_at", pa.timestamp("us")),
        ("outcome", pa.string()),
        ("route", pa.string()),
        ("policy_decision", pa.string()),
        ("rules", _TEXTS),
        ("reasons", _TEXTS),
        ("reason_texts", _TEXTS),
        ("fraud_signals", _TEXTS),
        ("pd", pa.float64()),
        ("points", pa.float64()),
        ("band", pa.string()),
        ("approve_below", pa.float64()),
        ("decline_from", pa.float64()),
        ("policy_version", pa.string()),
        ("model_name", pa.string()),
        ("bundle_sha", pa.string()),
        ("run_id", pa.string()),
    ]
)


def prepare(warehouse: Warehouse) -> None:
    """Make the table of decisions, empty, and the referral queue over it, where they are absent."""
    if not warehouse.exists(TABLE):
        with warehouse.transaction() as transaction:
            transaction.append(TABLE, SCHEMA.empty_table())
            transaction.create_view(QUEUE, _QUEUE)


def decide(warehouse: Warehouse) -> int:
    """Write the decision of every score that has none yet, and of those whose fraud signals changed; how many."""
    prepare(warehouse)
    if not (warehouse.exists(SCORES) and warehouse.exists(LEDGER)):
        return 0
    with warehouse.transaction({"due": Select(_DUE), "decided": Select(_DECIDED)}) as transaction:
        return transaction.upsert(TABLE, Select("select * from decided"), ["score_id"])


def lost(warehouse: Warehouse) -> dict[str, Any]:
    """Scores with a decision that have no row here, rows without such a score, and scores that nobody decided on."""
    if not warehouse.exists(SCORES):
        return {"scores": 0, "decisions": 0, "lost": 0, "extra": 0, "undecided": 0}
    sql = f"""
        with scored as (select score_id, any_value(decision) as decision from {SCORES} group by score_id)
        select count(scored.score_id) as scores, count(made.score_id) as decisions,
            count(*) filter (decision is not null and made.score_id is null) as lost,
            count(*) filter (decision is null and made.score_id is not null) as extra,
            count(*) filter (decision is null and scored.score_id is not null) as undecided
        from scored full join {TABLE} as made using (score_id)
    """
    return dict(warehouse.query(sql).to_pylist()[0])


def faults(warehouse: Warehouse) -> dict[str, Any]:
    """Rows that break what must hold of a decision, by kind, with a few score ids."""
    names = list(_FAULTS)
    counted = ", ".join(
        f"count(*) filter ({rule}) as {name}, coalesce((list(score_id order by score_id) filter ({rule}))[:3], []) "
        f"as {name}_examples"
        for name, rule in _FAULTS.items()
    )
    sql = f"select {counted} from {TABLE} left join ({_BLANK_TEXTS}) as blanks on blank = score_id"
    row = warehouse.query(sql).to_pylist()[0]
    return {name: (row[name], row[f"{name}_examples"]) for name in names}


def mix(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Decisions, share, mean PD and how many bear a fraud signal, per outcome, mildest first; 0 where there is none."""
    sql = f"""
        select outcome, count(*) as n, avg(pd) as mean_pd, count(*) filter (array_length(fraud_signals) > 0) as signals
        from {TABLE} group by outcome
    """
    found = {row["outcome"]: row for row in warehouse.query(sql).to_pylist()}
    total = sum(row["n"] for row in found.values()) or 1
    return [
        {"outcome": str(name), "decisions": row.get("n", 0), "share": row.get("n", 0) / total,
         "mean PD": row.get("mean_pd"), "with a fraud signal": row.get("signals", 0)}
        for name in SEVERITY
        for row in (found.get(name, {}),)
    ]  # fmt: skip


def paths(warehouse: Warehouse) -> pa.Table:
    """What led to each outcome: where the PD lay between the cut-offs, the rules that fired, and fraud signals."""
    sql = f"""
        select outcome, route, {_PATH} as path, count(*) as decisions, min(pd) as lowest_pd, max(pd) as highest_pd
        from {TABLE} group by all order by decisions desc, outcome, path
    """
    return warehouse.query(sql)


def top_reasons(warehouse: Warehouse) -> pa.Table:
    """Reason, its approved text, how many decisions name it and in how many it comes first."""
    sql = f"""
        select reason, any_value(text) as text, count(*) as decisions, count(*) filter (place = 1) as first
        from (
            select unnest(reasons) as reason, unnest(reason_texts) as text,
                unnest(range(1, array_length(reasons) + 1)) as place
            from {TABLE} where reasons is not null
        )
        group by reason order by decisions desc, reason
    """
    return warehouse.query(sql)


def waiting(warehouse: Warehouse) -> pa.Table:
    """Applications that wait for a person, per route: how many, since when, and how risky they are."""
    sql = f"""
        select route, count(*) as applications, min(decided_at) as oldest, max(decided_at) as newest,
            avg(pd) as mean_pd
        from {QUEUE} group by route order by route
    """
    return warehouse.query(sql)


def version(warehouse: Warehouse) -> str:
    """Hash over what was decided and why."""
    return table_version(warehouse, TABLE, ("score_id", "outcome", "route", "reasons", "rules", "fraud_signals"))


_SIGNALS = f"""
    select score_id, list(distinct signal order by signal) as signals
    from {SCORES} join {fraud_signals.TABLE} using (event_id) group by score_id
"""
# One application asked several times on a day has one score: it is decided once.
_DUE = f"""
    select scored.*, case when topic = '{HTTP}' then 'api' else 'stream' end as channel,
        coalesce(signals, []) as signals
    from {SCORES} as scored
    left join ({_SIGNALS}) using (score_id)
    left join (select score_id, fraud_signals from {TABLE}) as before using (score_id)
    where decision is not null and before.fraud_signals is distinct from coalesce(signals, [])
    qualify row_number() over (partition by score_id order by event_time, event_id) = 1
"""
_OUTCOME = f"""
    case when decision = '{Decision.APPROVE}' and array_length(signals) > 0 then '{Decision.REFER}' else decision end
"""
_ROUTE = f"""
    case when outcome <> '{Decision.REFER}' then '{AUTO}' when array_length(signals) > 0 then '{FRAUD}'
        else '{PERSON}' end
"""
# The days are bound, so that the engine skips the ledger's files of all other days.
_DECIDED = f"""
    select score_id, loan_id, subject_token, channel, as_of, known_at as decided_at, {_OUTCOME} as outcome,
        {_ROUTE} as route, decision as policy_decision, rules, reasons,
        case when reasons is not null then coalesce(reason_texts, []) end as reason_texts, signals as fraud_signals,
        pd, points, band, approve_below, decline_from, policy_version, model_name, bundle_sha, run_id
    from due
    join (
        select score_id, known_at, run_id from {LEDGER}
        where as_of between (select min(as_of) from due) and (select max(as_of) from due)
    ) using (score_id)
    join (
        select policy_version, approve_below, decline_from from {policy_record.TABLE}
    ) using (policy_version)
    left join ({policy_record.in_words("due")}) as told using (score_id)
"""
_QUEUE = f"""
    select score_id, loan_id, subject_token, route, decided_at, pd, points, band, rules, reasons, reason_texts,
        fraud_signals, policy_version
    from {TABLE} where outcome = '{Decision.REFER}'
"""
_REFUSED = f"policy_decision <> '{Decision.APPROVE}'"
_BLANK_TEXTS = f"""
    select distinct score_id as blank from (select score_id, unnest(reason_texts) as text from {TABLE})
    where coalesce(trim(text), '') = ''
"""
_FAULTS = {
    "without_reasons": f"{_REFUSED} and not coalesce(array_length(reasons) between 1 and 5, false)",
    "without_text": f"""
        {_REFUSED} and (reason_texts is null or blank is not null
            or array_length(reason_texts) < array_length(reasons))
    """,
    "approved_with_reasons": f"policy_decision = '{Decision.APPROVE}' and array_length(reasons) > 0",
    "declined_by_fraud": f"outcome = '{Decision.DECLINE}' and policy_decision <> '{Decision.DECLINE}'",
    "eased": f"""
        outcome = '{Decision.APPROVE}' and (policy_decision <> '{Decision.APPROVE}' or array_length(fraud_signals) > 0)
    """,
    "changed_without_fraud": "outcome <> policy_decision and array_length(fraud_signals) = 0",
    "off_the_cutoffs": f"""
        policy_decision <> case when pd >= decline_from then '{Decision.DECLINE}'
            when pd >= approve_below then '{Decision.REFER}' else '{Decision.APPROVE}' end
        and array_length(rules) = 0
    """,
}
_PERCENT = "round({} * 100, 2) || ' %'"
_PATH = f"""
    case when pd >= decline_from then 'PD from ' || {_PERCENT.format("decline_from")} || ' on'
        when pd >= approve_below then 'PD from ' || {_PERCENT.format("approve_below")} || ' on'
        else 'PD below ' || {_PERCENT.format("approve_below")} end
    || case when array_length(rules) > 0 then ', rule ' || array_to_string(rules, ' and ') else '' end
    || case when outcome <> policy_decision
        then ', fraud signal ' || array_to_string(fraud_signals, ' and ') else '' end
"""
