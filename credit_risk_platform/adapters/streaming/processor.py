"""One micro-batch, from offsets to a committed result.

    read [start, end) -> judge -> drop what came before -> compute -> one transaction -> dead letters -> group offset

Whatever is killed at whatever point: the sink holds a batch whole or not at all, and what it holds is not done again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from credit_risk_platform.adapters.ledger_writer import Stamp
from credit_risk_platform.adapters.streaming import sink
from credit_risk_platform.adapters.streaming.batch import (
    REFUSED_SCHEMA,
    BatchContext,
    BatchReport,
    Handler,
    NotReadyError,
    OffsetRange,
    Outcome,
)
from credit_risk_platform.adapters.streaming.intake import Intake, Judged
from credit_risk_platform.adapters.streaming.ranges import halves, reaching_back, split
from credit_risk_platform.adapters.streaming.repeats import Repeats, without_repeats
from credit_risk_platform.adapters.streaming.report import Lag, Part, report
from credit_risk_platform.adapters.streaming.transport import DeadLetters, StreamLog
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.contracts.reasons import Reason

RACES = 5
"""Times a batch is computed anew because another worker was quicker."""
Commit = Callable[[Sequence[OffsetRange]], None]


@dataclass(frozen=True)
class Processor:
    """Takes one topic's messages to the warehouse. `handler` knows what they are for."""

    warehouse: Warehouse
    log: StreamLog
    intake: Intake
    handler: Handler
    dead_letters: DeadLetters
    _held: dict[str, dict[int, int]] = field(default_factory=dict)
    """Topic id -> where the sink ended when it was last seen. Behind the truth at worst, and the sink would tell."""
    _left: dict[str, str] = field(default_factory=dict)
    """Topic id -> the state of the warehouse this worker's last commit made: in it, `_held` is the truth."""

    @cached_property
    def _repeats(self) -> Repeats:
        return Repeats(self.warehouse, self.handler.contract.raw_table)

    def warm(self, now: datetime) -> None:
        """Begin with what a process makes once, on threads of its own: Kafka is asked, and waited for, meanwhile.

        What fails here fails again where it is needed, and is told there.
        """
        pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="warm")
        pool.submit(self.handler.warm)
        pool.submit(self.intake.warm, now.date())
        pool.shutdown(wait=False)

    def process(
        self, ranges: Sequence[OffsetRange], stamp: Stamp, now: datetime, *, isolate: bool = False
    ) -> BatchReport:
        """Take exactly `ranges`; what the sink holds of them is not written again.

        With `isolate`, a batch that cannot be computed is halved until the one message it fails on is a dead letter.
        Raises `NotReadyError` when the surroundings are at fault.
        """
        started = time.perf_counter()
        held = self._look(self.log.topic_id())
        ranges = [reaching_back(found, held) for found in ranges]
        records = self.log.read(ranges)
        return self.take(records, ranges, stamp, now, commit=self.log.commit, isolate=isolate, started=started)

    def take(
        self,
        records: pa.Table,
        ranges: Sequence[OffsetRange],
        stamp: Stamp,
        now: datetime,
        *,
        commit: Commit,
        isolate: bool = False,
        started: float | None = None,
        lag: Lag | None = None,
    ) -> BatchReport:
        """As `process`, for messages that were read already: `records` are all there are within `ranges`.

        `lag` is asked for the report, and so is the group's when it is not given.
        """
        started = time.perf_counter() if started is None else started
        if records.num_rows > sum(found.count for found in ranges):
            raise ValueError(f"{records.num_rows} messages cannot all be of {', '.join(map(str, ranges))}")
        topic_id = self.log.topic_id()
        for again in range(RACES):
            before = self._held.get(topic_id) or self._look(topic_id)
            todo, done = split(ranges, before)
            self._send_again(records, done, topic_id)
            try:
                parts = self._attempt(records, todo, topic_id, before, stamp, now, isolate) if todo else []
                break
            except sink.RangeTakenError as error:
                self._forget()
                if again == RACES - 1:
                    raise NotReadyError(f"{error}, {RACES} times: stop the second consumer of this group") from error
        if parts:
            self._held[topic_id] = dict(parts[-1].written.ends)
            self._left[topic_id] = parts[-1].written.state
        commit(ranges)
        topic = self.handler.contract.topic
        return report(self.warehouse, topic, topic_id, records, ranges, done, parts, lag or self.log.lag, started)

    def look(self) -> dict[int, int]:
        """Partition -> the offset the sink goes on at, read anew."""
        return self._look(self.log.topic_id())

    def moved(self, before: str, after: str) -> None:
        """This process made the state `after` of `before`, and changed no rows."""
        for topic_id, left in self._left.items():
            if left == before:
                self._left[topic_id] = after
        self._repeats.moved(before, after)
        self.handler.moved(before, after)

    @property
    def asks(self) -> set[str]:
        """Tables that each batch is looked up in now: the fewer their files, the quicker."""
        return {*self.handler.asks, *([self._repeats.table] if self._repeats.asks else [])}

    # ---------------------------------------------------------------- inside

    def _look(self, topic_id: str) -> dict[int, int]:
        self._forget()
        self._held[topic_id] = sink.taken_until(self.warehouse, self.handler.contract.topic, topic_id)
        return self._held[topic_id]

    def _forget(self) -> None:
        self._held.clear()
        self._left.clear()

    def _attempt(
        self,
        records: pa.Table,
        ranges: Sequence[OffsetRange],
        topic_id: str,
        before: Mapping[int, int],
        stamp: Stamp,
        now: datetime,
        isolate: bool,
    ) -> list[Part]:
        within = _within(records, ranges)
        try:
            return [self._whole(within, ranges, topic_id, before, stamp, now)]
        except (NotReadyError, sink.RangeTakenError):
            raise
        except Exception as error:
            # Any fault: isolation finds the message it comes from.
            if not isolate:
                raise
            if sum(found.count for found in ranges) == 1:
                return [self._whole(within, ranges, topic_id, before, stamp, now, fault=error)]
        done: list[Part] = []
        for half in halves(ranges):
            current = sink.taken_until(self.warehouse, ranges[0].topic, topic_id)
            done += self._attempt(records, half, topic_id, current, stamp, now, isolate)
        return done

    def _whole(
        self,
        records: pa.Table,
        ranges: Sequence[OffsetRange],
        topic_id: str,
        before: Mapping[int, int],
        stamp: Stamp,
        now: datetime,
        fault: Exception | None = None,
    ) -> Part:
        state = self._left.get(topic_id)
        remembered = self._repeats.remembers(state)
        judged, known = self._judged(records, topic_id, now, remembered=remembered)
        if fault is not None:
            judged = self._blame(records, judged, fault)
        fresh, repeated = without_repeats(judged.accepted, known)
        prepared = self.handler.prepare(fresh, BatchContext(stamp, now))
        dead = judged.dead
        if prepared.refused is not None and prepared.refused.num_rows:
            dead = pa.concat_tables([dead, self.intake.refuse(records, prepared.refused)])
            fresh = _without(fresh, prepared.refused)
        complete = records.num_rows == sum(found.count for found in ranges)
        lost = sink.lost(ranges, {} if complete else self.log.beginnings(), topic_id)
        traced = pa.concat_tables(
            [_traced(fresh, None), _traced(repeated, Outcome.DUPLICATE), _traced(dead, Outcome.DEAD_LETTER), lost]
        )
        written = sink.write(
            self.warehouse, topic_id=topic_id, ranges=ranges, raw_table=self.handler.contract.raw_table, accepted=fresh,
            dead=dead, traced=traced, prepared=prepared, run_id=stamp.run_id, now=now, before=before,
            before_state=state, remembered=remembered,
        )  # fmt: skip
        self._repeats.wrote(fresh, written.state, undisturbed=written.undisturbed)
        committed = time.time()
        self.dead_letters.publish(records, dead)
        return Part(records, dead, written, prepared.bundle_sha, committed)

    def _blame(self, records: pa.Table, judged: Judged, fault: Exception) -> Judged:
        """The one message of `records` as a dead letter, with the fault's type: its text might quote the message."""
        if not judged.accepted.num_rows:
            return judged
        row = {name: records[name][0].as_py() for name in ("partition", "offset")}
        refused = {**row, "column": None, "value": type(fault).__name__, "reason": str(Reason.UNPROCESSABLE)}
        dead = self.intake.refuse(records, pa.Table.from_pylist([refused], REFUSED_SCHEMA))
        return Judged(judged.accepted.slice(0, 0), dead)

    def _judged(self, records: pa.Table, topic_id: str, now: datetime, *, remembered: bool) -> tuple[Judged, pa.Array]:
        """The judgement, and which events are known: looked up beside it where they are not remembered."""
        if remembered:
            judged = self.intake.judge(records, now.date())
            return judged, self._repeats.among(judged.accepted, records)
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="repeats") as beside:
            known = beside.submit(self._known, records, topic_id)
            judged = self.intake.judge(records, now.date())
        return judged, known.result()

    def _known(self, records: pa.Table, topic_id: str) -> pa.Array:
        if self._held.get(topic_id) or self.warehouse.exists(self._repeats.table):  # who holds a batch holds this table
            return self._repeats.ask(records)
        return pa.nulls(0, pa.string())

    def _send_again(self, records: pa.Table, done: Sequence[OffsetRange], topic_id: str) -> None:
        """A run may have died between its transaction and its dead letters: what the sink holds is sent once more."""
        if done:
            topic = self.handler.contract.topic
            dead = sink.dead_letter_offsets(self.warehouse, topic, topic_id, done)
            self.dead_letters.publish(records, dead.cast(_DEAD_KEYS))


_DEAD_KEYS = pa.schema([("partition", pa.int32()), ("offset", pa.int64()), ("reason", pa.string())])


def _within(records: pa.Table, ranges: Sequence[OffsetRange]) -> pa.Table:
    partition, offset = pc.field("partition"), pc.field("offset")
    kept = pc.scalar(False)
    for found in ranges:
        kept = kept | ((partition == found.partition) & (offset >= found.start) & (offset < found.end))
    return records.filter(kept)


def _without(rows: pa.Table, places: pa.Table) -> pa.Table:
    keys = ["partition", "offset"]
    given = pa.table({name: places[name].cast(rows.schema.field(name).type) for name in keys})
    return rows.join(given, keys=keys, join_type="left anti").sort_by([(key, "ascending") for key in keys])


def _traced(rows: pa.Table, outcome: Outcome | None) -> pa.Table:
    """Trace rows of `rows`; those without an outcome get it from the handler."""
    size = rows.num_rows
    told = {
        "outcome": pa.repeat(pa.scalar(str(outcome) if outcome else None, pa.string()), size),
        "reason": rows["reason"] if "reason" in rows.column_names else pa.nulls(size, pa.string()),
    }
    columns = {name: told[name] if name in told else rows[name] for name in sink.TRACE_SCHEMA.names}
    return pa.table(columns).cast(sink.TRACE_SCHEMA)
