"""What bank transactions are for: the behaviour of each customer in 30-second windows (rules: `domain/windows.py`).

`prepare` judges each message and folds the batch into at most one row per customer and window; `write` folds those
rows into what the table holds. Counts and sums of decimals are exact in any order, so folding in steps equals counting
once, and no batch ever reads the history.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from credit_risk_platform.adapters.streaming.batch import (
    TRACED_SCHEMA,
    BatchContext,
    NotReadyError,
    Outcome,
    Prepared,
)
from credit_risk_platform.adapters.warehouse.base import Select, Transaction, Warehouse
from credit_risk_platform.domain.contracts.messages import TRANSACTIONS
from credit_risk_platform.domain.windows import ALLOWED_LATENESS_SECONDS, RETURNED_PAYMENT, WINDOW_SECONDS

WINDOWS = "gold.txn_features_window"
LATE_EVENTS = "bronze.late_events"
WATERMARKS = "bronze.stream_watermarks"

_STAGED = {WATERMARKS: "txn_watermarks", LATE_EVENTS: "txn_late", WINDOWS: "txn_windows"}
_KEY = ("subject_token", "window_start")

_SUMMED = {
    "n_transactions": "bigint",
    "n_credits": "bigint",
    "n_debits": "bigint",
    "n_returned_payments": "bigint",
    "sum_in": "decimal(18, 2)",
    "sum_out": "decimal(18, 2)",
    "net": "decimal(18, 2)",
}

# A row of one event has the shape of a window's row, so one query folds events, and windows into windows.
# `turn` decides between balances of one moment: the later message wins.
_AS_WINDOWS = f"""
    select
        subject_token, window_start, window_end, event_time as last_event_time, 1 as n_transactions,
        (amount > 0)::int as n_credits, (amount < 0)::int as n_debits,
        (category = '{RETURNED_PAYMENT}')::int as n_returned_payments,
        greatest(amount, 0) as sum_in, greatest(-amount, 0) as sum_out, amount as net,
        balance_after as min_balance, balance_after as last_balance,
        case when balance_after is not null then event_time end as last_balance_at,
        row_number() over (order by partition, "offset") as turn
    from txn_judged where not is_late
"""
_TOUCHED = f"""
    select * exclude (updated_at, run_id), 1 as turn from txn_windows
    union all by name
    select * exclude (updated_at, run_id), 0 as turn from {WINDOWS} semi join txn_windows using ({", ".join(_KEY)})
    where window_start between ? and ?
"""


def _folded(rows: str) -> str:
    """Window rows, one for each customer and window; binds the instant and the run they are written by last."""
    sums = ", ".join(f"sum({name})::{kind} as {name}" for name, kind in _SUMMED.items())
    return f"""
        select
            {", ".join(_KEY)}, any_value(window_end) as window_end, {sums},
            min(min_balance)::decimal(18, 2) as min_balance,
            arg_max(last_balance, (last_balance_at, turn))::decimal(18, 2) as last_balance,
            max(last_balance_at) as last_balance_at, max(last_event_time) as last_event_time,
            ?::timestamp as updated_at, ?::varchar as run_id
        from ({rows}) group by {", ".join(_KEY)}
    """


_NO_WATERMARKS = """
    select null::varchar as topic, null::varchar as topic_id, null::int as partition, null::timestamp as reached,
    null::bigint as messages limit 0
"""
_JUDGED = f"""
    select *, coalesce(window_end <= watermark, false) as is_late
    from (
        select
            accepted.* exclude (reached), time_bucket(interval {WINDOW_SECONDS} second, event_time) as window_start,
            window_start + interval {WINDOW_SECONDS} second as window_end,
            greatest(before.reached, max(accepted.reached) over earlier)
            - interval {ALLOWED_LATENESS_SECONDS} second as watermark
        from (select *, least(event_time, kafka_time) as reached from txn_accepted) as accepted
        left join txn_before as before using (topic, topic_id, partition)
        window earlier as (
            partition by topic, topic_id, partition order by "offset" rows between unbounded preceding and 1 preceding
        )
    )
"""
_NOW_REACHED = """
    select
        topic, topic_id, partition, max(reached) as reached, sum(messages)::bigint as messages,
        ?::timestamp as updated_at, ?::varchar as run_id
    from (
        select topic, topic_id, partition, least(event_time, kafka_time) as reached, 1 as messages from txn_accepted
        union all
        select * from txn_before
    )
    group by topic, topic_id, partition
"""
_LATE = """
    select
        topic, topic_id, partition, "offset", kafka_time, event_id, event_time, subject_token, window_start, window_end,
        watermark, amount, category, ?::timestamp as recorded_at, ?::varchar as run_id
    from txn_judged where is_late
"""
_TRACED = f"""
    select
        partition, "offset", if(is_late, '{Outcome.LATE}', '{Outcome.RECORDED}') as outcome, null::varchar as score_id,
        if(is_late, 'its window ended ' || window_end || ', watermark ' || watermark, null) as reason
    from txn_judged order by partition, "offset"
"""
_TOUCHED_KEYS = " and ".join(f"new.{name} = {WINDOWS}.{name}" for name in _KEY)


def _watermarks_of(places: str) -> str:
    """Where the partitions of staged `places` stand; the same query before the work and under the lock."""
    return f"""
        select topic, topic_id, partition, reached, messages from {WATERMARKS}
        semi join {places} using (topic, topic_id, partition) order by all
    """


@dataclass(frozen=True)
class TransactionWindows:
    """The `Handler` of bank transactions."""

    warehouse: Warehouse
    contract = TRANSACTIONS
    asks = ()

    def warm(self) -> None:
        self.warehouse.snapshot()

    def moved(self, before: str, after: str) -> None:
        """Nothing is remembered from batch to batch."""

    def prepare(self, accepted: pa.Table, context: BatchContext) -> Prepared:
        written_by = [context.now, context.stamp.run_id]
        known = self.warehouse.exists(WATERMARKS)
        with self.warehouse.workspace() as desk:
            desk.stage("txn_accepted", accepted)
            desk.stage("txn_before", Select(_watermarks_of("txn_accepted") if known else _NO_WATERMARKS))
            desk.stage("txn_judged", Select(_JUDGED))
            before = desk.query("select * from txn_before order by all")
            traced = desk.query(_TRACED).cast(TRACED_SCHEMA)
            staged = {
                _STAGED[WATERMARKS]: desk.query(_NOW_REACHED, written_by),
                _STAGED[LATE_EVENTS]: desk.query(_LATE, written_by),
                _STAGED[WINDOWS]: desk.query(_folded(_AS_WINDOWS), written_by),
            }

        def write(transaction: Transaction) -> Mapping[str, int]:
            return _write(transaction, before, context)

        return Prepared(traced, staged, write)


def _write(transaction: Transaction, before: pa.Table, context: BatchContext) -> Mapping[str, int]:
    for table, staged in _STAGED.items():
        transaction.append(table, Select(f"select * from {staged} limit 0"))  # makes it where it is absent
    _refuse_overtaken(transaction, before)
    # Bound, so that the engine skips the files of all other times: the table grows for years.
    times = transaction.query("select min(window_start) as first, max(window_start) as last from txn_windows")
    between = [times["first"][0].as_py(), times["last"][0].as_py()]
    folded = Select(_folded(_TOUCHED), [context.now, context.stamp.run_id, *between])
    touched = f"window_start between ? and ? and exists (select 1 from txn_windows as new where {_TOUCHED_KEYS})"
    return {
        WINDOWS: transaction.replace(WINDOWS, folded, touched, between),
        LATE_EVENTS: transaction.append(LATE_EVENTS, Select("select * from txn_late")),
        WATERMARKS: transaction.upsert(
            WATERMARKS, Select("select * from txn_watermarks"), ["topic", "topic_id", "partition"]
        ),
    }


def _refuse_overtaken(transaction: Transaction, before: pa.Table) -> None:
    """Adding twice would count twice: refuse when another run has moved the partitions since they were read."""
    if not transaction.query(_watermarks_of("txn_watermarks")).equals(before):
        raise NotReadyError(
            f"another run has written messages of {TRANSACTIONS.topic} from the same partitions since this batch was "
            "read, so its windows would be counted on a stale watermark; nothing was written. Run the batch again: "
            "what the other run has written is left out."
        )
