"""Folders of the lake: a batch is prepared aside and renamed into place, so a reader sees all of it or none.

bronze/<source>/batch=<id>/...        quarantine/<source>/batch=<id>/rejects.parquet
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from credit_risk_platform.adapters.warehouse.lock import WriterLock

_ASIDE = ".landing-"
_OLD = ".replaced-"


class SourceFolder:
    """Batches of one source below `root` (`bronze` or `quarantine`)."""

    def __init__(self, root: Path, source: str) -> None:
        self.path = root / source

    def batch(self, batch: str) -> Path:
        return self.path / f"batch={batch}"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One landing per source at a time; what a killed one left behind is cleared away."""
        self.path.mkdir(parents=True, exist_ok=True)
        with WriterLock(self.path / ".lock").held():
            self._recover()
            yield

    @contextmanager
    def aside(self, batch: str) -> Iterator[Path]:
        """An empty folder to prepare a batch in; gone afterwards unless `commit` has moved it."""
        folder = self.path / f"{_ASIDE}{batch}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def commit(self, prepared: Path, batch: str) -> None:
        """Make `prepared` the batch: on disk first, then renamed. Replaces a batch that is there."""
        target = self.batch(batch)
        for file in (*prepared.iterdir(), prepared):
            _sync(file)
        if target.exists():
            old = self.path / f"{_OLD}{batch}"
            target.rename(old)
            prepared.rename(target)
            shutil.rmtree(old)
        else:
            prepared.rename(target)
        _sync(self.path)

    def _recover(self) -> None:
        for leftover in self.path.glob(f"{_ASIDE}*"):
            shutil.rmtree(leftover)
        for old in self.path.glob(f"{_OLD}*"):
            target = self.batch(old.name.removeprefix(_OLD))
            if target.exists():
                shutil.rmtree(old)
            else:
                old.rename(target)


def write_file(path: Path, text: str) -> None:
    """Replace a small file at once."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text)
    _sync(aside)
    aside.rename(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
