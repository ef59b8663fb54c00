"""The receipt beside every landed table: what came, what landed, what was refused, under which contract.

Whatever depends on the clock or the run stands here and nowhere in the data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path

from credit_risk_platform.domain.contracts.column import Column

LOANS = "loans"
REPAYMENTS = "repayments"
MACRO = "macro_series"
EMPTY_BATCH = "0" * 12

SQL_COLUMNS = {
    "dataset": "VARCHAR",
    "source": "VARCHAR",
    "batch": "VARCHAR",
    "file": "VARCHAR",
    "file_sha256": "VARCHAR",
    "file_bytes": "BIGINT",
    "contract_version": "VARCHAR",
    "rows_in": "BIGINT",
    "rows_landed": "BIGINT",
    "rows_rejected": "BIGINT",
    "rejects_by_reason": "MAP(VARCHAR, BIGINT)",
    "unknown_columns": "VARCHAR[]",
    "schema_fingerprint": "VARCHAR",
    "observed_through": "DATE",
    "superseded_rows": "BIGINT",
    "sequence": "BIGINT",
    "landed_at": "TIMESTAMP",
    "run_id": "VARCHAR",
}
"""Columns of `bronze.landings`, read off the manifests."""


@dataclass(frozen=True)
class Manifest:
    """One landed table. Stored as JSON; `already_landed` is about this call and not stored."""

    dataset: str
    """Table of schema bronze."""
    source: str
    batch: str
    file: str
    file_sha256: str
    file_bytes: int
    contract_version: str
    token_key_id: str
    rows_in: int
    rows_landed: int
    rows_rejected: int
    rejects_by_reason: dict[str, int]
    """Reason -> rows; a row with two faults counts under both."""
    columns: list[str]
    """Contract columns the file brought; the others are null."""
    unknown_columns: list[str]
    schema_fingerprint: str
    observed_through: str | None
    superseded_rows: int
    """Rows of earlier files that this one states anew."""
    sequence: int
    """Order of landing within the source."""
    landed_at: str
    run_id: str
    already_landed: bool = False

    @property
    def minor_bump(self) -> bool:
        """The file has columns the contract does not know: additive, so allowed, but somebody should look."""
        return bool(self.unknown_columns)

    def to_json(self) -> str:
        stored = {name: value for name, value in asdict(self).items() if name != "already_landed"}
        return json.dumps(stored, indent=2, sort_keys=True) + "\n"

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Unknown keys of a later version are ignored."""
        known = {item.name for item in fields(cls)}
        return cls(**{name: value for name, value in json.loads(path.read_bytes()).items() if name in known})


def manifest_file(table: str) -> str:
    """Name of the receipt of `table` in its batch folder; the loans have the plain name."""
    return "manifest.json" if table == LOANS else f"{table}.manifest.json"


def data_version(manifests: Iterable[Manifest]) -> str:
    """Content hash of what these landings amount to: files and contract, never the run or the clock."""
    parts = sorted(f"{manifest.file_sha256} {manifest.contract_version}" for manifest in manifests)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def schema_fingerprint(columns: Iterable[Column]) -> str:
    """SHA-256 of column names and types, in order."""
    return hashlib.sha256("\n".join(f"{column.name} {column.type}" for column in columns).encode()).hexdigest()


def iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
