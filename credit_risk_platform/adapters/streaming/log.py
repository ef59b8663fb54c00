"""One topic of the cluster, seen as offsets: how far it goes, how far the group is, and the messages of exact ranges.

Partitions are assigned, never subscribed to: who reads what is decided by the offset ranges of a run, not by a
rebalance. The group's offset is committed by the run that has written the messages, so it may lag the warehouse and
never leads it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from credit_risk_platform.adapters.kafka_client import connect
from credit_risk_platform.adapters.kafka_connection import KafkaConnection
from credit_risk_platform.adapters.streaming.batch import RECORD_SCHEMA, NotReadyError, OffsetRange
from credit_risk_platform.domain.contracts.messages import MAX_MESSAGE_BYTES

POLL_MS = 500
QUICK = {"request_timeout_ms": 10_000, "bootstrap_timeout_ms": 3_000}
"""A tick or a run would rather hear soon that the cluster is away."""
STALL_SECONDS = 30.0
METADATA_SECONDS = 30.0
"""How long new partitions may stay unseen."""


class TopicLog:
    """Reads one topic for one consumer group: the `StreamLog` of Kafka."""

    look_seconds = 0.1

    def __init__(self, connection: KafkaConnection, topic: str, group: str) -> None:
        self.connection, self.topic, self.group = connection, topic, group
        self._own: dict[int, int] = {}
        """What this process has committed, so that a stream of batches need not ask each time."""
        self._consumer: Any = None
        self._described_at = -METADATA_SECONDS
        self._topic_id, self._partitions = "", tuple[int, ...]()

    # ---------------------------------------------------------------- how far

    def topic_id(self) -> str:
        """The topic's UUID: a topic that was deleted and made again has another one."""
        self._describe()
        return self._topic_id

    def ends(self) -> dict[int, int]:
        """End offset of each partition: the offset the next message will get."""
        return self._offsets("end_offsets")

    def beginnings(self) -> dict[int, int]:
        """First offset that is still kept, of each partition."""
        return self._offsets("beginning_offsets")

    def committed(self) -> dict[int, int]:
        """The group's offset of each partition that has one."""
        places = self._places()
        found = self._ask(lambda consumer: {place: consumer.committed(place) for place in places})
        return {place.partition: offset for place, offset in found.items() if offset is not None}

    def pending(self, at_most: int) -> list[OffsetRange]:
        """What stands between the group and the ends, `at_most` messages in all, the longest queues cut first."""
        ends, begins, committed = self.ends(), self.beginnings(), self.committed()
        starts = {
            partition: start_of(committed.get(partition), begins[partition], ends[partition]) for partition in ends
        }
        waiting = {partition: ends[partition] - starts[partition] for partition in ends}
        shares = fair_shares(waiting, at_most)
        return [
            OffsetRange(self.topic, partition, starts[partition], starts[partition] + share)
            for partition, share in sorted(shares.items())
            if share
        ]

    def lag(self) -> int:
        """Messages the group has not committed yet."""
        return sum(found.count for found in self.pending(2**62))

    # ---------------------------------------------------------------- messages

    def read(self, ranges: Sequence[OffsetRange]) -> pa.Table:
        """The messages of `ranges` that exist (`RECORD_SCHEMA`), in the order of partition and offset.

        Raises `NotReadyError` when the cluster gives nothing for 30 seconds.
        """
        wanted = {found.partition: found for found in ranges if found.count}
        topic_id = self.topic_id()
        records = self._ask(lambda consumer: _fetch(consumer, self.topic, wanted)) if wanted else []
        return to_table(records, topic_id)

    def commit(self, ranges: Iterable[OffsetRange]) -> None:
        """Set the group's offset to the end of each range, never backwards."""
        from kafka.structs import OffsetAndMetadata, TopicPartition

        before = self._own if self._own.keys() >= {found.partition for found in ranges} else self.committed()
        offsets = {
            TopicPartition(self.topic, found.partition): OffsetAndMetadata(found.end, "", -1)
            for found in ranges
            if found.end > before.get(found.partition, -1)
        }
        if offsets:
            self._ask(lambda consumer: consumer.commit(offsets))
            self._own = {**before, **{place.partition: offset.offset for place, offset in offsets.items()}}

    def rest(self) -> None:
        """Kafka keeps a group's offset without being asked to."""

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close(autocommit=False)
            self._consumer = None

    # ---------------------------------------------------------------- inside

    def _describe(self) -> None:
        if time.monotonic() - self._described_at < METADATA_SECONDS:
            return
        from kafka.admin import KafkaAdminClient

        def describe() -> Mapping[str, Any]:
            admin = connect(KafkaAdminClient, self.connection, **QUICK)
            try:
                found: Mapping[str, Any] = admin.describe_topics([self.topic])[0]
                return found
            finally:
                admin.close()

        found = self._guarded(describe)
        if found["error_code"] or not found["partitions"]:
            raise NotReadyError(f"topic {self.topic} is not on {self._where}: make it with `crp kafka up`")
        topic_id = str(found.get("topic_id") or "")
        partitions = tuple(sorted(partition["partition_index"] for partition in found["partitions"]))
        if (topic_id, partitions) != (self._topic_id, self._partitions):
            self._own = {}
            self.close()  # the client would know the new partitions minutes later only
        self._topic_id, self._partitions = topic_id, partitions
        self._described_at = time.monotonic()

    def _places(self) -> list[Any]:
        from kafka.structs import TopicPartition

        self._describe()
        return [TopicPartition(self.topic, partition) for partition in self._partitions]

    def _offsets(self, which: str) -> dict[int, int]:
        places = self._places()
        found = self._ask(lambda consumer: getattr(consumer, which)(places, timeout_ms=10_000))
        return {place.partition: offset for place, offset in found.items()}

    def _ask(self, question: Any) -> Any:
        return self._guarded(lambda: question(self._connected()))

    def _guarded(self, question: Any) -> Any:
        """Kafka's errors as one that names the cluster; the client is made anew next time, as is what it knew."""
        from kafka.errors import KafkaError

        try:
            return question()
        except (KafkaError, OSError) as error:
            self.close()
            self._described_at = -METADATA_SECONDS
            raise NotReadyError(
                f"Kafka at {self._where} does not answer for topic {self.topic} ({type(error).__name__}: {error}). "
                "Nothing is lost: messages wait in the log. Start it (`crp kafka up`) or set KAFKA_BOOTSTRAP_SERVERS."
            ) from error

    def _connected(self) -> Any:
        if self._consumer is None:
            from kafka import KafkaConsumer

            self._consumer = connect(
                KafkaConsumer,
                self.connection,
                **QUICK,
                group_id=self.group,
                enable_auto_commit=False,
                auto_offset_reset="none",
                allow_auto_create_topics=False,
                fetch_max_wait_ms=50,
                max_partition_fetch_bytes=8 * 1024 * 1024,
                max_poll_records=5_000,
            )
        return self._consumer

    @property
    def _where(self) -> str:
        return self.connection.bootstrap_servers


def to_table(records: Sequence[Any], topic_id: str) -> pa.Table:
    """kafka-python's records as `RECORD_SCHEMA`, in the order of partition and offset."""
    ordered = sorted(records, key=lambda record: (record.partition, record.offset))
    sizes = [record.serialized_value_size for record in ordered]
    columns = {
        "topic": [record.topic for record in ordered],
        "topic_id": [topic_id] * len(ordered),
        "partition": [record.partition for record in ordered],
        "offset": [record.offset for record in ordered],
        "kafka_time": [datetime.fromtimestamp(record.timestamp / 1000, UTC).replace(tzinfo=None) for record in ordered],
        "key": [record.key for record in ordered],
        "value": [record.value for record in ordered],
        "size": [max(size, 0) if size is not None else 0 for size in sizes],
    }
    return pa.Table.from_pydict(columns, RECORD_SCHEMA)


def _fetch(consumer: Any, topic: str, wanted: Mapping[int, OffsetRange]) -> list[Any]:
    """Poll until each partition has been read to the end of its range."""
    from kafka.structs import TopicPartition

    places = {TopicPartition(topic, partition): found for partition, found in wanted.items()}
    consumer.assign(list(places))
    consumer.resume(*places)  # a partition that was paused stays paused over `assign` (kafka-python 3.0)
    begins = consumer.beginning_offsets(list(places), timeout_ms=10_000)
    for place, found in places.items():
        consumer.seek(place, min(max(found.start, begins[place]), found.end))
    records: list[Any] = []
    heard = time.monotonic()
    while open_places := [place for place, found in places.items() if consumer.position(place) < found.end]:
        polled = consumer.poll(timeout_ms=POLL_MS)
        for place, batch in polled.items():
            kept = (record for record in batch if record.offset < places[place].end)
            records.extend(lightened(record) for record in kept)
        if polled:
            heard = time.monotonic()
        elif time.monotonic() - heard > STALL_SECONDS:
            from kafka.errors import KafkaTimeoutError

            raise KafkaTimeoutError(f"no messages for {STALL_SECONDS:.0f} s on {open_places[0]}")
        consumer.pause(*[place for place, found in places.items() if consumer.position(place) >= found.end])
    consumer.resume(*places)
    return records


def lightened(record: Any) -> Any:
    """The record without a value that is too large to be one of ours."""
    return record._replace(value=None) if (record.serialized_value_size or 0) > MAX_MESSAGE_BYTES else record


def start_of(committed: int | None, begin: int, end: int) -> int:
    """Where the group goes on. An offset beyond the end belonged to a topic of the same name that is gone."""
    if committed is None or committed > end:
        return begin
    return committed


def fair_shares(waiting: Mapping[int, int], at_most: int) -> dict[int, int]:
    """Fair shares of `at_most`: short queues whole, the rest of it split evenly among the long ones."""
    shares: dict[int, int] = {}
    left = at_most
    queue = sorted(waiting.items(), key=lambda item: item[1])
    for place, (partition, count) in enumerate(queue):
        shares[partition] = min(count, left // (len(queue) - place))
        left -= shares[partition]
    return shares
