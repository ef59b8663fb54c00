"""The way back: archived events into a lake, each once, and the comparison of tables with what was archived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import chain
from typing import Any

import duckdb
import pyarrow as pa

from credit_risk_platform.adapters import archive_tables
from credit_risk_platform.adapters.archive import archived_rows, verify
from credit_risk_platform.adapters.archive_manifest import (
    ArchivedTable,
    ArchiveError,
    DayManifest,
    read_manifest,
    require_manifest,
)
from credit_risk_platform.adapters.archive_store import ArchiveStore
from credit_risk_platform.adapters.archive_tables import RawTable
from credit_risk_platform.adapters.warehouse.base import Select, Transaction, Warehouse

_BY_NAME = {table.name: table for table in archive_tables.TABLES}


@dataclass(frozen=True)
class Restored:
    """One table: rows in the archive, those that were missing and are back, and those the lake holds otherwise."""

    table: str
    archived: int
    added: int
    differing: int


@dataclass(frozen=True)
class Compared:
    """One table: the rows of the day in the lake and in the archive; `equal` to the last value."""

    table: str
    in_lake: int
    archived: int
    equal: bool


def restore(store: ArchiveStore, day: date, into: Warehouse) -> list[Restored]:
    """Bring back the events of a day that `into` lacks, all tables in one transaction. What is there stays as it is.

    Raises `ArchiveError` where the files are not what the manifest says; nothing is written then.
    """
    manifest = require_manifest(store, day)
    if problems := verify(store, day):
        raise ArchiveError(f"the archive of {day} is damaged, nothing was restored: {'; '.join(problems)}")
    with into.transaction() as transaction:
        return [_restore(transaction, store, table) for table in manifest.tables if table.files]


def compare(warehouse: Warehouse, store: ArchiveStore, manifest: DayManifest, snapshot: str) -> list[Compared]:
    """The day's rows as of a snapshot against the archived files, table by table, independent of how they were made."""
    tables = archive_tables.present(warehouse)
    day = date.fromisoformat(manifest.day)
    return [_compare(warehouse, store, table, manifest.table(table.name), tables, snapshot, day) for table in tables]


def out_of_date(warehouse: Warehouse, store: ArchiveStore, day: date, days: int) -> list[dict[str, Any]]:
    """Days among the `days` before `day` whose archive has other row counts than the lake now: table, day, both counts.

    That is so where a run was missed, or where something was written for a day that was archived already.
    """
    first = day - timedelta(days=days)
    manifests = {one: read_manifest(store, one) for one in (first + timedelta(days=k) for k in range(days))}
    tables, snapshot = archive_tables.present(warehouse), warehouse.snapshot()
    found = []
    for table in tables:
        sql, params = archive_tables.arrivals(warehouse, table, tables, snapshot, first, days)
        counts = f"select arrived_at::date as day, count(*) as n from ({sql}) group by all order by all"
        for row in warehouse.query(counts, params).to_pylist():
            manifest = manifests[row["day"]]
            archived = manifest.table(table.name) if manifest else None
            if (held := archived.rows if archived else 0) != row["n"]:
                found.append(
                    {"day": row["day"].isoformat(), "table": table.name, "in_lake": row["n"], "archived": held}
                )
    return sorted(found, key=lambda one: (one["day"], one["table"]))


# -------------------------------------------------------------------- inside


def _restore(transaction: Transaction, store: ArchiveStore, archived: ArchivedTable) -> Restored:
    table = _BY_NAME[archived.table]
    transaction.stage("archived_rows", Select(archived_rows(store, archived)))
    transaction.append(table.name, Select("select * from archived_rows where false"))  # makes it where it is absent
    same = _same(table)
    missing = f"select * from archived_rows as new where not exists (select 1 from {table.name} as old where {same})"
    added = transaction.append(table.name, Select(missing))
    other = " or ".join(
        f"old.{name} is distinct from new.{name}" for name in archive_tables.quoted(list(archived.schema))
    )
    differing = transaction.query(
        f"select count(*) as n from archived_rows as new join {table.name} as old on {same} where {other}"
    )["n"][0].as_py()
    return Restored(table.name, archived.rows, added, differing)


def _same(table: RawTable) -> str:
    return " and ".join(f"old.{key} is not distinct from new.{key}" for key in archive_tables.quoted(table.key))


def _compare(
    warehouse: Warehouse,
    store: ArchiveStore,
    table: RawTable,
    archived: ArchivedTable | None,
    tables: Sequence[RawTable],
    snapshot: str,
    day: date,
) -> Compared:
    sql, params = archive_tables.of_day(warehouse, table, tables, snapshot, day)
    with store.engine() as engine, warehouse.stream(sql, params) as batches:
        held = (0, None, None)
        if (first := next(batches, None)) is not None:
            engine.register("of_the_day", pa.RecordBatchReader.from_batches(first.schema, chain([first], batches)))
            held = _print(engine, "from of_the_day")
        if archived is None or not archived.files:
            return Compared(table.name, held[0], 0, held[0] == 0)
        read = _print(engine, archived_rows(store, archived))
    return Compared(table.name, held[0], read[0], held == read)


def _print(engine: duckdb.DuckDBPyConnection, sql: str) -> tuple[int, Any, Any]:
    """Count, and two sums over a hash of each row: equal for equal rows in any order.

    By one engine for both sides: engines hash otherwise.
    """
    sums = "count(*) as n, bit_xor(hash(rows)) as mixed, sum(hash(rows)::hugeint)::varchar as summed"
    [(count, mixed, summed)] = engine.execute(f"select {sums} from ({sql}) as rows").fetchall()
    return count, mixed, summed
