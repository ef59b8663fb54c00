"""One writing transaction at a time per lake, across processes, in the order in which the writers came.

DuckLake 1.0 on DuckDB 1.5 corrupts or refuses concurrent commits (duckdb/ducklake #1248, #1309, #1404), so every
writer, dbt and maintenance included, holds this file lock for the length of one transaction. Readers never take it.

A lock alone is not fair: a writer in a tight loop takes it again before a waiting one has noticed (a dbt build once
waited 160 s). So writers that have to wait walk up a corridor of places, each a lock file that one writer holds:
whoever holds a place waits for the next one, and leaves its own once it has that. Nobody is overtaken, and a writer
that comes back starts at the end. Only a writer that finds all places taken depends on luck to get in.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PLACES = 4
"""Length of the corridor: so many writers wait in strict order."""
# Asked again and again, because a `flock` that blocks knows no timeout. Moving up happens while others write.
_ASK_FOR_LOCK_SECONDS = 0.002
_ASK_FOR_PLACE_SECONDS = 0.01


class WriterLockTimeoutError(TimeoutError):
    """Another process held the writer lock for too long."""


class WriterLock:
    """A `flock` on one file. The kernel drops it when its holder dies, so a killed run blocks nobody.

    Threads may share one object: they wait for each other as processes do. Its holder may take it again.
    """

    def __init__(self, path: Path, timeout_seconds: float = 900.0) -> None:
        self.path = path
        self.timeout_seconds = timeout_seconds
        self._corridor = [path.with_name(f"{path.stem}.queue-{place}.lock") for place in range(PLACES, 0, -1)]
        self._owner: int | None = None
        self._depth = 0
        self._handle = -1

    def acquire(self) -> None:
        if self._owner != threading.get_ident():
            self._handle = self._when_free()
            self._owner = threading.get_ident()
        self._depth += 1

    def release(self) -> None:
        if self._owner != threading.get_ident():
            raise RuntimeError(f"{self.path} is not held by this thread")
        self._depth -= 1
        if self._depth == 0:
            self._owner = None
            os.close(self._handle)  # last: once it is closed, the fields are the next holder's

    @contextmanager
    def held(self) -> Iterator[None]:
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def _when_free(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # In walking direction, or one that moves up meanwhile would not be seen.
        if not any(place.exists() for place in self._corridor) and (handle := _locked(self.path)) is not None:
            return handle
        deadline = time.monotonic() + self.timeout_seconds
        place, handle = None, None
        for ahead in (*self._corridor, self.path):
            try:
                found = self._wait_for(ahead, deadline)
            finally:
                if place is not None and handle is not None:
                    _leave(place, handle)
            place, handle = ahead, found
        assert handle is not None
        return handle

    def _wait_for(self, place: Path, deadline: float) -> int:
        while (handle := _locked(place)) is None:
            if time.monotonic() > deadline:
                raise WriterLockTimeoutError(
                    f"{self.path} has been locked by another writer for {self.timeout_seconds:.0f} s. "
                    f"See which process holds it with `fuser -v {self.path}`."
                )
            time.sleep(_ASK_FOR_LOCK_SECONDS if place == self.path else _ASK_FOR_PLACE_SECONDS)
        return handle


def _locked(file: Path) -> int | None:
    """The open file with its lock, or nothing where somebody else has it."""
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    got = False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who leaves a place deletes its file: a lock on a file deleted meanwhile is a lock on nothing.
        got = os.fstat(handle).st_nlink > 0
    except BlockingIOError:
        pass
    finally:
        if not got:
            os.close(handle)
    return handle if got else None


def _leave(place: Path, handle: int) -> None:
    """Gives a place up and leaves no file behind; a killed writer's file is cleared by the next one to pass."""
    place.unlink(missing_ok=True)
    os.close(handle)
