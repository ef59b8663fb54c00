"""The batches of one source: their receipts, which of them count, and how the next one is put beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb

from credit_risk_platform.adapters.files import LocalFiles, Place, as_files
from credit_risk_platform.adapters.landing.files import FolderBatches
from credit_risk_platform.adapters.landing.layout import (
    EMPTY_BATCH,
    INCREMENTAL,
    REJECTS,
    SOURCES,
    SUPERSEDED,
    TABLES,
    manifest_file,
)
from credit_risk_platform.adapters.landing.manifest import Delivery, Manifest, schema_fingerprint
from credit_risk_platform.adapters.landing.objects import ObjectBatches
from credit_risk_platform.adapters.landing.rejects import REJECT_COLUMNS
from credit_risk_platform.adapters.landing.sql import literal
from credit_risk_platform.domain.contracts.loan_columns import CONTRACT_VERSION

_MARK = "schema.txt"


class Batches:
    """Receipts and files of one source. Everything that writes happens within `locked`."""

    def __init__(self, lake: Place, source: str) -> None:
        if source not in SOURCES:
            raise KeyError(f"{source} is not a source; the lake knows {', '.join(SOURCES)}")
        self.source, self.tables = source, SOURCES[source]
        root = as_files(lake)
        bronze, quarantine = root.below("bronze"), root.below("quarantine")
        self.held: FolderBatches | ObjectBatches = (
            FolderBatches(bronze.local, quarantine.local, source)
            if isinstance(root, LocalFiles)
            else ObjectBatches(bronze, quarantine, source)
        )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One landing per source at a time, in this home."""
        with self.held.locked():
            yield

    def manifests(self, table: str) -> tuple[Manifest, ...]:
        """In the order they landed."""
        found = map(Manifest.from_json, self.held.receipts(manifest_file(table)))
        return tuple(sorted(found, key=lambda manifest: manifest.sequence))

    def sequence(self, batch: str) -> int:
        """Place of `batch` in the order: its own if it has landed before, else the next."""
        known = self._receipt(batch, self.tables[0])
        landed = self.manifests(self.tables[0])
        return known.sequence if known else landed[-1].sequence + 1 if landed else 1

    def known(self, delivery: Delivery, companion: tuple[str, str] | None = None) -> Manifest | None:
        """The receipt of a delivery that has landed: same contract, same token key, same companion (table, hash)."""
        found = self._receipt(delivery.batch, self.tables[0])
        if found is None or (found.contract_version, found.token_key_id) != (CONTRACT_VERSION, delivery.token_key_id):
            return None
        if companion is not None:
            beside = self._receipt(delivery.batch, companion[0])
            if beside is None or beside.file_sha256 != companion[1]:
                return None
        return self._current_again(replace(found, already_landed=True), delivery)

    @contextmanager
    def preparing(self, batch: str) -> Iterator[tuple[Path, Path]]:
        """Two empty folders aside: one for the batch's files, one for scratch."""
        with self.held.preparing(batch) as folders:
            yield folders

    def commit(self, prepared: Path, rejects: Path, batch: str) -> None:
        """Quarantine first, then the batch: the last step, a rename or a receipt, is the moment the landing happens."""
        self.held.commit(prepared, rejects, batch)

    def ensure_empty(self) -> None:
        """Make, or renew after a change of contract, the batch that carries the columns. Waits for nobody otherwise."""
        fingerprint = schema_fingerprint(column for table in self.tables for column in TABLES[table])
        mark = self.held.read(EMPTY_BATCH, _MARK)
        if mark is None or mark.decode() != fingerprint:
            with self.locked():
                self._write_empty(fingerprint)

    def _write_empty(self, fingerprint: str) -> None:
        with self.preparing(EMPTY_BATCH) as (prepared, scratch), duckdb.connect() as connection:
            for table in self.tables:
                columns = {column.name: column.type for column in TABLES[table]}
                _write_empty(connection, prepared / f"{table}.parquet", columns)
            _write_empty(connection, prepared / f"{SUPERSEDED}.parquet", {"loan_id": "VARCHAR", "_batch": "VARCHAR"})
            _write_empty(connection, scratch / REJECTS, REJECT_COLUMNS)
            (prepared / self.held.leading).write_text(json.dumps({"batch": EMPTY_BATCH}))
            (prepared / _MARK).write_text(fingerprint)
            self.commit(prepared, scratch / REJECTS, EMPTY_BATCH)

    def _receipt(self, batch: str, table: str) -> Manifest | None:
        found = self.held.read(batch, manifest_file(table))
        return Manifest.from_json(found) if found is not None else None

    def _current_again(self, manifest: Manifest, delivery: Delivery) -> Manifest:
        """A book that comes back after another one counts again, from now on. Where files add up, nothing changes."""
        last = self.manifests(self.tables[0])[-1]
        if self.source in INCREMENTAL or last.batch == manifest.batch:
            return manifest
        receipts = {table: self._receipt(manifest.batch, table) for table in self.tables}
        again = {
            manifest_file(table): _landed_again(receipt, last.sequence + 1, delivery).to_json()
            for table, receipt in receipts.items()
            if receipt is not None
        }
        self.held.rewrite(manifest.batch, again)
        return _landed_again(manifest, last.sequence + 1, delivery)


def _landed_again(manifest: Manifest, sequence: int, delivery: Delivery) -> Manifest:
    return replace(manifest, sequence=sequence, landed_at=delivery.moment, run_id=delivery.run_id)


def _write_empty(connection: duckdb.DuckDBPyConnection, path: Path, columns: Mapping[str, str]) -> None:
    nulls = ", ".join(f'null::{kind} as "{name}"' for name, kind in columns.items())
    connection.execute(f"copy (select {nulls} where false) to {literal(str(path))} (format parquet, compression zstd)")
