"""The way of an application from request to answer: waiting ones are scored together, on a thread of their own.

A score never depends on who else waits (`domain/scoring.py` promises it), so what is there at a moment is one call. An
answer leaves only when the spool has it on disk.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import pyarrow as pa

from credit_risk_platform.adapters.streaming.batch import NotReadyError
from credit_risk_platform.serving import answers
from credit_risk_platform.serving.answers import Answer
from credit_risk_platform.serving.champion import Follower, now
from credit_risk_platform.serving.pending import Pending
from credit_risk_platform.serving.problems import Kind, Problem
from credit_risk_platform.serving.rows import bronze_rows
from credit_risk_platform.serving.schemas import Asked
from credit_risk_platform.serving.spool import Spool

log = logging.getLogger(__name__)
TOGETHER = 500
"""Applications of one micro-batch, unless one call brings more."""
MOST_WAITING = 1_000
"""Requests beyond it are turned away at once: by the time their turn came, nobody would wait for the answer."""
CHUNK = 1_000
"""A large call is scored in pieces, so that single ones get their turn between them."""


CALL_THREADS, BATCH_THREADS = 2, 1
THREADS = CALL_THREADS + BATCH_THREADS
"""Each with a feature engine of its own: half of a score is spent in the engine, without Python's lock."""
_TURNS = 4
"""Of the event loop, in which a request that can be read becomes a job."""


@dataclass(frozen=True)
class _Job:
    asked: Sequence[Asked]
    client: str
    done: asyncio.Future[list[Answer]]


class Engine:
    """Scores what waits. One lane for calls, one for batches: a large batch keeps no single call waiting."""

    def __init__(self, follower: Follower, spool: Spool, pending: Pending) -> None:
        self.follower, self.spool, self.pending = follower, spool, pending
        self.calls = _Lane("calls", self._work, CALL_THREADS)
        self.batches = _Lane("batches", self._work, BATCH_THREADS)

    async def score(self, asked: Sequence[Asked], client: str) -> list[Answer]:
        """Answers in the order of `asked`. Raises the problem 503 when nothing can score or keep them."""
        self.follower.require()
        lane = self.calls if len(asked) == 1 else self.batches
        try:
            return await lane.put(asked, client)
        except NotReadyError as error:
            raise Problem(Kind.NOT_READY, str(error)) from error
        except OSError as error:
            log.error("answers cannot be kept in %s: %s", self.spool.folder, error)
            raise Problem(
                Kind.NOT_READY, "The answer could not be kept, so none is given: see the server's log."
            ) from error

    async def run(self) -> None:
        """Serve both lanes, for ever."""
        await asyncio.gather(self.calls.run(), self.batches.run())

    def close(self) -> None:
        for lane in (self.calls, self.batches):
            lane.thread.shutdown()

    # ---------------------------------------------------------------- on the lane's thread

    def _work(self, jobs: Sequence[_Job]) -> list[list[Answer]]:
        asked = [one for job in jobs for one in job.asked]
        received = now()
        day = received.date()
        rows = bronze_rows(asked, day)
        one = self.follower.scorer.snapshot()  # for all pieces: a promotion amid them changes nothing
        pieces = [one.score(rows.slice(start, CHUNK), day) for start in range(0, rows.num_rows, CHUNK)]
        scored = pa.concat_tables(pieces).combine_chunks()
        told = answers.made(scored, one.bundles, one.policy(day), self.follower.versions)
        remembered = list(zip(told, scored["subject_token"].to_pylist(), strict=True))
        self.spool.append(_record(jobs, rows, scored, received), lambda path: self.pending.put(path, remembered))
        self.follower.metrics.scored(told)
        ends = [0]
        for job in jobs:
            ends.append(ends[-1] + len(job.asked))
        return [told[start:end] for start, end in pairwise(ends)]


class _Lane:
    """Jobs in the order in which they came; those that wait when a thread is free are worked on together."""

    def __init__(self, name: str, work: Any, threads: int = 1) -> None:
        self.thread = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._idle = asyncio.Semaphore(threads)
        self._busy: set[asyncio.Task[None]] = set()
        self._work = work
        self._waiting: asyncio.Queue[_Job] = asyncio.Queue()

    async def put(self, asked: Sequence[Asked], client: str) -> list[Answer]:
        if self._waiting.qsize() >= MOST_WAITING:
            raise Problem(Kind.NOT_READY, "Too many requests wait for their turn.", headers={"Retry-After": "1"})
        done: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait(_Job(asked, client, done))
        return await done

    async def run(self) -> None:
        while True:
            await self._idle.acquire()
            jobs = [await self._waiting.get()]
            await self._arrived()
            rows = len(jobs[0].asked)
            while rows < TOGETHER and not self._waiting.empty():
                jobs.append(self._waiting.get_nowait())
                rows += len(jobs[-1].asked)
            task = asyncio.create_task(self._do(jobs))
            self._busy.add(task)  # the loop itself keeps no task alive
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._busy.discard(task)
        self._idle.release()
        if not task.cancelled() and (error := task.exception()):
            log.error("a micro-batch could not be answered", exc_info=error)

    async def _arrived(self) -> None:
        """Let the loop read all requests that have reached us, so that the first after a batch is not scored alone.

        No time is waited when there are none. With eight callers it takes half as much CPU per call.
        """
        before = -1
        while self._waiting.qsize() > before:
            before = self._waiting.qsize()
            for _ in range(_TURNS):
                await asyncio.sleep(0)

    async def _do(self, jobs: Sequence[_Job]) -> None:
        task = asyncio.get_running_loop().run_in_executor(self.thread, self._work, jobs)
        await asyncio.wait([task])
        if (error := task.exception()) is None:
            for job, told in zip(jobs, task.result(), strict=True):
                if not job.done.done():  # its client may have gone
                    job.done.set_result(told)
        elif len(jobs) == 1:
            if not jobs[0].done.done():
                jobs[0].done.set_exception(error)
        else:  # one of them may be what cannot be scored: the others must not fail with it
            for job in jobs:
                await self._do([job])


def _record(jobs: Sequence[_Job], rows: pa.Table, scored: pa.Table, received: datetime) -> pa.Table:
    """What the spool keeps of a micro-batch: `call.`, `raw.` and `score.` columns, a row per application."""
    asked = [one for job in jobs for one in job.asked]
    call = {
        "event_id": pa.array([event for job in jobs for event in _event_ids(len(job.asked))], pa.string()),
        "received_at": pa.repeat(pa.scalar(received, pa.timestamp("us")), len(asked)),
        "client": pa.array([job.client for job in jobs for _ in job.asked], pa.string()),
        "loan_id": rows["loan_id"],
        "as_of": scored["as_of"],
        "content": pa.array([one.content for one in asked], pa.string()),
        "sent_interest_rate": pa.array([one.sent_macro.get("interest_rate") for one in asked], pa.float64()),
        "sent_unemployment_rate": pa.array([one.sent_macro.get("unemployment_rate") for one in asked], pa.float64()),
    }
    parts = {"call": call, "raw": _columns(rows), "score": _columns(scored)}
    return pa.table({f"{part}.{name}": column for part, columns in parts.items() for name, column in columns.items()})


def _columns(table: pa.Table) -> dict[str, pa.ChunkedArray]:
    return {name: table[name] for name in table.column_names}


def _event_ids(count: int) -> list[str]:
    event = str(uuid.uuid4())
    return [event] if count == 1 else [f"{event}/{place}" for place in range(count)]
