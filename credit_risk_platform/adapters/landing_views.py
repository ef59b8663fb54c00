"""The warehouse's view of bronze: which files make up each table. Views hold paths; rows stay in the lake's Parquet.

Every glob and list includes the empty batch, whose files have all columns and no rows: a table exists before its first
landing, and a file that brought fewer columns reads as nulls.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from credit_risk_platform.adapters.landing_files import SourceFolder, write_file
from credit_risk_platform.adapters.landing_manifest import (
    EMPTY_BATCH,
    LOANS,
    MACRO,
    REPAYMENTS,
    SQL_COLUMNS,
    schema_fingerprint,
)
from credit_risk_platform.adapters.landing_rejects import REJECT_COLUMNS
from credit_risk_platform.adapters.landing_sql import literal
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.contracts.column import Column
from credit_risk_platform.domain.contracts.feed_columns import MACRO_COLUMNS, REPAYMENT_COLUMNS
from credit_risk_platform.domain.contracts.loan_columns import LOAN_COLUMNS

SUPERSEDED = "superseded"
TABLES: dict[str, tuple[Column, ...]] = {LOANS: LOAN_COLUMNS, REPAYMENTS: REPAYMENT_COLUMNS, MACRO: MACRO_COLUMNS}
SOURCES: dict[str, tuple[str, ...]] = {
    "synthetic": (LOANS, REPAYMENTS),
    "lending_club": (LOANS,),
    "landing": (LOANS,),
    "macro": (MACRO,),
}
"""Source folder -> the tables of its batches."""
INCREMENTAL = frozenset({"landing"})
"""Sources whose files add up, a later file restating loans of an earlier one. Elsewhere the latest file is the book."""


def dataset_name(source: str, table: str) -> str:
    """Table of schema bronze."""
    return table if table == MACRO else f"{source}_{table}"


def write_empty_batch(folder: SourceFolder, tables: Sequence[str]) -> None:
    """Make or renew the batch that carries the columns."""
    fingerprint = schema_fingerprint(column for table in tables for column in TABLES[table])
    mark = folder.batch(EMPTY_BATCH) / "schema.txt"
    if mark.exists() and mark.read_text() == fingerprint:
        return
    with folder.aside(EMPTY_BATCH) as prepared, duckdb.connect() as connection:
        for table in tables:
            _write_empty(connection, prepared / f"{table}.parquet", {c.name: c.type for c in TABLES[table]})
        _write_empty(connection, prepared / f"{SUPERSEDED}.parquet", {"loan_id": "VARCHAR", "_batch": "VARCHAR"})
        (prepared / "manifest.json").write_text(json.dumps({"batch": EMPTY_BATCH}))
        (prepared / mark.name).write_text(fingerprint)
        folder.commit(prepared, EMPTY_BATCH)


def write_empty_quarantine(folder: SourceFolder) -> None:
    if folder.batch(EMPTY_BATCH).exists():
        return
    with folder.aside(EMPTY_BATCH) as prepared, duckdb.connect() as connection:
        _write_empty(connection, prepared / "rejects.parquet", REJECT_COLUMNS)
        folder.commit(prepared, EMPTY_BATCH)


def _write_empty(connection: duckdb.DuckDBPyConnection, path: Path, columns: Mapping[str, str]) -> None:
    nulls = ", ".join(f'null::{kind} as "{name}"' for name, kind in columns.items())
    connection.execute(f"copy (select {nulls} where false) to {literal(str(path))} (format parquet, compression zstd)")


def incremental_rows(folder: SourceFolder, columns: Sequence[str]) -> str:
    """Query of the rows of all batches that no later batch has restated."""
    names = ", ".join(columns)
    return (
        f"select {names} from {_parquet(folder.path / 'batch=*' / f'{LOANS}.parquet')} anti join "
        f"{_parquet(folder.path / 'batch=*' / f'{SUPERSEDED}.parquet')} using (loan_id, _batch)"
    )


def table_view(folder: SourceFolder, table: str, batch: str | None) -> str:
    """Query of a table whose rows are those of one batch; none of `batch` is None."""
    batches = [EMPTY_BATCH, *([batch] if batch else [])]
    names = ", ".join(column.name for column in TABLES[table])
    return f"select {names} from {_parquet(*(folder.batch(name) / f'{table}.parquet' for name in batches))}"


def landings_view(bronze: Path) -> str:
    """Every receipt of every source."""
    columns = ", ".join(f"{name}: {literal(kind)}" for name, kind in SQL_COLUMNS.items())
    files = literal(str(bronze / "*" / "batch=*" / "*manifest.json"))
    return (
        f"select {', '.join(SQL_COLUMNS)} from read_json({files}, columns = {{{columns}}}) where batch <> '{EMPTY_BATCH}'"
    )


def quarantine_view(bronze: Path, quarantine: Path) -> str:
    """Every reject of every batch that has landed, with its source and batch."""
    names = ", ".join(f'"{name}"' for name in REJECT_COLUMNS)
    files = _parquet(quarantine / "*" / "batch=*" / "rejects.parquet", extra=", filename = true")
    return (
        f"select source, batch, {names} from (select *, regexp_extract(filename, '([^/]+)/batch=([0-9a-f]+)', 1) as source, "
        f"regexp_extract(filename, 'batch=([0-9a-f]+)', 1) as batch from {files}) "
        f"semi join ({landings_view(bronze)}) using (source, batch)"
    )


class ViewKeeper:
    """Creates a view where its query has changed: a DuckLake commit takes the writer lock, so not at every landing."""

    def __init__(self, warehouse: Warehouse, memory: Path) -> None:
        self.warehouse, self.memory = warehouse, memory

    def keep(self, views: Mapping[str, str]) -> None:
        known = json.loads(self.memory.read_text()) if self.memory.exists() else {}
        wanted = {view: hashlib.sha256(query.encode()).hexdigest() for view, query in views.items()}
        for view, query in views.items():
            if known.get(view) != wanted[view] or not self.warehouse.exists(view):
                self.warehouse.create_view(view, query)
        if known != {**known, **wanted}:
            self.memory.parent.mkdir(parents=True, exist_ok=True)
            write_file(self.memory, json.dumps({**known, **wanted}, indent=2, sort_keys=True))


def _parquet(*files: Path, extra: str = "") -> str:
    listed = ", ".join(literal(str(file)) for file in files)
    return f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false{extra})"
