"""What a stream must be able to do, whoever carries it: Kafka and Kinesis pass one contract suite.

A topic has partitions (Kinesis: shards), and a message of a partition has an offset: 0, 1, 2, ... Work is given out as
offset ranges, and a group's place is moved by the run that has written the messages: it may lag the warehouse, and
never leads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from credit_risk_platform.adapters.streaming.batch import OffsetRange

if TYPE_CHECKING:
    from credit_risk_platform.adapters.producing import ProducerReport
    from credit_risk_platform.domain.synthetic.events import Event


class StreamLog(Protocol):
    """One topic as offsets, for one group. Not for use by several threads at once.

    Everything but `close` raises `NotReadyError`, with the next step in it, where the stream cannot be asked.
    """

    @property
    def topic(self) -> str: ...

    @property
    def group(self) -> str: ...

    @property
    def look_seconds(self) -> float:
        """Distance of looks that the stream bears from someone who watches it."""
        ...

    def topic_id(self) -> str:
        """Another one for a topic that was deleted and made again: its offsets mean other messages."""
        ...

    def beginnings(self) -> dict[int, int]:
        """First offset of each partition that is still kept, as far as that is known."""
        ...

    def ends(self) -> dict[int, int]:
        """Offset that the next message will get, as far as it has been looked; other ones say that something came."""
        ...

    def committed(self) -> dict[int, int]:
        """The group's offset of each partition that has one."""
        ...

    def pending(self, at_most: int) -> list[OffsetRange]:
        """What stands between the group and the ends, `at_most` messages in all, fair shares of each partition."""
        ...

    def lag(self) -> int:
        """Messages the group has not committed yet."""
        ...

    def read(self, ranges: Sequence[OffsetRange]) -> pa.Table:
        """The messages of `ranges` that exist (`RECORD_SCHEMA`), in the order of partition and offset."""
        ...

    def commit(self, ranges: Iterable[OffsetRange]) -> None:
        """Set the group's offset to the end of each range, never backwards."""
        ...

    def rest(self) -> None:
        """Told by who watches a stream in which nothing waits."""
        ...

    def close(self) -> None: ...


class DeadLetters(Protocol):
    """Takes what nobody could use to `<topic>.dlq`."""

    def publish(self, records: pa.Table, dead: pa.Table) -> int:
        """Send the `records` whose partition and offset stand in `dead` (partition, offset, reason); returns how many.

        Raises `NotReadyError` when they are not taken.
        """
        ...

    def close(self) -> None: ...


class Transport(Protocol):
    """Who carries the stream. Making one opens nothing."""

    @property
    def name(self) -> str:
        """As people call it."""
        ...

    @property
    def where(self) -> str:
        """Where it is, without credentials."""
        ...

    def log(self, topic: str, group: str) -> StreamLog: ...

    def dead_letters(self) -> DeadLetters: ...

    def fast_lanes(self, group: str, topic: str) -> int:
        """Processes that live as fast lanes (`crp stream`) of `topic` now."""
        ...

    def silent(self) -> str:
        """Why nobody there can be asked, where that can be told at once; else empty."""
        ...

    def ensure_topics(self) -> list[str]:
        """Make the platform's topics that are absent; returns their names."""
        ...

    def produce(
        self,
        topic: str,
        events: Iterable[Event],
        rate: float | None = None,
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> ProducerReport:
        """Send `events` in their order, `rate` a second (None: as fast as they are taken), until they end.

        Raises `ProduceError` at the first message that cannot be delivered, `ValueError` for a rate of zero or less.
        """
        ...
