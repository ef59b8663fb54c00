"""The receipt beside every landed table: what came, what landed, what was refused, under which contract.

Whatever depends on the clock or the run stands here and nowhere in the data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime

from credit_risk_platform.adapters.landing.layout import TABLES, dataset_name
from credit_risk_platform.adapters.landing.stage import Counts
from credit_risk_platform.domain.contracts.column import Column
from credit_risk_platform.domain.contracts.loan_columns import CONTRACT_VERSION

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

    @property
    def moment(self) -> str:
        """When, as a manifest says it."""
        return self.landed_at.isoformat(timespec="seconds")


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
    schema_fingerprint: str
    sequence: int
    """Order of landing within the source."""
    landed_at: str
    run_id: str
    unknown_columns: list[str] = field(default_factory=list)
    observed_through: str | None = None
    superseded_rows: int = 0
    """Rows of earlier files that this one states anew."""
    already_landed: bool = False

    @property
    def minor_bump(self) -> bool:
        """The file has columns the contract does not know: additive, so allowed, but somebody should look."""
        return bool(self.unknown_columns)

    def to_json(self) -> str:
        stored = {name: value for name, value in asdict(self).items() if name != "already_landed"}
        return json.dumps(stored, indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """Keys that a later version, or the store, may add are ignored."""
        known = {item.name for item in fields(cls)}
        return cls(**{name: value for name, value in json.loads(data).items() if name in known})


def receipt(delivery: Delivery, table: str, counts: Counts, columns: Sequence[Column], sequence: int) -> Manifest:
    """The manifest of `table` as far as every kind of table has one."""
    return Manifest(
        dataset=dataset_name(delivery.source, table),
        source=delivery.source,
        batch=delivery.batch,
        file=delivery.file,
        file_sha256=delivery.sha256,
        file_bytes=delivery.file_bytes,
        contract_version=CONTRACT_VERSION,
        token_key_id=delivery.token_key_id,
        rows_in=counts.rows_in,
        rows_landed=counts.rows_landed,
        rows_rejected=counts.rows_rejected,
        rejects_by_reason=counts.rejects_by_reason,
        columns=[column.name for column in columns],
        schema_fingerprint=schema_fingerprint(TABLES[table]),
        sequence=sequence,
        landed_at=delivery.moment,
        run_id=delivery.run_id,
    )


def data_version(manifests: Iterable[Manifest]) -> str:
    """Content hash of what these landings amount to: files and contract, never the run or the clock."""
    parts = sorted(f"{manifest.file_sha256} {manifest.contract_version}" for manifest in manifests)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def schema_fingerprint(columns: Iterable[Column]) -> str:
    """SHA-256 of column names and types, in order."""
    return hashlib.sha256("\n".join(f"{column.name} {column.type}" for column in columns).encode()).hexdigest()
