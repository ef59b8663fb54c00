"""One writing transaction at a time per lake, across processes.

DuckLake 1.0 on DuckDB 1.5 corrupts or refuses concurrent commits (duckdb/ducklake #1248, #1309, #1404), so every
writer, dbt and maintenance included, holds this file lock for the length of one transaction. Readers never take it.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class WriterLockTimeoutError(TimeoutError):
    """Another process held the writer lock for too long."""


class WriterLock:
    """A `flock` on one file. The kernel drops it when its holder dies, so a killed run blocks nobody."""

    def __init__(self, path: Path, timeout_seconds: float = 900.0) -> None:
        self.path = path
        self.timeout_seconds = timeout_seconds
        self._threads = threading.RLock()
        self._depth = 0
        self._handle: int | None = None

    def acquire(self) -> None:
        self._threads.acquire()
        if self._depth == 0:
            try:
                self._handle = self._flock()
            except BaseException:
                self._threads.release()
                raise
        self._depth += 1

    def release(self) -> None:
        self._depth -= 1
        if self._depth == 0 and self._handle is not None:
            os.close(self._handle)
            self._handle = None
        self._threads.release()

    @contextmanager
    def held(self) -> Iterator[None]:
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def _flock(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        deadline = time.monotonic() + self.timeout_seconds
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return handle
            except BlockingIOError:
                if time.monotonic() > deadline:
                    os.close(handle)
                    raise WriterLockTimeoutError(
                        f"{self.path} has been locked by another writer for {self.timeout_seconds:.0f} s. "
                        f"See which process holds it with `fuser -v {self.path}`."
                    ) from None
                time.sleep(0.02)
