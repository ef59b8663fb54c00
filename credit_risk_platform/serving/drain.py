"""From the spool to the ledger: segment by segment, each in one transaction, then it is gone from the disk."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from credit_risk_platform.adapters.api_sink import TABLES, Answered, ApiSink
from credit_risk_platform.adapters.ledger import LedgerError
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.serving import spool as spools
from credit_risk_platform.serving.metrics import ApiMetrics
from credit_risk_platform.serving.pending import Pending
from credit_risk_platform.serving.rows import FULL_SCHEMA
from credit_risk_platform.serving.segments import DamagedSegmentError, Segment, part, read
from credit_risk_platform.serving.spool import Spool

log = logging.getLogger(__name__)
DRAIN_SECONDS = 5.0
"""A transaction costs a quarter of a second of processor time, whatever it holds: not too often."""
ORPHANS_EVERY = 3
"""Rounds between looks at what dead processes left."""
SEGMENTS_PER_MERGE = 8
"""After so many segments the small files of one table become one: every scan opens them all."""


class Drainer:
    """Empties the spool of this process, and those of processes that died. `trouble` is the last failure, if any."""

    def __init__(
        self, warehouse: Warehouse, spool: Spool, pending: Pending, metrics: ApiMetrics, merge: Callable[[str], object]
    ) -> None:
        self.spool, self.pending, self.metrics, self.merge = spool, pending, metrics, merge
        self.sink = ApiSink(warehouse, FULL_SCHEMA)
        self.trouble = ""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="drain")
        self._one_at_a_time = threading.Lock()
        self._rounds = self._segments = 0

    async def run(self) -> None:
        """Drain now and then, for ever. A failure is told and tried again: nothing that was answered is dropped."""
        while True:
            await asyncio.sleep(DRAIN_SECONDS)
            task = asyncio.get_running_loop().run_in_executor(self._thread, self.drain)
            await asyncio.wait([task])
            if error := task.exception():
                self.metrics.drain_failures.inc()
                self.trouble = f"scores wait for the ledger ({type(error).__name__}): see the log"
                log.error("%s", self.trouble, exc_info=error)
            else:
                count = len(spools.refused(self.spool.folder))
                self.trouble = (
                    f"the ledger refused scores, kept in {count} files: see `crp api --drain`" if count else ""
                )
            self.metrics.spool(self.spool.depth())
            self.metrics.publish(self.spool.own)

    def drain(self) -> int:
        """Write all that waits; returns the number of calls written."""
        with self._one_at_a_time:
            written = sum(self._take(segment) for segment in self.spool.closed())
            if self._rounds % ORPHANS_EVERY == 0:
                written += drain_orphans(self.sink, self.spool.folder)
            self._rounds += 1
            self.metrics.drained.inc(written)
        return written

    def close(self) -> None:
        self._thread.shutdown()

    def _take(self, path: Path) -> int:
        try:
            written = take(self.sink, path)
        except LedgerError as error:
            spools.put_aside(path)
            self.metrics.drain_failures.inc()
            # Its words name a loan and its PD: not for the log. `crp api --drain` shows them to an operator.
            log.error("%s: the ledger refused these scores (%s)", path, type(error).__name__)
            return 0
        self.spool.done(path)
        self.pending.drained(path)
        self._segments += 1
        if self._segments % SEGMENTS_PER_MERGE == 0:
            self.merge(TABLES[self._segments // SEGMENTS_PER_MERGE % len(TABLES)])
        return written


def drain_orphans(sink: ApiSink, folder: Path, *, retry: bool = False) -> int:
    """Write what processes that live no more left behind; with `retry`, also what the ledger refused before.

    Raises `LedgerError` only with `retry`, for the first segment that is refused again.
    """
    written = 0
    with spools.orphans(folder, retry=retry) as left:
        for path in left:
            try:
                written += take(sink, path)
            except LedgerError as error:
                spools.put_aside(path)
                log.error("%s: the ledger refused scores of a process that ended (%s)", path, type(error).__name__)
                if retry:
                    raise
            else:
                path.unlink(missing_ok=True)
    return written


def take(sink: ApiSink, path: Path) -> int:
    """Write one segment; writing it twice equals writing it once.

    Raises what the ledger refuses, and `DamagedSegmentError` after what can be read of a damaged one is written.
    """
    segment = read(path)
    if segment is None:
        return 0
    written = sink.write(answered(segment), segment.stamp)
    if segment.damaged is not None:
        raise DamagedSegmentError(f"{path}: damaged from byte {segment.damaged} on; what stands before it is written")
    return written


def answered(segment: Segment) -> Answered:
    requests, raw, scores = (part(segment.rows, prefix) for prefix in ("call", "raw", "score"))
    return Answered(requests, raw, scores)
