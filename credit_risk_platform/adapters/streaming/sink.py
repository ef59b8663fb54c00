"""Where a micro-batch ends: all its tables in one transaction, together with how far the topic has been taken.

`bronze.stream_batches` is the truth about that: a range is written if and only if it stands there. Kafka's group offset
is only a hint for the next range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from credit_risk_platform.adapters.streaming.batch import OffsetRange, Outcome, Prepared
from credit_risk_platform.adapters.warehouse.base import Select, Staged, Transaction, Warehouse

TRACE = "gold.message_trace"
DEAD_LETTERS = "bronze.dead_letters"
BATCHES = "bronze.stream_batches"

BATCHES_SCHEMA = pa.schema(
    [
        ("topic", pa.string()),
        ("topic_id", pa.string()),
        ("partition", pa.int32()),
        ("start_offset", pa.int64()),
        ("end_offset", pa.int64()),
        ("run_id", pa.string()),
        ("committed_at", pa.timestamp("us")),
    ]
)
_TRACE_COLUMNS = (
    'topic, topic_id, "partition", "offset", kafka_time, event_id, outcome, score_id, reason, run_id, processed_at'
)


@dataclass(frozen=True)
class Written:
    """Table -> rows, and what became of the messages: outcome, n, a few examples."""

    rows: Mapping[str, int]
    outcomes: pa.Table
    ends: Mapping[int, int]
    """Partition -> the offset the sink goes on at now."""
    state: str
    """The warehouse's state in which that holds."""
    undisturbed: bool
    """Nobody else has written since this process did."""


class RangeTakenError(RuntimeError):
    """Another worker wrote these messages while this one computed them; nothing was written now."""


def taken_until(warehouse: Warehouse, topic: str, topic_id: str) -> dict[int, int]:
    """Partition -> the offset the sink goes on at; a partition it holds nothing of is absent."""
    if not warehouse.exists(BATCHES):
        return {}
    return _ends(warehouse.query(_ENDS_SQL, [topic, topic_id]))


def dead_letter_offsets(warehouse: Warehouse, topic: str, topic_id: str, ranges: Sequence[OffsetRange]) -> pa.Table:
    """Partition, offset and reason of the dead letters within `ranges`."""
    within, places = _within(ranges)
    sql = f'select "partition", "offset", reason from {DEAD_LETTERS} where topic = ? and topic_id = ? and ({within})'
    return warehouse.query(sql, [topic, topic_id, *places])


def outcomes(warehouse: Warehouse, topic_id: str, ranges: Sequence[OffsetRange]) -> pa.Table:
    """What stands in the trace for `ranges`, as `Written.outcomes`."""
    within, places = _within(ranges)
    sql = _OUTCOMES.format(rows=f"{TRACE} where topic = ? and topic_id = ? and ({within})")
    return warehouse.query(sql, [ranges[0].topic, topic_id, *places])


def _within(ranges: Sequence[OffsetRange]) -> tuple[str, list[int]]:
    """(predicate that holds for messages of `ranges`, its parameters)."""
    within = " or ".join('("partition" = ? and "offset" >= ? and "offset" < ?)' for _ in ranges)
    return within, [value for found in ranges for value in (found.partition, found.start, found.end)]


def write(
    warehouse: Warehouse,
    *,
    topic_id: str,
    ranges: Sequence[OffsetRange],
    raw_table: str,
    accepted: pa.Table,
    dead: pa.Table,
    traced: pa.Table,
    prepared: Prepared,
    run_id: str,
    now: datetime,
    before: Mapping[int, int],
    before_state: str | None = None,
    remembered: bool = False,
) -> Written:
    """Write one micro-batch.

    `traced` has place, kafka_time, event_id, outcome and reason of every message of the ranges; the outcome of those a
    handler worked on is null and comes from `prepared.traced`. `before` is what `taken_until` said when the work began,
    or what this process left at `before_state`, which saves a look while nobody else commits. `remembered`: that no
    event of `accepted` is there was known from then, too. Raises `RangeTakenError` when another worker has written to
    these partitions since, or the same events elsewhere.
    """
    topic = ranges[0].topic
    staged: dict[str, Staged] = {
        **prepared.staged,
        "handled": prepared.traced,
        "given": traced,
        "traced": Select(_TRACED, [run_id, now]),
    }
    marks = pa.Table.from_pylist([_mark(found, topic_id, run_id, now) for found in ranges], BATCHES_SCHEMA)
    with warehouse.transaction(staged) as transaction:
        if not before:
            transaction.append(BATCHES, marks.slice(0, 0))  # makes it where it is absent
        alone = transaction.before == before_state
        ends = before if alone else _ends(transaction.query(_ENDS_SQL, [topic, topic_id]))
        _refuse_taken(transaction, topic, ends, before, ranges, raw_table, accepted, look=remembered and not alone)
        rows = dict(prepared.write(transaction))
        rows[raw_table] = transaction.append(raw_table, _with_run(accepted, run_id))
        if dead.num_rows or not before:
            rows[DEAD_LETTERS] = transaction.append(DEAD_LETTERS, _with_run(dead, run_id))
        rows[TRACE] = transaction.append(TRACE, Select("select * from traced"))
        transaction.append(BATCHES, marks)
        became = transaction.query(_OUTCOMES.format(rows="traced"))
    assert transaction.after is not None
    return Written(rows, became, {**ends, **{found.partition: found.end for found in ranges}}, transaction.after, alone)


def lost(ranges: Sequence[OffsetRange], begins: Mapping[int, int], topic_id: str) -> pa.Table:
    """Trace rows for offsets of `ranges` that the log deleted before they were read. Other gaps hold no message."""
    rows = [
        {
            "topic": found.topic,
            "topic_id": topic_id,
            "partition": found.partition,
            "offset": offset,
            "outcome": str(Outcome.LOST),
            "reason": "deleted_by_retention",
        }
        for found in ranges
        for offset in range(found.start, min(begins.get(found.partition, 0), found.end))
    ]
    return pa.Table.from_pylist(rows, TRACE_SCHEMA)


TRACE_SCHEMA = pa.schema(
    [
        ("topic", pa.string()),
        ("topic_id", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("kafka_time", pa.timestamp("us")),
        ("event_id", pa.string()),
        ("outcome", pa.string()),
        ("reason", pa.string()),
    ]
)
_TRACED = f"""
    select {_TRACE_COLUMNS}
    from (
        select given.* replace (
                coalesce(given.outcome, handled.outcome) as outcome, coalesce(given.reason, handled.reason) as reason
            ),
            handled.score_id, ? as run_id, ?::timestamp as processed_at
        from given left join handled using ("partition", "offset")
    )
"""
EXAMPLES = 3
_OUTCOMES = f"""
    select outcome, count(*) as n,
        list(coalesce(score_id, 'p' || "partition" || ':' || "offset" || ' ' || reason)
            order by "partition", "offset")[:{EXAMPLES}] as examples
    from {{rows}} group by outcome order by outcome
"""
_ENDS_SQL = f"""
    select "partition", max(end_offset) as taken_until from {BATCHES}
    where topic = ? and topic_id = ? group by "partition"
"""


def _ends(found: pa.Table) -> dict[int, int]:
    return dict(zip(found["partition"].to_pylist(), found["taken_until"].to_pylist(), strict=True))


def _refuse_taken(
    transaction: Transaction,
    topic: str,
    ends: Mapping[int, int],
    before: Mapping[int, int],
    ranges: Sequence[OffsetRange],
    raw_table: str,
    accepted: pa.Table,
    *,
    look: bool,
) -> None:
    if any(ends.get(found.partition) != before.get(found.partition) for found in ranges):
        raise RangeTakenError(f"another worker wrote messages of {topic} meanwhile")
    if look or ends != before:
        sql = f"select count(*) as n from {raw_table} where event_id in (select unnest(?::varchar[]))"
        if transaction.query(sql, [accepted["event_id"].to_pylist()])["n"][0].as_py():
            raise RangeTakenError(f"another worker wrote the same events of {topic} meanwhile, from other partitions")


def _with_run(rows: pa.Table, run_id: str) -> pa.Table:
    return rows.append_column("run_id", pa.repeat(pa.scalar(run_id, pa.string()), rows.num_rows))


def _mark(found: OffsetRange, topic_id: str, run_id: str, now: datetime) -> dict[str, object]:
    return {
        "topic": found.topic,
        "topic_id": topic_id,
        "partition": found.partition,
        "start_offset": found.start,
        "end_offset": found.end,
        "run_id": run_id,
        "committed_at": now,
    }
