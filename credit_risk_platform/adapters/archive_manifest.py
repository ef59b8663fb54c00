"""The manifest of an archived day: what was archived, file by file: the truth about that day.

raw/<table>/yyyy=YYYY/mm=MM/dd=DD/part-<n>-<digest>.parquet     drift/yyyy=YYYY/mm=MM/dd=DD/<report>-<digest>.html|json
manifest/yyyy=YYYY/mm=MM/dd=DD/manifest.json
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from credit_risk_platform.adapters.archive_store import ArchiveStore

DIGEST_DIGITS = 12


class ArchiveError(ValueError):
    """The archive refuses, or is not what its manifest says. The message names the day and the next step."""


@dataclass(frozen=True)
class ArchivedFile:
    """One file; `rows` is None where it holds none (a report)."""

    name: str
    bytes: int
    sha256: str
    rows: int | None = None


@dataclass(frozen=True)
class ArchivedTable:
    """The rows of one bronze table that arrived on the day; `schema` is column -> engine type, in table order."""

    table: str
    rows: int
    schema: Mapping[str, str]
    files: tuple[ArchivedFile, ...]


@dataclass(frozen=True)
class DayManifest:
    """`snapshot` (of the lake), `run_id` and `archived_at` are of the run that found this content first."""

    day: str
    tables: tuple[ArchivedTable, ...]
    reports: tuple[ArchivedFile, ...]
    snapshot: str
    run_id: str
    archived_at: str

    @property
    def files(self) -> tuple[ArchivedFile, ...]:
        return (*(file for table in self.tables for file in table.files), *self.reports)

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)

    @property
    def total_bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    @property
    def version(self) -> str:
        """Hash of what was archived: the same whenever and by whichever run."""
        return self._hash(self.tables, self.reports)

    @property
    def data_version(self) -> str:
        """As `version`, without what says nothing of the day: tables of which no row arrived, whether they were there
        yet or not, and the pages, since Evidently names their parts anew each time it draws them (their figures,
        archived beside them, say whether anything has changed).
        """
        tables = [table for table in self.tables if table.rows]
        return self._hash(tables, [report for report in self.reports if not report.name.endswith(".html")])

    def _hash(self, tables: Sequence[ArchivedTable], reports: Sequence[ArchivedFile]) -> str:
        content = {"day": self.day, "tables": [asdict(table) for table in tables],
                   "reports": [asdict(report) for report in reports]}  # fmt: skip
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def table(self, name: str) -> ArchivedTable | None:
        return next((table for table in self.tables if table.table == name), None)

    def to_json(self) -> bytes:
        return (json.dumps({**asdict(self), "version": self.version}, indent=2) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes) -> DayManifest:
        found: dict[str, Any] = json.loads(data)
        tables = tuple(
            ArchivedTable(**{**table, "files": tuple(ArchivedFile(**file) for file in table["files"])})
            for table in found["tables"]
        )
        reports = tuple(ArchivedFile(**file) for file in found["reports"])
        return cls(found["day"], tables, reports, found["snapshot"], found["run_id"], found["archived_at"])


def folder_of(area: str, day: date) -> str:
    """`area` is `manifest`, `drift` or `raw/<table>`."""
    return f"{area}/yyyy={day:%Y}/mm={day:%m}/dd={day:%d}"


def manifest_name(day: date) -> str:
    return f"{folder_of('manifest', day)}/manifest.json"


def read_manifest(store: ArchiveStore, day: date) -> DayManifest | None:
    """What is archived of a day, or `None`."""
    data = store.read(manifest_name(day))
    return DayManifest.from_json(data) if data is not None else None


def require_manifest(store: ArchiveStore, day: date) -> DayManifest:
    """As `read_manifest`; raises `ArchiveError` where there is none."""
    found = read_manifest(store, day)
    if found is None:
        raise ArchiveError(f"{day} is not archived: materialise that partition of monitoring/archive_daily first")
    return found
