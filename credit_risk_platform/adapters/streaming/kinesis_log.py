"""One Kinesis stream as offsets: the `StreamLog` of a transport that has neither offsets nor a place for its readers.

A shard is a partition, known by its number. Offsets count a shard's records from the first one this group has seen;
where the group is stands in the warehouse (`kinesis_bookmarks`). A shard that was split or merged is read and committed
to its end before its children begin, so messages of one key stay in order.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pyarrow as pa

from credit_risk_platform.adapters.kinesis_connection import KinesisConnection, asking
from credit_risk_platform.adapters.streaming import sink
from credit_risk_platform.adapters.streaming.batch import RECORD_SCHEMA, NotReadyError, OffsetRange
from credit_risk_platform.adapters.streaming.kinesis_bookmarks import Bookmarks, Mark
from credit_risk_platform.adapters.streaming.kinesis_pages import Entry, Pages
from credit_risk_platform.adapters.streaming.kinesis_shard import ShardReader
from credit_risk_platform.adapters.streaming.log import fair_shares
from credit_risk_platform.adapters.warehouse.base import Warehouse

METADATA_SECONDS = 30.0
"""How long new shards, or a stream made anew, may stay unseen."""
LAG_COUNTED = 2_000
"""Messages of a topic that are counted one by one; beyond them the lag is estimated from their pace."""
REST_SHARE = 4
"""A stream at rest gets a new bookmark after this part of the time it keeps records."""
USABLE = ("ACTIVE", "UPDATING")


class KinesisLog:
    """Reads one stream for one group. Not for use by several threads at once."""

    look_seconds = 0.5
    """Kinesis answers five calls a second and shard; the runs need theirs."""

    def __init__(self, connection: KinesisConnection, topic: str, group: str, warehouse: Warehouse) -> None:
        self.connection, self.topic, self.group, self.warehouse = connection, topic, group, warehouse
        self._bookmarks = Bookmarks(warehouse, group, topic)
        self._client: Any = None
        self._described_at = -METADATA_SECONDS
        self._topic_id, self._retention = "", timedelta(hours=24)
        self._parents: dict[int, tuple[int, ...]] = {}
        """Shard -> those it was made from, of all that Kinesis lists."""
        self._readers: dict[int, ShardReader] = {}
        self._marks: dict[int, list[Mark]] | None = None

    # ---------------------------------------------------------------- how far

    def topic_id(self) -> str:
        """Of the stream's name and the moment it was made: one that was deleted and made again has another one."""
        with self._asking():
            self._describe()
        return self._topic_id

    def ends(self) -> dict[int, int]:
        """Offset after the last record that is known, of each shard, after one more look."""
        with self._asking():
            for reader in self._open():
                reader.fill(len(reader.window) + 1)
            return {number: reader.end for number, reader in self._readers.items()}

    def beginnings(self) -> dict[int, int]:
        """First offset that is still kept, of each shard of which some are known to be gone; else 0."""
        with self._asking():
            self._open()
            return {
                number: reader.first if reader.first > reader.start else 0 for number, reader in self._readers.items()
            }

    def committed(self) -> dict[int, int]:
        """The group's offset of each shard that has one.

        As last read from the warehouse while nothing waits: nobody can have gone beyond the end.
        """
        with self._asking():
            if any(reader.waiting for reader in self._open()):
                self._reread()
            return {number: mark.offset for number, mark in self._taken().items()}

    def pending(self, at_most: int) -> list[OffsetRange]:
        """What stands between the group and the ends, `at_most` messages in all, the longest queues cut first."""
        with self._asking():
            self._count(at_most)
            if any(reader.waiting for reader in self._readers.values()):
                self._reread()  # another process may have taken it
                self._count(at_most)
            readers = {reader.number: reader for reader in self._open()}
        shares = fair_shares({number: reader.waiting for number, reader in readers.items()}, at_most)
        return [
            OffsetRange(self.topic, number, readers[number].start, readers[number].start + share)
            for number, share in sorted(shares.items())
            if share
        ]

    def lag(self) -> int:
        """Messages the group has not committed yet: counted up to 2,000, beyond that estimated from their pace."""
        with self._asking():
            self._count(LAG_COUNTED)
            return sum(_estimated(reader) for reader in self._open())

    # ---------------------------------------------------------------- messages

    def read(self, ranges: Sequence[OffsetRange]) -> pa.Table:
        """The messages of `ranges` that exist (`RECORD_SCHEMA`), in the order of partition and offset."""
        found: list[tuple[int, int, Entry]] = []
        with self._asking():
            self._open()
            for wanted in sorted(found for found in ranges if found.count):
                reader = self._readers.get(wanted.partition)
                if reader is None:
                    raise NotReadyError(f"shard {wanted.partition} of {self.topic} is gone: nothing of it can be read")
                if wanted.start < reader.start:
                    reader = self._from_before(reader, wanted.start)
                found += [(wanted.partition, at, entry) for at, entry in reader.take(wanted.start, wanted.end)]
                if anchor := reader.anchor():
                    self._bookmarks.add(self._topic_id, {wanted.partition: anchor})
        return self._table(found)

    def commit(self, ranges: Iterable[OffsetRange]) -> None:
        """Bookmark the end of each range, in a transaction of its own. Never backwards: the highest mark counts."""
        with self._asking():
            self._open()
            taken = self._taken()
            marks: dict[int, Mark] = {}
            for done in ranges:
                before = taken.get(done.partition)
                if before is None or done.end > before.offset:
                    marks[done.partition] = self._readers[done.partition].mark_at(done.end)
            self._write(marks)

    def rest(self) -> None:
        """Bookmark that shards hold nothing more, now and then: else a record that expires later would look lost."""
        with self._asking():
            marks: dict[int, Mark] = {}
            for number, reader in self._readers.items():
                mark, tip_at = reader.mark, reader.tip_at
                if reader.waiting or tip_at is None or (mark and mark.ended):
                    continue
                due = mark is None or mark.tip_at is None or tip_at - mark.tip_at > self._retention / REST_SHARE
                if due or reader.over:
                    marks[number] = replace(mark or Mark(reader.start), taken=True, tip_at=tip_at, ended=reader.over)
            self._write(marks)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
        self._forget()

    # ---------------------------------------------------------------- inside

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Refusals as `NotReadyError`; what was known of the stream is asked anew after one."""
        try:
            with asking(self.connection.where, self.topic):
                yield
        except NotReadyError:
            self._forget()
            raise

    def _forget(self) -> None:
        self._readers, self._marks = {}, None
        self._described_at = -METADATA_SECONDS

    def _connected(self) -> Any:
        if self._client is None:
            self._client = self.connection.client()
        return self._client

    def _describe(self) -> None:
        if time.monotonic() - self._described_at < METADATA_SECONDS:
            return
        client = self._connected()
        stream = client.describe_stream_summary(StreamName=self.topic)["StreamDescriptionSummary"]
        if stream["StreamStatus"] not in USABLE:
            raise NotReadyError(
                f"stream {self.topic} at {self.connection.where} is {stream['StreamStatus']}: wait until it is ACTIVE, "
                "or make it with `crp kinesis up`"
            )
        made = f"{stream['StreamARN']} {stream['StreamCreationTimestamp'].timestamp():.3f}"
        topic_id = hashlib.sha256(made.encode()).hexdigest()[:22]
        if topic_id != self._topic_id:
            self._readers, self._marks = {}, None
        self._topic_id, self._retention = topic_id, timedelta(hours=stream["RetentionPeriodHours"])
        self._list_shards(client)
        self._described_at = time.monotonic()

    def _list_shards(self, client: Any) -> None:
        if self._marks is None:
            self._marks = self._bookmarks.latest(self._topic_id)
        listed: list[dict[str, Any]] = []
        asked: dict[str, str] = {"StreamName": self.topic}
        while asked:
            page = client.list_shards(**asked)
            listed += page["Shards"]
            asked = {"NextToken": page["NextToken"]} if page.get("NextToken") else {}
        self._parents = {_number(shard["ShardId"]): _parents(shard) for shard in listed}
        for shard in listed:
            number = _number(shard["ShardId"])
            if number not in self._readers:
                pages = Pages(client, self.connection.where, self.topic, shard["ShardId"])
                self._readers[number] = self._reader(pages, number, *self._known(number))
            self._readers[number].pages.closed = "EndingSequenceNumber" in shard["SequenceNumberRange"]

    def _reader(
        self, pages: Pages, number: int, mark: Mark | None, marks: Sequence[Mark], *, recalls: bool = False
    ) -> ShardReader:
        return ShardReader(
            pages, number, mark, marks, lambda: self._sink_ends(number), self._retention, recalls=recalls
        )

    def _sink_ends(self, number: int) -> int:
        return sink.taken_until(self.warehouse, self.topic, self._topic_id).get(number, 0)

    def _known(self, number: int) -> tuple[Mark | None, list[Mark]]:
        """(the group's bookmark in a shard, all marks there)."""
        marks = (self._marks or {}).get(number, [])
        return max((mark for mark in marks if mark.taken), key=lambda mark: mark.offset, default=None), marks

    def _taken(self) -> dict[int, Mark]:
        found = {number: self._known(number)[0] for number in self._marks or {}}
        return {number: mark for number, mark in found.items() if mark is not None}

    def _reread(self) -> None:
        self._marks = self._bookmarks.latest(self._topic_id)
        for number, reader in self._readers.items():
            reader.update(*self._known(number))

    def _open(self) -> list[ShardReader]:
        """Those whose turn it is: not finished, and their parents are."""
        self._describe()
        return [
            reader
            for number, reader in sorted(self._readers.items())
            if not reader.finished
            and all(
                self._readers[parent].finished for parent in self._parents.get(number, ()) if parent in self._parents
            )
        ]

    def _count(self, at_most: int) -> None:
        """Look far enough to share out `at_most` messages fairly, and no farther."""
        wanted, looked = 0, set[int]()
        while True:
            readers = self._open()  # the children of a shard begin when it turns out to be finished
            missing = at_most - sum(reader.waiting for reader in readers)
            more = [
                reader
                for reader in readers
                if not reader.over and (reader.number not in looked or reader.waiting >= wanted)
            ]
            if missing <= 0 or not more:
                return
            wanted = max(reader.waiting for reader in more) + -(-missing // len(more))
            for reader in more:
                reader.fill(wanted)
            looked |= {reader.number for reader in more}

    def _from_before(self, reader: ShardReader, start: int) -> ShardReader:
        """A reader of the same shard from an earlier place: a batch that was done long ago is looked at again."""
        marks = self._bookmarks.history(self._topic_id, reader.number)
        mark = max((mark for mark in marks if mark.offset <= start), key=lambda mark: mark.offset, default=None)
        pages = Pages(self._connected(), self.connection.where, self.topic, reader.pages.shard_id)
        return self._reader(pages, reader.number, mark and replace(mark, ended=False), marks, recalls=True)

    def _write(self, marks: Mapping[int, Mark]) -> None:
        if not marks:
            return
        self._bookmarks.add(self._topic_id, marks)
        for number, mark in marks.items():
            known = self._marks.setdefault(number, []) if self._marks is not None else []
            known[:] = [*(one for one in known if one.offset != mark.offset), mark]
            self._readers[number].advance(mark)

    def _table(self, found: Sequence[tuple[int, int, Entry]]) -> pa.Table:
        columns: dict[str, Callable[[int, int, Entry], Any]] = {
            "topic": lambda *_: self.topic,
            "topic_id": lambda *_: self._topic_id,
            "partition": lambda number, _, __: number,
            "offset": lambda _, offset, __: offset,
            "kafka_time": lambda _, __, entry: entry.arrived,
            "key": lambda _, __, entry: entry.key,
            "value": lambda _, __, entry: entry.value,
            "size": lambda _, __, entry: entry.size,
        }
        return pa.Table.from_pydict(
            {name: [value(*one) for one in found] for name, value in columns.items()}, RECORD_SCHEMA
        )


def _number(shard_id: str) -> int:
    return int(shard_id.rpartition("-")[2])


def _parents(shard: Mapping[str, Any]) -> tuple[int, ...]:
    named = (shard.get("ParentShardId"), shard.get("AdjacentParentShardId"))
    return tuple(_number(shard_id) for shard_id in named if shard_id)


def _estimated(reader: ShardReader) -> int:
    if not reader.behind_ms or len(reader.window) < 2:
        return reader.waiting
    spanned = (reader.window[-1].arrived - reader.window[0].arrived) / timedelta(milliseconds=1)
    return reader.waiting + round(len(reader.window) * reader.behind_ms / spanned) if spanned > 0 else reader.waiting
