"""Where the archive's files lie and how one gets there: the only place that knows the archive's root.

A name is a path below the root with `/`, as an object store has them. What is put under a name stays what it is: names
of data files carry a digest of their content, so a new version lies beside the old one until the day's manifest, which
is replaced at once, names the new one. Nothing here needs more of a store than put, get, list and delete.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from credit_risk_platform.adapters.atomic_file import write_atomically
from credit_risk_platform.adapters.warehouse.lock import WriterLock

_MAKING = ".making-"


class ArchiveStore:
    """Files below `root`, a local directory. Nothing is made before the first write."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def writing(self) -> Iterator[Path]:
        """A scratch folder, for one writer at a time; what a killed one left in its own is cleared away."""
        self.root.mkdir(parents=True, exist_ok=True)
        with WriterLock(self.root / ".lock").held():
            for leftover in self.root.glob(f"{_MAKING}*"):
                shutil.rmtree(leftover)
            with tempfile.TemporaryDirectory(prefix=_MAKING, dir=self.root) as scratch:
                yield Path(scratch)

    def put(self, file: Path, name: str) -> None:
        """Move a finished file of the scratch folder to `name`: on disk first, then visible."""
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        _sync(file)
        file.replace(target)
        _sync(target.parent)

    def put_bytes(self, data: bytes, name: str) -> None:
        """Replace a small file at once."""
        write_atomically(self.root / name, data)

    def read(self, name: str) -> bytes | None:
        """The content, or `None` where there is no such file."""
        file = self.root / name
        return file.read_bytes() if file.is_file() else None

    def digest(self, name: str) -> tuple[int, str] | None:
        """Bytes and SHA-256 as they lie there now, or `None` where there is no such file."""
        file = self.root / name
        return digest(file) if file.is_file() else None

    def names(self, folder: str) -> list[str]:
        """Files below a folder, sorted."""
        found = (file for file in (self.root / folder).rglob("*") if file.is_file())
        return sorted(file.relative_to(self.root).as_posix() for file in found)

    def remove(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)

    def location(self, name: str) -> str:
        """What an engine reads the file by."""
        return str(self.root / name)

    @property
    def uri(self) -> str:
        return self.root.as_uri()


def digest(file: Path) -> tuple[int, str]:
    """Bytes and SHA-256 of a local file."""
    with file.open("rb") as stream:
        return file.stat().st_size, hashlib.file_digest(stream, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
