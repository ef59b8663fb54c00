"""Where each group is in each shard. Kinesis keeps no place for its readers, so the warehouse does.

A mark says: the message with this sequence number is the one before `offset`. Marks are only ever added: the highest
`taken` one of a shard is the group's offset, and older ones tell what the offsets of an earlier batch mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from credit_risk_platform.adapters.warehouse.base import Warehouse

BOOKMARKS = "bronze.stream_bookmarks"
BOOKMARKS_SCHEMA = pa.schema(
    [
        ("consumer_group", pa.string()),
        ("topic", pa.string()),
        ("topic_id", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("sequence_number", pa.string()),
        ("arrived_at", pa.timestamp("us")),
        ("taken", pa.bool_()),
        ("tip_at", pa.timestamp("us")),
        ("ended", pa.bool_()),
        ("committed_at", pa.timestamp("us")),
    ]
)
NEWEST = 4
"""Marks of a shard that are looked at to go on, of those taken as of those only known."""
_COLUMNS = '"partition", "offset", sequence_number, arrived_at, taken, tip_at, ended, committed_at'
_OF_GROUP = f"from {BOOKMARKS} where consumer_group = ? and topic = ? and topic_id = ?"
_LATEST = f"""
    select {_COLUMNS} {_OF_GROUP}
    qualify row_number() over (partition by "partition", taken order by "offset" desc, committed_at desc) <= {NEWEST}
    order by "partition", "offset", committed_at
"""
_HISTORY = f'select {_COLUMNS} {_OF_GROUP} and "partition" = ? order by "partition", "offset", committed_at'


@dataclass(frozen=True)
class Mark:
    """A known place of one shard."""

    offset: int
    """Of the message that follows."""
    sequence: int | None = None
    """Kinesis's number of the message before `offset`; none at the beginning of a shard."""
    arrived_at: datetime | None = None
    taken: bool = True
    """Whether the group has taken all before `offset`; else the place is only known."""
    tip_at: datetime | None = None
    """The latest moment (naive UTC) at which the shard is known to have held nothing at or beyond `offset`."""
    ended: bool = False
    """The shard is closed, and nothing will ever follow."""


class Bookmarks:
    """The marks of one group in one topic."""

    def __init__(self, warehouse: Warehouse, group: str, topic: str) -> None:
        self.warehouse, self.group, self.topic = warehouse, group, topic
        self._there = False

    def latest(self, topic_id: str) -> dict[int, list[Mark]]:
        """Partition -> its newest marks, by offset; what was written last about an offset holds."""
        return self._marks(_LATEST, topic_id)

    def history(self, topic_id: str, partition: int) -> list[Mark]:
        """All marks of one partition, by offset."""
        return self._marks(_HISTORY, topic_id, partition).get(partition, [])

    def add(self, topic_id: str, marks: Mapping[int, Mark]) -> None:
        """One transaction."""
        now = datetime.now(UTC).replace(tzinfo=None)
        rows = [
            {
                "consumer_group": self.group,
                "topic": self.topic,
                "topic_id": topic_id,
                "partition": partition,
                "offset": mark.offset,
                "sequence_number": None if mark.sequence is None else str(mark.sequence),
                "arrived_at": mark.arrived_at,
                "taken": mark.taken,
                "tip_at": mark.tip_at,
                "ended": mark.ended,
                "committed_at": now,
            }
            for partition, mark in marks.items()
        ]
        with self.warehouse.transaction() as transaction:
            transaction.append(BOOKMARKS, pa.Table.from_pylist(rows, BOOKMARKS_SCHEMA))

    def _marks(self, sql: str, topic_id: str, *more: int) -> dict[int, list[Mark]]:
        self._there = self._there or self.warehouse.exists(BOOKMARKS)
        if not self._there:
            return {}
        found: dict[int, dict[int, Mark]] = {}
        for row in self.warehouse.query(sql, [self.group, self.topic, topic_id, *more]).to_pylist():
            mark = Mark(
                row["offset"],
                None if row["sequence_number"] is None else int(row["sequence_number"]),
                row["arrived_at"],
                row["taken"],
                row["tip_at"],
                row["ended"],
            )
            known = found.setdefault(row["partition"], {})
            before = known.get(mark.offset)
            if before is None or mark.taken or not before.taken:  # a known place does not undo what was taken
                known[mark.offset] = mark
        return {partition: list(known.values()) for partition, known in found.items()}
