"""The words of a micro-batch: what was asked for, what each message came to, what a handler hands to the sink.

A message is known by `(topic, topic_id, partition, offset)`: the id tells a topic from a later one of the same name,
whose offsets start again at 0.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import pyarrow as pa

from credit_risk_platform.adapters.ledger_writer import Stamp
from credit_risk_platform.adapters.warehouse.base import Select, Staged, Transaction
from credit_risk_platform.domain.contracts.messages import MessageContract

RECORD_SCHEMA = pa.schema(
    [
        ("topic", pa.string()),
        ("topic_id", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("kafka_time", pa.timestamp("us")),
        ("key", pa.binary()),
        ("value", pa.binary()),
        ("size", pa.int64()),
    ]
)
"""Messages as read. `value` is null for a tombstone and for one above the size limit; `size` is what it took."""

PLACE = ("topic", "topic_id", "partition", "offset")
"""Columns every table of the stream is keyed by."""


class NotReadyError(RuntimeError):
    """The surroundings are not ready (no champion, no marts, no broker): nothing is wrong with the messages."""


class Outcome(StrEnum):
    """What became of one message. Every message of a range has exactly one."""

    SCORED = "scored"
    RECORDED = "recorded"
    """Kept, and nothing to score: a transaction, or a repayment of a loan that no behavioural model covers."""
    DUPLICATE = "duplicate"
    LATE = "late"
    DEAD_LETTER = "dead_letter"
    LOST = "lost"
    """The log no longer held it when the range was read (retention); the offsets are named."""


@dataclass(frozen=True, order=True)
class OffsetRange:
    """Messages [start, end) of one partition."""

    topic: str
    partition: int
    start: int
    end: int

    @property
    def count(self) -> int:
        return self.end - self.start

    def __str__(self) -> str:
        return f"p{self.partition}:{self.start}-{self.end}"


@dataclass(frozen=True)
class BatchReport:
    """One micro-batch after its commit. Latencies are milliseconds from Kafka's time stamp to the commit."""

    topic: str
    ranges: tuple[OffsetRange, ...]
    messages: int
    outcomes: Mapping[Outcome, int]
    rows: Mapping[str, int]
    """Warehouse table -> rows written."""
    reasons: Mapping[str, int]
    """Reason -> dead letters."""
    lag: int
    """Messages left in the topic for this group after the batch."""
    seconds: float
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    latency_max_ms: float | None = None
    bundle_sha: str | None = None
    already_done: bool = False
    """The sink held all of it: an earlier run was ended between its commit and Kafka's."""
    latencies_ms: Sequence[float] = field(default=(), repr=False)
    """The latency of each message."""
    examples: Mapping[str, str] = field(default_factory=dict)
    """A few score ids and dead letters to click on or replay."""


@dataclass(frozen=True)
class BatchContext:
    """What a handler knows of the batch it works on. `now` is naive UTC."""

    stamp: Stamp
    now: datetime


@dataclass(frozen=True)
class Prepared:
    """A handler's work, computed and not yet written.

    `staged` become temporary tables before the writer lock is taken; `write` runs in the sink's transaction, may read
    them, and returns table -> rows written. `traced` has one row per accepted message that is not `refused`
    (`TRACED_SCHEMA`); a `Select` may read what is staged. `refused` messages (`REFUSED_SCHEMA`) become dead letters.
    """

    traced: pa.Table | Select
    staged: Mapping[str, Staged] = field(default_factory=dict)
    write: Callable[[Transaction], Mapping[str, int]] = field(default=lambda _: {})
    bundle_sha: str | None = None
    refused: pa.Table | None = None


REFUSED_SCHEMA = pa.schema(
    [
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("column", pa.string()),
        ("value", pa.string()),
        ("reason", pa.string()),
    ]
)
TRACED_SCHEMA = pa.schema(
    [
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("outcome", pa.string()),
        ("score_id", pa.string()),
        ("reason", pa.string()),
    ]
)


class Handler(Protocol):
    """What a topic's messages are for. Given only sound messages, each event once."""

    contract: MessageContract

    @property
    def asks(self) -> Collection[str]:
        """Tables of micro-batches that each batch is looked up in now."""
        ...

    def warm(self) -> None:
        """Load what the first batch would wait for. May raise what `prepare` would."""
        ...

    def moved(self, before: str, after: str) -> None:
        """This process made the state `after` of `before`, and changed no rows (it joined small files)."""
        ...

    def prepare(self, accepted: pa.Table, context: BatchContext) -> Prepared:
        """Compute everything that follows from `accepted`.

        Its columns: topic, topic_id, partition, offset, kafka_time, event_id, event_time (naive UTC), subject_token
        (null where the message names no customer), then `contract.kept`, typed as landed rows are. Reads the warehouse,
        writes nothing.
        """
        ...
