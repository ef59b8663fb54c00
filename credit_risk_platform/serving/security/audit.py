"""The audit log of the API: one JSON line per call, who called what and with which outcome. No body, secret or person.

Lines are appended with one `write`, so processes may share the file. A full file is set aside under the time of that;
none is ever deleted here, since how long evidence is kept is not for a program to decide.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from credit_risk_platform.adapters.warehouse.lock import WriterLock

FILE = "audit.jsonl"
FULL_BYTES = 64 * 1024 * 1024
TOGETHER_SECONDS = 0.05
"""How long a line may wait for others. Every system call gives the interpreter away to the thread that scores, so
three of them for each line of a busy API made answers late."""
log = logging.getLogger(__name__)


class AuditLog:
    """Appends to `folder`/audit.jsonl. For the event loop of one process; other processes may write beside it."""

    def __init__(self, folder: Path, full_bytes: int = FULL_BYTES) -> None:
        self.file = folder / FILE
        self._full = full_bytes
        self._rotating = WriterLock(folder / "audit.lock", timeout_seconds=10.0)
        self._handle = -1
        self._lines: list[bytes] = []
        self._written = float("-inf")

    def write(self, entry: dict[str, Any]) -> None:
        """Add a line: at once, or with all of the next 50 ms where the last one was just written."""
        self._lines.append(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
        if time.monotonic() - self._written >= TOGETHER_SECONDS:
            self.flush()
        elif len(self._lines) == 1:
            asyncio.get_running_loop().call_later(TOGETHER_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what waits. A disk that is full costs the lines and not the calls, and is said in the server's log."""
        lines, self._lines = self._lines, []
        self._written = time.monotonic()
        if not lines:
            return
        try:
            os.write(self._current(), b"".join(lines))
        except OSError as error:
            log.error("%d audit lines lost: %s", len(lines), error.strerror)

    def close(self) -> None:
        self.flush()
        self._leave()

    def _current(self) -> int:
        """The open file, a fresh one when it is full or another process has set it aside."""
        if self._handle >= 0:
            own = os.fstat(self._handle)
            if own.st_size < self._full and own.st_nlink and _inode(self.file) == own.st_ino:
                return self._handle
            self._leave()
        self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._set_aside()
        self._handle = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._handle

    def _set_aside(self) -> None:
        with self._rotating.held():
            if self.file.exists() and self.file.stat().st_size >= self._full:
                stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
                self.file.rename(self.file.with_name(f"audit-{stamp}.jsonl"))

    def _leave(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _inode(file: Path) -> int | None:
    try:
        return file.stat().st_ino
    except FileNotFoundError:
        return None
