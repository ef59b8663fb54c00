"""Batches in folders: one is prepared aside and renamed into place, so a reader sees all of it or none.

bronze/<source>/batch=<id>/...        quarantine/<source>/batch=<id>/rejects.parquet
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

from credit_risk_platform.adapters.files import sync
from credit_risk_platform.adapters.landing.layout import EMPTY_BATCH, LOANS, REJECTS, manifest_file
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
            sync(file)
        if target.exists():
            old = self.path / f"{_OLD}{batch}"
            target.rename(old)
            prepared.rename(target)
            shutil.rmtree(old)
        else:
            prepared.rename(target)
        sync(self.path)

    def _recover(self) -> None:
        for leftover in self.path.glob(f"{_ASIDE}*"):
            shutil.rmtree(leftover)
        for old in self.path.glob(f"{_OLD}*"):
            target = self.batch(old.name.removeprefix(_OLD))
            if target.exists():
                shutil.rmtree(old)
            else:
                old.rename(target)


class FolderBatches:
    """The batches of one source in folders. `ObjectBatches` is the same in an object store."""

    leading = manifest_file(LOANS)
    """Receipt of a batch that has no rows."""

    def __init__(self, bronze: Path, quarantine: Path, source: str) -> None:
        self._bronze, self._quarantine = SourceFolder(bronze, source), SourceFolder(quarantine, source)

    @property
    def uri(self) -> str:
        return self._bronze.path.absolute().as_uri()

    @contextmanager
    def locked(self) -> Iterator[None]:
        with self._bronze.locked(), self._quarantine.locked():
            yield

    @contextmanager
    def preparing(self, batch: str) -> Iterator[tuple[Path, Path]]:
        with self._bronze.aside(batch) as prepared, self._bronze.aside(f"{batch}-scratch") as scratch:
            yield prepared, scratch

    def commit(self, prepared: Path, rejects: Path, batch: str) -> None:
        with self._quarantine.aside(batch) as beside:
            shutil.move(rejects, beside / REJECTS)
            self._quarantine.commit(beside, batch)
        self._bronze.commit(prepared, batch)

    def rewrite(self, batch: str, receipts: Mapping[str, str]) -> None:
        for name, text in receipts.items():
            write_file(self._bronze.batch(batch) / name, text)

    def receipts(self, name: str) -> list[bytes]:
        files = self._bronze.path.glob(f"batch=*/{name}")
        return [file.read_bytes() for file in files if file.parent != self._bronze.batch(EMPTY_BATCH)]

    def read(self, batch: str, name: str) -> bytes | None:
        file = self._file(batch, name)
        return file.read_bytes() if file.exists() else None

    def find(self, batch: str, name: str) -> str | None:
        file = self._file(batch, name)
        return str(file) if file.exists() else None

    def location(self, batch: str, name: str) -> str:
        return str(self._file(batch, name))

    def every(self, name: str) -> tuple[str, ...]:
        return (str(self._file("*", name)),)

    def every_receipt(self) -> tuple[str, ...]:
        return (str(self._file("*", "*manifest.json")),)

    def open(self, batch: str, name: str) -> IO[bytes]:
        return self._file(batch, name).open("rb")

    def sweep(self, before: datetime) -> int:
        """What a killed landing left is cleared by the next one, which also finishes its renames."""
        return 0

    def _file(self, batch: str, name: str) -> Path:
        return (self._quarantine if name == REJECTS else self._bronze).batch(batch) / name


def write_file(path: Path, text: str) -> None:
    """Replace a small file at once."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text)
    sync(aside)
    aside.rename(path)
