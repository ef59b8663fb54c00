"""A process that stays: each poll of one topic becomes one micro-batch, scored and committed within the second.

It takes the same way to the warehouse as a run of the sensor (`Streams.take`), so what either has written the other
leaves alone. Several processes spread the partitions over themselves, as members of a group that keeps no offsets: how
far the stream is, the sink knows, and the one group that runs commit to is told.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from credit_risk_platform.adapters.kafka_client import connect
from credit_risk_platform.adapters.ledger import LEDGER, SEALS
from credit_risk_platform.adapters.ledger_writer import Stamp
from credit_risk_platform.adapters.streaming import sink
from credit_risk_platform.adapters.streaming.batch import BatchReport, NotReadyError, OffsetRange
from credit_risk_platform.adapters.streaming.join_watch import JoinWatch
from credit_risk_platform.adapters.streaming.log import lightened, start_of, to_table
from credit_risk_platform.adapters.streaming.small_files import SmallFiles
from credit_risk_platform.adapters.streaming.streams import Streams
from credit_risk_platform.adapters.streaming.transport import StreamLog

POLL_MS, JOIN_POLL_MS = 100, 1_000
"""The second while there are no partitions: a poll that runs out of time while joining may lose the answer."""
CATCH_UP_MS, CATCH_UP_SECONDS = 5, 0.05
"""What was fetched while the last batch was computed is old; the next fetches bring what has come since. Not for long:
in a steady stream there would be no end."""
PATIENCE_SECONDS = 30.0
"""How long surroundings that are not ready are waited for, messages in hand."""
PAUSE_SECONDS = 0.5
ATTEMPTS = 3
"""Times a batch is tried whole before the message it fails on is looked for."""
SESSION_MS = 10_000
"""A process that died is missed after this long, and its partitions go to the others."""


def members_group(group: str, topic: str) -> str:
    """The group whose live members are the fast lanes of a topic."""
    return f"{group}.{topic}.fast-lane"


@dataclass
class Summary:
    """What a process has done so far. Latencies are from Kafka's time stamp of an event to the commit of its score."""

    topic: str
    batches: int = 0
    messages: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    lag: int = 0
    latencies: list[np.ndarray] = field(default_factory=list, repr=False)

    def add(self, report: BatchReport) -> None:
        self.batches += 1
        self.messages += report.messages
        self.outcomes.update({str(outcome): count for outcome, count in report.outcomes.items()})
        self.reasons.update(report.reasons)
        self.lag = report.lag
        self.latencies.append(np.asarray(report.latencies_ms, dtype=np.float32))

    def as_dict(self) -> dict[str, Any]:
        waits = np.concatenate(self.latencies) if self.messages else np.array([])
        p50, p95, longest = np.quantile(waits, [0.5, 0.95, 1.0]).round(1).tolist() if waits.size else [None] * 3
        return {
            "topic": self.topic,
            "seconds": round(self.seconds, 1),
            "batches": self.batches,
            "messages": self.messages,
            "outcomes": dict(self.outcomes),
            "dead_letter_reasons": dict(self.reasons),
            "lag": self.lag,
            "event_to_score_p50_ms": p50,
            "event_to_score_p95_ms": p95,
            "event_to_score_max_ms": longest,
        }


class FastLane:
    """One member of the fast lane of `topic`. `clock` gives naive UTC, `merge` joins a table's small files."""

    def __init__(
        self,
        streams: Streams,
        topic: str,
        stamp: Stamp,
        clock: Callable[[], datetime],
        *,
        batch_messages: int = 5_000,
        on_batch: Callable[[BatchReport], None] = lambda _: None,
        on_wait: Callable[[str], None] = lambda _: None,
        merge: Callable[[str], tuple[str, str]] | None = None,
    ) -> None:
        self.streams, self.topic, self.stamp, self.clock = streams, topic, stamp, clock
        self.batch_messages, self.on_batch, self.on_wait, self.merge = batch_messages, on_batch, on_wait, merge
        self._topic_id = ""
        self._next: dict[int, int] = {}
        """Partition of this member -> the offset its next batch begins at."""

    def run(self, seconds: float, stopped: Callable[[], bool] = lambda: False) -> Summary:
        """Work for `seconds`, or until `stopped` says so; the batch in hand is finished.

        Raises `NotReadyError` when the surroundings stay unready for half a minute; the messages stay in the log.
        """
        from kafka.errors import KafkaError

        summary = Summary(self.topic)
        started = time.monotonic()
        self._topic_id = self._log.topic_id()  # says what to do when there is no cluster or no such topic
        consumer = None
        files, watch = SmallFiles(self._join_files, lambda: self.streams.asks(self.topic)), JoinWatch()
        try:
            while not stopped() and time.monotonic() - started < seconds:
                try:
                    consumer = consumer or self._join()
                    records, ranges = self._poll(consumer)
                except (KafkaError, NotReadyError) as error:  # away: nothing is in hand, and it may come back
                    self.on_wait(f"Kafka does not answer ({type(error).__name__}); waiting for it.")
                    self._leave(consumer)
                    consumer, watch = None, JoinWatch()
                    time.sleep(PAUSE_SECONDS)
                    continue
                if ranges:
                    files.written(self._take(consumer, records, ranges, summary))
                elif watch.lost(consumer):
                    self.on_wait("The group gave this member no partitions; joining it anew.")
                    self._leave(consumer)
                    consumer, watch = None, JoinWatch()
        finally:
            self._leave(consumer)
        summary.seconds = time.monotonic() - started
        summary.lag = self._log.lag()
        return summary

    # ---------------------------------------------------------------- inside

    @property
    def _log(self) -> StreamLog:
        return self.streams.log(self.topic)

    def _join(self) -> Any:
        from kafka import KafkaConsumer

        consumer = connect(
            KafkaConsumer,
            self.streams.connection,
            bootstrap_timeout_ms=3_000,
            group_id=members_group(self.streams.group, self.topic),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            session_timeout_ms=SESSION_MS,
            metadata_max_age_ms=30_000,
            fetch_max_wait_ms=50,
            max_partition_fetch_bytes=8 * 1024 * 1024,
            max_poll_records=self.batch_messages,
        )
        consumer.subscribe([self.topic])
        return consumer

    def _leave(self, consumer: Any) -> None:
        from kafka.errors import KafkaError

        self._next.clear()
        if consumer is not None:
            with contextlib.suppress(KafkaError):  # a cluster that is away cannot be told
                consumer.close(autocommit=False, timeout_ms=2_000)

    def _take(self, consumer: Any, records: list[Any], ranges: Sequence[OffsetRange], summary: Summary) -> set[str]:
        """Returns the tables in which the batch left a file."""
        report = self._patiently(to_table(records, self._topic_id), ranges, lambda: _behind(consumer))
        for found in ranges:
            self._next[found.partition] = found.end
        summary.add(report)
        self.on_batch(report)
        written = {table for table, rows in report.rows.items() if rows} | {sink.BATCHES}
        return written | {SEALS} if LEDGER in written else written

    def _join_files(self, table: str) -> None:
        if self.merge is not None:
            self.streams.moved(self.topic, *self.merge(table))

    def _poll(self, consumer: Any) -> tuple[list[Any], list[OffsetRange]]:
        """What is there, up to a batch: the first poll waits, the others catch up.

        A range goes from where the partition was to where it is now: offsets without a message are passed too.
        """
        records: list[Any] = []
        reached: dict[int, int] = {}
        wait, until = POLL_MS if consumer.assignment() else JOIN_POLL_MS, float("inf")
        while len(records) < self.batch_messages and time.monotonic() < until:
            polled = consumer.poll(timeout_ms=wait, max_records=self.batch_messages - len(records))
            sought = self._follow(consumer)
            for place, batch in polled.items():
                expected = reached.get(place.partition, self._next.get(place.partition))
                if expected is None or place.partition in sought or batch[0].offset < expected:
                    continue  # read elsewhere than where the partition goes on
                records += map(lightened, batch)
                reached[place.partition] = consumer.position(place)
            self._go_back(consumer, reached)
            if not polled:
                break
            wait, until = CATCH_UP_MS, min(until, time.monotonic() + CATCH_UP_SECONDS)
        starts = {number: start for number, start in self._next.items() if reached.get(number, start) > start}
        ranges = [OffsetRange(self.topic, number, start, reached[number]) for number, start in sorted(starts.items())]
        return [record for record in records if record.partition in starts], ranges

    def _follow(self, consumer: Any) -> Set[int]:
        """Learn which partitions are this member's now; those that are new to it go to where the sink ends."""
        mine = {place.partition: place for place in consumer.assignment()}
        if (topic_id := self._log.topic_id()) != self._topic_id:  # deleted and made again: other messages
            self._topic_id = topic_id
            self._next.clear()
        for number in self._next.keys() - mine.keys():
            del self._next[number]
        if new := mine.keys() - self._next.keys():
            taken, committed = self.streams.taken_until(self.topic), self._log.committed()
            begins, ends = self._log.beginnings(), self._log.ends()
            for number in new:
                asked = start_of(committed.get(number), begins[number], ends[number])
                self._next[number] = taken.get(number, asked)
                consumer.seek(mine[number], max(self._next[number], begins[number]))
        return new

    def _go_back(self, consumer: Any, reached: Mapping[int, int]) -> None:
        """A partition that was lost and given back between two polls stands at the beginning of the log."""
        for place in consumer.assignment():
            expected = reached.get(place.partition, self._next[place.partition])
            if consumer.position(place) < expected:
                consumer.seek(place, expected)

    def _patiently(self, table: Any, ranges: Sequence[OffsetRange], lag: Callable[[], int]) -> BatchReport:
        deadline = time.monotonic() + PATIENCE_SECONDS
        faults = 0
        while True:
            try:
                return self.streams.take(
                    self.topic, table, ranges, self.stamp, self.clock(),
                    commit=self._log.commit, isolate=faults >= ATTEMPTS, lag=lag,
                )  # fmt: skip
            except NotReadyError as error:
                if time.monotonic() > deadline:
                    raise
                self.on_wait(str(error))
            except Exception as error:
                # Any fault of the batch: tried again, then the message it comes from is looked for.
                faults += 1
                if faults > ATTEMPTS:
                    raise
                self.on_wait(f"{type(error).__name__} on {', '.join(map(str, ranges))}, attempt {faults}")
            time.sleep(PAUSE_SECONDS)


def _behind(consumer: Any) -> int:
    """Messages of this member's partitions that it has not taken, as its last fetches told: asking would take time."""
    ends = {place: consumer.highwater(place) for place in consumer.assignment()}
    return sum(max(end - consumer.position(place), 0) for place, end in ends.items() if end is not None)
