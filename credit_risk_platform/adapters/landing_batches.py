"""The batches of one source: their receipts, which of them count, and how the next one is put beside them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from credit_risk_platform.adapters.landing_files import SourceFolder, write_file
from credit_risk_platform.adapters.landing_manifest import EMPTY_BATCH, LOANS, Manifest, manifest_file
from credit_risk_platform.adapters.landing_views import INCREMENTAL
from credit_risk_platform.domain.contracts.loan_columns import CONTRACT_VERSION

REJECTS = "rejects.parquet"


@dataclass(frozen=True)
class Delivery:
    """What is landed, by whom and when; the last two end up in the receipt and nowhere else."""

    source: str
    file: str
    sha256: str
    file_bytes: int
    token_key_id: str
    run_id: str
    landed_at: datetime

    @property
    def batch(self) -> str:
        return self.sha256[:12]


class Batches:
    """Receipts and folders of one source. Everything that writes happens within `locked`."""

    def __init__(self, bronze: Path, quarantine: Path, source: str) -> None:
        self.source = source
        self.bronze, self.quarantine = SourceFolder(bronze, source), SourceFolder(quarantine, source)

    @contextmanager
    def locked(self) -> Iterator[None]:
        with self.bronze.locked(), self.quarantine.locked():
            yield

    def manifests(self, table: str = LOANS) -> tuple[Manifest, ...]:
        """In the order they landed."""
        files = self.bronze.path.glob(f"batch=*/{manifest_file(table)}")
        found = (Manifest.read(file) for file in files if file.parent != self.bronze.batch(EMPTY_BATCH))
        return tuple(sorted(found, key=lambda manifest: manifest.sequence))

    def receipt(self, batch: str, table: str) -> Manifest | None:
        file = self.bronze.batch(batch) / manifest_file(table)
        return Manifest.read(file) if file.exists() else None

    def sequence(self, batch: str, table: str) -> int:
        """Place of `batch` in the order: its own if it has landed before, else the next."""
        known = self.receipt(batch, table)
        landed = self.manifests(table)
        return known.sequence if known else landed[-1].sequence + 1 if landed else 1

    def known(self, delivery: Delivery, table: str, companion: tuple[str, str] | None = None) -> Manifest | None:
        """The receipt of a file that has landed already, under this contract, token key and companion (table, hash)."""
        found = self.receipt(delivery.batch, table)
        if found is None or found.contract_version != CONTRACT_VERSION or found.token_key_id != delivery.token_key_id:
            return None
        if companion is not None:
            beside = self.receipt(delivery.batch, companion[0])
            if beside is None or beside.file_sha256 != companion[1]:
                return None
        return replace(found, already_landed=True)

    def make_current(self, manifest: Manifest, tables: tuple[str, ...]) -> Manifest:
        """A book that comes back after another one counts again. Where files add up, nothing changes."""
        landed = self.manifests(tables[0])
        if self.source in INCREMENTAL or landed[-1].batch == manifest.batch:
            return manifest
        for table in tables:
            receipt = self.receipt(manifest.batch, table)
            if receipt is not None:
                again = replace(receipt, sequence=landed[-1].sequence + 1)
                write_file(self.bronze.batch(manifest.batch) / manifest_file(table), again.to_json())
        return replace(manifest, sequence=landed[-1].sequence + 1)

    @contextmanager
    def preparing(self, batch: str) -> Iterator[tuple[Path, Path]]:
        """Two empty folders aside: one for the batch's files, one for scratch."""
        with self.bronze.aside(batch) as prepared, self.bronze.aside(f"{batch}-scratch") as scratch:
            yield prepared, scratch

    def commit(self, prepared: Path, rejects: Path, batch: str) -> None:
        """Quarantine first, then the batch: the second rename is the moment the landing happens."""
        with self.quarantine.aside(batch) as beside:
            shutil.move(rejects, beside / REJECTS)
            self.quarantine.commit(beside, batch)
        self.bronze.commit(prepared, batch)
