"""A file of JSON lines, for log shippers and for whoever has nothing else set up. Always on."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path

from credit_risk_platform.adapters.alerting.channels.base import ChannelError
from credit_risk_platform.adapters.alerting.channels.text import as_json
from credit_risk_platform.domain.alerts import Message, Severity

FILE = "alerts.jsonl"


@dataclass(frozen=True)
class FileChannel:
    """Each line is whole: written under a lock, and to the disk before it counts as sent."""

    path: Path
    name: str = "file"
    least: Severity = Severity.INFO

    def send(self, message: Message) -> None:
        line = json.dumps(as_json(message)).encode() + b"\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab+") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed
                file.write(_closing(file.fileno()) + line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise ChannelError(f"{self.path} could not be written: {error.strerror}") from error


def _closing(handle: int) -> bytes:
    """A line break where the last line was cut off, by a full disk or a power cut."""
    size = os.fstat(handle).st_size
    return b"\n" if size and os.pread(handle, 1, size - 1) != b"\n" else b""
