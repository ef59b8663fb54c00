"""Where the archive's files lie and how one gets there: the only place that knows the archive's root.

A name is a path below the root with `/`, as an object store has them. What is put under a name stays what it is: names
of data files carry a digest of their content, so a new version lies beside the old one until the day's manifest, which
is replaced at once, names the new one. Nothing here needs more of a store than put, get, list and delete.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import duckdb

from credit_risk_platform.adapters.files import Place, as_files
from credit_risk_platform.adapters.warehouse.lock import WriterLock

_MAKING = ".making-"


class ArchiveStore:
    """Files below `root`, a local directory or an object store's. Nothing is made before the first write."""

    def __init__(self, root: Place) -> None:
        self._files = as_files(root)
        self.root = self._files.local

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
        """Give a finished file of the scratch folder the name `name`: whole, then visible."""
        self._files.put(file, name)

    def put_bytes(self, data: bytes, name: str) -> None:
        """Replace a small file at once."""
        self._files.put_bytes(data, name)

    def read(self, name: str) -> bytes | None:
        """The content, or `None` where there is no such file."""
        return self._files.read(name)

    def open(self, name: str) -> IO[bytes]:
        """To read bit by bit."""
        return self._files.open(name)

    def digest(self, name: str) -> tuple[int, str] | None:
        """Bytes and SHA-256 as they lie there now, or `None` where there is no such file."""
        return self._files.digest(name)

    def names(self, folder: str) -> list[str]:
        """Files below a folder, sorted."""
        return self._files.names(folder)

    def remove(self, name: str) -> None:
        self._files.remove(name)

    @contextmanager
    def engine(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A DuckDB that reads the files at their `location`s, whatever engine the warehouse has."""
        with duckdb.connect() as engine:
            engine.execute("set timezone = 'UTC'")
            self._files.equip(engine)
            yield engine

    def location(self, name: str) -> str:
        """What an engine reads the file by."""
        return self._files.location(name)

    @property
    def uri(self) -> str:
        return self._files.uri
