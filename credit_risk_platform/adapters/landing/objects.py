"""Batches in an object store, which knows no rename: data go up first, and last the receipt that names them.

bronze/<source>/batch=<id>/{loans-<digest>.parquet, ..., manifest.json}
quarantine/<source>/batch=<id>/rejects-<digest>.parquet

A batch is there once its leading receipt is, and holds what that lists under `files`, and nothing else. So a landing
that is killed leaves objects that nobody names, which the upkeep removes, and a batch that lands anew under another
contract lies beside the old one until its receipt takes the place of the old one's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple, cast

from credit_risk_platform.adapters.files import FileStore, digest
from credit_risk_platform.adapters.landing.files import SourceFolder
from credit_risk_platform.adapters.landing.layout import EMPTY_BATCH, REJECTS, SOURCES, manifest_file

FILES = "files"
"""Key of a leading receipt: plain name -> the object's own, below bronze/<source> (rejects: below quarantine)."""
DIGEST_DIGITS = 12


class _Batch(NamedTuple):
    receipt: bytes
    files: dict[str, str]


class ObjectBatches:
    """The batches of one source. What it has read of them is kept until it writes: make a new one to look again."""

    def __init__(self, bronze: FileStore, quarantine: FileStore, source: str) -> None:
        self.leading = manifest_file(SOURCES[source][0])
        self._bronze, self._quarantine = bronze.below(source), quarantine.below(source)
        self._scratch = SourceFolder(bronze.local, source)
        self._known: dict[str, _Batch] | None = None

    @property
    def uri(self) -> str:
        return self._bronze.uri

    @contextmanager
    def locked(self) -> Iterator[None]:
        with self._scratch.locked():
            self._known = None
            yield

    @contextmanager
    def preparing(self, batch: str) -> Iterator[tuple[Path, Path]]:
        with self._scratch.aside(batch) as prepared, self._scratch.aside(f"{batch}-scratch") as scratch:
            yield prepared, scratch

    def commit(self, prepared: Path, rejects: Path, batch: str) -> None:
        named = {REJECTS: _put(self._quarantine, rejects, batch, REJECTS)}
        leading = prepared / self.leading
        for file in sorted(prepared.iterdir()):
            if file != leading:
                named[file.name] = _put(self._bronze, file, batch, file.name)
        self._announce(batch, leading.read_bytes(), named)

    def rewrite(self, batch: str, receipts: Mapping[str, str]) -> None:
        now = self._batches()[batch]
        named = dict(now.files)
        for name, text in receipts.items():
            if name != self.leading:
                self._bronze.put_bytes(text.encode(), named[name])
        self._announce(batch, receipts[self.leading].encode() if self.leading in receipts else now.receipt, named)

    def receipts(self, name: str) -> list[bytes]:
        landed = {batch: one for batch, one in self._batches().items() if batch != EMPTY_BATCH}
        if name == self.leading:
            return [one.receipt for one in landed.values()]
        return list(self._bronze.read_all(one.files[name] for one in landed.values() if name in one.files).values())

    def read(self, batch: str, name: str) -> bytes | None:
        receipt = self._bronze.read(f"batch={batch}/{self.leading}")
        if receipt is None or name == self.leading:
            return receipt
        named = _files(receipt).get(name)
        return self._bronze.read(named) if named else None

    def find(self, batch: str, name: str) -> str | None:
        known = self._batches().get(batch)
        return self._at(known, name) if known and name in known.files else None

    def location(self, batch: str, name: str) -> str:
        return self._at(self._batches()[batch], name)

    def every(self, name: str) -> tuple[str, ...]:
        return tuple(self._at(one, name) for one in self._batches().values() if name in one.files)

    def every_receipt(self) -> tuple[str, ...]:
        leading = [self._bronze.location(f"batch={batch}/{self.leading}") for batch in self._batches()]
        others = [
            self._at(one, name) for one in self._batches().values() for name in one.files if name.endswith(".json")
        ]
        return (*leading, *others)

    def open(self, batch: str, name: str) -> IO[bytes]:
        store = self._quarantine if name == REJECTS else self._bronze
        return store.open(self._batches()[batch].files[name])

    def sweep(self, before: datetime) -> int:
        """Remove what no receipt names and was written before `before`; how many objects."""
        with self.locked():
            known = self._batches()
            named = {f"batch={batch}/{self.leading}" for batch in known}
            named |= {name for one in known.values() for name in one.files.values()}
            removed = 0
            for store in (self._bronze, self._quarantine):
                for name, moment in store.written().items():
                    if name not in named and moment < before:
                        store.remove(name)
                        removed += 1
        return removed

    # ---------------------------------------------------------------- inside

    def _announce(self, batch: str, receipt: bytes, named: Mapping[str, str]) -> None:
        told = {**json.loads(receipt), FILES: dict(named)}
        data = (json.dumps(told, indent=2, sort_keys=True) + "\n").encode()
        self._bronze.put_bytes(data, f"batch={batch}/{self.leading}")
        self._known = None

    def _batches(self) -> dict[str, _Batch]:
        if self._known is None:
            leading = re.compile(rf"batch=([0-9a-f]+)/{re.escape(self.leading)}")
            names = {match[1]: match[0] for name in self._bronze.names() if (match := leading.fullmatch(name))}
            found = self._bronze.read_all(names.values())
            receipts = {batch: found[name] for batch, name in sorted(names.items()) if name in found}
            self._known = {batch: _Batch(receipt, _files(receipt)) for batch, receipt in receipts.items()}
        return self._known

    def _at(self, batch: _Batch, name: str) -> str:
        store = self._quarantine if name == REJECTS else self._bronze
        return store.location(batch.files[name])


def _put(store: FileStore, file: Path, batch: str, name: str) -> str:
    """Upload under a name that says its content; returns it."""
    plain = PurePosixPath(name)
    own = f"batch={batch}/{plain.stem}-{digest(file)[1][:DIGEST_DIGITS]}{plain.suffix}"
    store.put(file, own)
    return own


def _files(receipt: bytes) -> dict[str, str]:
    return cast(dict[str, str], json.loads(receipt)[FILES])
