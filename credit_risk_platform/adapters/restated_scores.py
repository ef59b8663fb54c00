"""The scores that were made from what a source has since restated, and the decisions taken on them.

Made from the earlier version: the marts (or bronze itself) that the score names among its upstreams were built before
the restated file landed. The ledger keeps the pointers; when a pointed-at table was built, the caller says (`built`).
Where that is not known any more, the moment at which the score's run began stands for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pyarrow as pa

from credit_risk_platform.adapters.decisions import TABLE as DECISIONS
from credit_risk_platform.adapters.landing.layout import MACRO
from credit_risk_platform.adapters.ledger import LEDGER
from credit_risk_platform.adapters.portfolio import OUTCOMES
from credit_risk_platform.adapters.restatements import KEYS_TABLE, Restatement, replace_pair
from credit_risk_platform.adapters.warehouse.base import Batches, Select, Staged, Warehouse

TABLE = "monitoring.restated_scores"
BUILT_SCHEMA = pa.schema([("asset", pa.string()), ("storage_id", pa.int64()), ("built_at", pa.timestamp("us"))])
SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("batch", pa.string()),
        ("previous_batch", pa.string()),
        ("score_id", pa.string()),
        ("loan_id", pa.string()),
        ("as_of", pa.date32()),
        ("by_message", pa.bool_()),
        ("outcome", pa.string()),
    ]
)
_NAMED = """
    select upstream, unnest(from_json(upstream, '[{"asset": "VARCHAR", "storage_id": "BIGINT"}]'), recursive := true)
    from incoming_rows
"""
_PAIR = "dataset = ? and batch = ? and previous_batch = ?"


def pointers(warehouse: Warehouse, assets: Sequence[str]) -> pa.Table:
    """(asset, storage_id) of every build of `assets` that some score names among its upstreams."""
    if not warehouse.exists(LEDGER):
        return BUILT_SCHEMA.empty_table().select(["asset", "storage_id"])
    sql = "select distinct asset, storage_id from named where list_contains(?, asset) and storage_id is not null"
    with warehouse.workspace() as workspace:
        workspace.stage("named", _named(warehouse))
        return workspace.query(sql, [list(assets)])


def record(warehouse: Warehouse, found: Restatement, readers: Sequence[str], built: pa.Table) -> int:
    """Write down the scores of one recorded restatement; how many.

    `readers` are the assets through which scores read the source; `built` (`BUILT_SCHEMA`) says when each build of them
    was made. A restated macro value touches every loan decided since it was public.
    """
    if not warehouse.exists(LEDGER):
        warehouse.replace(TABLE, SCHEMA.empty_table(), _PAIR, found.pair)
        return 0
    is_macro = found.table == MACRO
    decided = f"select loan_id, decision_date from {OUTCOMES}"
    if not (is_macro and warehouse.exists(OUTCOMES)):
        decided = "select null::varchar as loan_id, null::date as decision_date where false"
    outcomes = f"select score_id, outcome from {DECISIONS}"
    if not warehouse.exists(DECISIONS):
        outcomes = "select null::varchar as score_id, null::varchar as outcome where false"
    staged: dict[str, Staged] = {
        "named": _named(warehouse),
        "built": built.cast(BUILT_SCHEMA),
        "touched": Select(_TOUCHED if is_macro else f"{_TOUCHED} and change <> 'added'", found.pair),
        "read_at": Select(_READ_AT, [list(readers)]),
        "restated_scores": Select(
            (_OF_MACRO if is_macro else _OF_LOANS).format(decided=decided, outcomes=outcomes),
            [*found.pair, found.landed_at + timedelta(seconds=1)],  # receipts tell the second and no more
        ),
    }
    with warehouse.transaction(staged) as transaction:
        return replace_pair(transaction, TABLE, "restated_scores", found)


def shown(warehouse: Warehouse, found: Restatement) -> dict[str, Any]:
    """Totals, counts by as-of day (the latest first) and a few score ids."""
    totals = f"""
        select count(*) as scores, count(distinct loan_id) as loans, count(outcome) as decisions,
            coalesce((list(score_id order by as_of desc, score_id))[:5], []) as examples
        from {TABLE} where {_PAIR}
    """
    days = f"""
        select as_of, count(*) as scores, count(distinct loan_id) as loans, count(outcome) as decisions,
            count(*) filter (not by_message) as to_score_again
        from {TABLE} where {_PAIR} group by as_of order by as_of desc
    """
    return {**warehouse.query(totals, found.pair).to_pylist()[0], "by_day": warehouse.query(days, found.pair)}


def _named(warehouse: Warehouse) -> Batches:
    """(upstream, asset, storage_id): a run has few texts of upstreams, however many scores it made."""
    return Batches(warehouse.query(f"select distinct upstream from {LEDGER}").to_reader(), _NAMED)


# A loan that was added was not there to be scored from; a value that was added was public before it landed.
_TOUCHED = f"select loan_id, public_from from {KEYS_TABLE} where {_PAIR}"
_READ_AT = """
    select upstream, min(built_at) as read_at
    from named left join built using (asset, storage_id)
    where list_contains(?, asset) group by upstream
"""
_SCORES = f"""
    select ?::varchar as dataset, ?::varchar as batch, ?::varchar as previous_batch, score_id, loan_id, as_of,
        kafka_topic is not null as by_message, outcome
    from {LEDGER} as scored {{reads}} left join ({{outcomes}}) as decided_on using (score_id)
    where coalesce(read_at, known_at) < ?
"""
_OF_LOANS = (
    _SCORES.replace("{reads}", "join read_at using (upstream)") + " and loan_id in (select loan_id from touched)"
)
# A call through the API names no upstream, and reads the published values all the same.
_OF_MACRO = (
    _SCORES.replace("{reads}", "left join read_at using (upstream) left join ({decided}) as book using (loan_id)")
    + """
        and (read_at.upstream is not null or scored.upstream = '[]')
        and coalesce(decision_date, as_of) >= (select min(public_from) from touched)
    """
)
