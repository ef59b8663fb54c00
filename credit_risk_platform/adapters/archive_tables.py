"""Which raw events are archived, and on which day each of them arrived.

An event arrived when the platform wrote it down: for a message that is the commit of its micro-batch
(`bronze.stream_batches`), whatever its own time says, for an API call the moment of the call. So each event belongs to
exactly one day, and a message that comes late belongs to a day that is not over yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from credit_risk_platform.adapters.api_sink import REQUESTS
from credit_risk_platform.adapters.streaming.batch import PLACE
from credit_risk_platform.adapters.streaming.sink import BATCHES, DEAD_LETTERS
from credit_risk_platform.adapters.streaming.windows import LATE_EVENTS
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.contracts.messages import CONTRACTS

_EVENT = ("event_id",)
_PARTITION = ("topic", "topic_id", "partition")
_WITHIN = "{0} >= ? and {0} < ?"


@dataclass(frozen=True)
class RawTable:
    """A bronze table of events. `key` tells its rows apart, `order` sorts them in one way only."""

    name: str
    key: tuple[str, ...]
    order: tuple[str, ...]
    arrived: str
    """SQL of the time of arrival (UTC) of `raw`, where no micro-batch tells it."""
    by_message: bool = True

    @property
    def short(self) -> str:
        return self.name.rpartition(".")[2]


# The sink keeps each event once, wherever it came from; a call through the API has no place in a topic.
TABLES = (
    *(
        RawTable(contract.raw_table, _EVENT, (*PLACE, *_EVENT), "coalesce(raw.kafka_time, raw.event_time)")
        for contract in CONTRACTS.values()
    ),
    RawTable(LATE_EVENTS, PLACE, PLACE, "raw.recorded_at", by_message=False),
    RawTable(DEAD_LETTERS, PLACE, PLACE, "raw.kafka_time"),
    RawTable(REQUESTS, _EVENT, ("received_at", *_EVENT), "raw.received_at", by_message=False),
    RawTable(
        BATCHES,
        ("topic", "topic_id", "partition", "start_offset"),
        ("topic", "topic_id", "partition", "start_offset"),
        "raw.committed_at",
        by_message=False,
    ),
)


def present(warehouse: Warehouse) -> tuple[RawTable, ...]:
    """Those that this warehouse has."""
    return tuple(table for table in TABLES if warehouse.exists(table.name))


def arrivals(
    warehouse: Warehouse, table: RawTable, tables: Sequence[RawTable], snapshot: str, first: date, days: int = 1
) -> tuple[str, list[Any]]:
    """(query for the rows that arrived on `first` or the days after it, with `arrived_at`, its parameters).

    As of a snapshot, in no order. `tables` are those there are.
    """
    between = [first, first + timedelta(days=days)]
    if not table.by_message or BATCHES not in {one.name for one in tables}:
        rows = f"select raw.*, {table.arrived} as arrived_at from {warehouse.at(table.name, snapshot)} as raw"
        return f"select * from ({rows}) where {_WITHIN.format('arrived_at')}", between
    batches = warehouse.at(BATCHES, snapshot)
    same = " and ".join(f'raw."{name}" = batch."{name}"' for name in _PARTITION)
    # The table grows for years: only rows that may have arrived in these days are compared with batches.
    spans = f"""
        select {", ".join(quoted(_PARTITION))}, min(start_offset) as start_offset, max(end_offset) as end_offset
        from {batches} where {_WITHIN.format("committed_at")} group by all
    """
    near = f"""
        select raw.* from {warehouse.at(table.name, snapshot)} as raw left join ({spans}) as batch on {same}
        where (raw."offset" >= batch.start_offset and raw."offset" < batch.end_offset)
            or ({_WITHIN.format(table.arrived)})
    """
    # Ranges of a partition follow one another, so a message is in the last one that begins at or before it, if in any.
    rows = f"""
        select raw.*,
            coalesce(case when raw."offset" < batch.end_offset then batch.committed_at end, {table.arrived})
            as arrived_at
        from ({near}) as raw asof left join {batches} as batch on {same} and raw."offset" >= batch.start_offset
    """
    return f"select * from ({rows}) where {_WITHIN.format('arrived_at')}", between * 3


def of_day(
    warehouse: Warehouse, table: RawTable, tables: Sequence[RawTable], snapshot: str, day: date
) -> tuple[str, list[Any]]:
    """(query for the rows that arrived on `day` as of a snapshot, its parameters), in no order."""
    sql, params = arrivals(warehouse, table, tables, snapshot, day)
    return f"select * exclude (arrived_at) from ({sql})", params


def quoted(names: Sequence[str], prefix: str = "") -> list[str]:
    return [f'{prefix}"{name}"' for name in names]
