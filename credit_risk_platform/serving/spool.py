"""Scores between their answer and the ledger: files of this process that survive its death.

A record (`segments.py`) is written before its answer leaves. A process holds a `flock` on its folder while it lives;
what a dead one left is taken up by any other.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from credit_risk_platform.adapters.ledger_writer import Stamp
from credit_risk_platform.serving.segments import encoded, record, stamped

MOST_BYTES = 64 * 1024 * 1024
"""Size at which a segment is closed even if nobody has asked for it."""
_OWNER = "owner.lock"
_OPEN, _CLOSED, _REFUSED = ".open", ".segment", ".refused"


@dataclass(frozen=True)
class Depth:
    """What waits for the ledger. `age` is seconds since the oldest row was answered, 0 when none waits."""

    rows: int
    bytes: int
    age: float


class Spool:
    """The segments of this process. Safe to share between threads."""

    def __init__(self, folder: Path, stamp: Stamp) -> None:
        self.folder, self.stamp = folder, stamp
        self.own, self._owner = _claimed(folder)
        self._lock = threading.Lock()
        self._number = 0
        self._file: int | None = None
        self._size = 0
        self._waiting: dict[Path, tuple[int, int, float]] = {}

    def append(self, rows: pa.Table, kept: Callable[[Path], None] = lambda _: None) -> None:
        """Make `rows` durable and tell `kept` the segment they are in, before anyone may drain it.

        Raises `OSError`; then none of the rows is kept.
        """
        payload = encoded(rows)
        with self._lock:
            try:
                path = self._opened()
                self._write(payload)
            except OSError:
                self._give_up()
                raise
            rows_so_far, size, since = self._waiting.get(path, (0, 0, time.monotonic()))
            self._waiting[path] = (rows_so_far + rows.num_rows, size + len(payload), since)
            kept(path)
            if self._size > MOST_BYTES:
                self._close()

    def closed(self) -> list[Path]:
        """Segments that are complete, oldest first; the one in use is closed when there is none else."""
        found = sorted(self.own.glob(f"*{_CLOSED}"))
        if not found:
            with self._lock:
                self._close()
            found = sorted(self.own.glob(f"*{_CLOSED}"))
        return found

    def done(self, path: Path) -> None:
        """The ledger holds the segment."""
        path.unlink()
        with self._lock:
            self._waiting.pop(path, None)

    def depth(self) -> Depth:
        with self._lock:
            rows, sizes, since = zip(*self._waiting.values(), strict=True) if self._waiting else ((), (), ())
        return Depth(sum(rows), sum(sizes), time.monotonic() - min(since) if since else 0.0)

    def close(self) -> None:
        """Leave the folder, for others to take up what is in it; an empty one goes."""
        with self._lock:
            self._close()
            _leave(self.own, self._owner)

    # ---------------------------------------------------------------- inside

    def _opened(self) -> Path:
        if self._file is None:
            self._number += 1
            path = self.own / f"{self._number:08d}{_OPEN}"
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self._size = 0
            self._write(stamped(self.stamp))
        return self.own / f"{self._number:08d}{_CLOSED}"

    def _write(self, payload: bytes) -> None:
        assert self._file is not None
        whole = memoryview(record(payload))
        left = whole
        while left:
            left = left[os.write(self._file, left) :]
        os.fdatasync(self._file)
        self._size += len(whole)

    def _give_up(self) -> None:
        """Nothing may follow a torn record: what is there of it goes, and the next one begins a new file."""
        if self._file is not None:
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
            path = self.own / f"{self._number:08d}{_OPEN}"
            path.rename(path.with_suffix(_CLOSED))


def put_aside(segment: Path) -> None:
    """A segment the ledger refuses: kept, out of the way of the others, until a retry is asked for."""
    if segment.suffix != _REFUSED:
        segment.rename(segment.parent.with_name(f"{segment.parent.name}-{segment.stem}{_REFUSED}"))


def refused(folder: Path) -> list[Path]:
    """Segments that were put aside, of all processes."""
    return sorted(folder.glob(f"*{_REFUSED}"))


@contextmanager
def orphans(folder: Path, *, retry: bool = False) -> Iterator[list[Path]]:
    """Segments of processes that live no more. They are ours for the block; folders it empties are removed.

    With `retry`, those that were put aside are among them.
    """
    held: dict[Path, int] = {}
    try:
        for place in sorted(folder.iterdir()) if folder.is_dir() else ():
            handle = _locked(place)
            if handle is not None:
                held[place] = handle
                for left in place.glob(f"*{_OPEN}"):
                    left.rename(left.with_suffix(_CLOSED))
        left_behind = [segment for place in held for segment in sorted(place.glob(f"*{_CLOSED}"))]
        yield left_behind + (refused(folder) if retry else [])
    finally:
        for place, handle in held.items():
            _leave(place, handle)


def latest(folder: Path, at_most: int) -> list[Path]:
    """The files of all processes that were written to last, open ones included: for looking only."""
    found = []
    for file in (*folder.glob("*/[0-9]*"), *refused(folder)):
        with suppress(FileNotFoundError):  # drained, or closed and renamed, this moment
            found.append((file.stat().st_mtime_ns, file))
    return [file for _, file in sorted(found, reverse=True)[:at_most]]


def _claimed(folder: Path) -> tuple[Path, int]:
    """A folder of our own, with its lock held."""
    while True:
        own = folder / f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        own.mkdir(parents=True, mode=0o700)
        handle = _locked(own)
        if handle is not None:  # else somebody took the empty folder for a dead process's
            return own, handle


def _locked(place: Path) -> int | None:
    """The lock of a folder, or nothing where a live process has it or the folder has gone."""
    try:
        handle = os.open(place / _OWNER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    if os.fstat(handle).st_nlink == 0:  # its holder removed the folder just now
        os.close(handle)
        return None
    return handle


def _leave(place: Path, handle: int) -> None:
    """Give a folder up; without segments it goes."""
    if not any(file.suffix in (_OPEN, _CLOSED) for file in place.iterdir()):
        shutil.rmtree(place)
    os.close(handle)
