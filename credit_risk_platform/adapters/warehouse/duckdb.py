"""The embedded warehouse: DuckLake with a SQLite catalog and zstd Parquet data, one writer, any number of readers.

Why DuckLake and not one DuckDB file: analysts query while runs write, snapshots pin training sets, and the data
files are plain Parquet. What it asks for: the writer lock, no data inlining (1.5.5 loses quotes inside nested
values) and a catalog that each process holds open (`_hold_open`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import duckdb

from credit_risk_platform.adapters.object_store import ObjectStore, open_files
from credit_risk_platform.adapters.warehouse.base import Staged
from credit_risk_platform.adapters.warehouse.duckdb_writer import DuckLakeTransaction
from credit_risk_platform.adapters.warehouse.lake_session import CATALOG, HELD, LakeSession, attach_sql, quoted
from credit_risk_platform.adapters.warehouse.lock import WriterLock
from credit_risk_platform.adapters.warehouse.single_writes import SingleWrites

SMALL_FILE_BYTES = 1_000_000
_STATE = f"select id from {CATALOG}.current_snapshot()"
SCHEMAS = ("bronze", "silver", "gold", "models", "monitoring")


@dataclass(frozen=True)
class Upkeep:
    """Data files before and after."""

    files_before: int
    files_after: int


class DuckLakeWarehouse(LakeSession, SingleWrites):
    """Implements `Warehouse`. Catalog and writer lock lie in `root`, a local directory; the data too unless `store`.

    Safe to share between threads; open one per process.
    """

    def __init__(
        self,
        root: Path,
        *,
        memory_limit: str | None = None,
        threads: int | None = None,
        store: ObjectStore | None = None,
    ) -> None:
        super().__init__(root, memory_limit=memory_limit, threads=threads, store=store)
        self.data = open_files(store, root / "data", "warehouse/data")
        self.lock = WriterLock(root / "writer.lock")

    # ---------------------------------------------------------------- reading

    def exists(self, table: str) -> bool:
        return bool(self.query(_COLUMNS_SQL, table.split(".")).num_rows)

    def columns(self, table: str) -> dict[str, str]:
        found = self.query(_COLUMNS_SQL, table.split(".")).to_pydict()
        if not found["column_name"]:
            raise KeyError(f"no table {table} in {self.catalog_file}")
        return dict(zip(found["column_name"], found["data_type"], strict=True))

    def count(self, table: str) -> int:
        return int(self.query(f"select count(*) as n from {table}")["n"][0].as_py())

    def snapshot(self) -> str:
        return str(self.query(f"select max(snapshot_id) as s from {CATALOG}.snapshots()")["s"][0].as_py())

    def at(self, table: str, snapshot: str) -> str:
        return f"(select * from {table} at (version => {int(snapshot)}))"

    # ---------------------------------------------------------------- writing

    @contextmanager
    def workspace(self) -> Iterator[DuckLakeTransaction]:
        with self._open() as cursor, _all_or_nothing(cursor):
            yield DuckLakeTransaction(cursor)

    @contextmanager
    def transaction(self, staged: Mapping[str, Staged] | None = None) -> Iterator[DuckLakeTransaction]:
        with self._open() as cursor:
            transaction = DuckLakeTransaction(cursor)
            with _all_or_nothing(cursor):  # not each statement for itself: each would look the whole catalog up
                for name, rows in (staged or {}).items():
                    transaction.stage(name, rows)
            with self.lock.held():
                with _all_or_nothing(cursor):
                    yield transaction
                transaction.committed()

    # ---------------------------------------------------------------- upkeep

    def maintain(self, keep: timedelta = timedelta(days=7)) -> Upkeep:
        """Merge small files, expire snapshots older than `keep`, delete what nothing refers to any more.

        Micro-batches leave a few small files each. Readers go on: a file goes only when its snapshot has expired, and
        expired ones wait a day (or `keep`, if shorter) for queries that still read them.
        """
        seconds, grace = int(keep.total_seconds()), int(min(keep, timedelta(days=1)).total_seconds())
        before = self._files()
        with self.lock.held(), self._cursor() as cursor:
            cursor.execute(f"call {CATALOG}.set_option('expire_older_than', '{seconds} seconds')")
            cursor.execute(f"call {CATALOG}.set_option('delete_older_than', '{grace} seconds')")
            cursor.execute("checkpoint")
        return Upkeep(before, self._files())

    def merge(self, table: str) -> tuple[str, str]:
        """Make one file of a table's small ones: what keeps a process that writes all day quick until the upkeep.

        Returns the states before and after, which hold the same rows. Large files stay as they are: to write them anew
        would take seconds, under the lock.
        """
        schema, name = table.split(".")
        merge = f"call ducklake_merge_adjacent_files('{CATALOG}', ?, schema => ?, max_file_size => {SMALL_FILE_BYTES})"
        with self.lock.held(), self._cursor() as cursor:
            before = cursor.execute(_STATE).to_arrow_table()["id"][0].as_py()
            cursor.execute(merge, [name, schema])
            after = cursor.execute(_STATE).to_arrow_table()["id"][0].as_py()
        return str(before), str(after)

    def _files(self) -> int:
        """Parquet files of the data, those of old snapshots included."""
        return sum(name.endswith(".parquet") for name in self.data.names())

    def publish(self, target: Path, tables: Sequence[str]) -> None:
        """Write a plain single-file DuckDB copy for tools without DuckLake: built aside, renamed over.

        Whoever has the old file open keeps reading the old state; the next open sees the new one.
        """
        aside = target.with_name(f"{target.name}.tmp")
        with WriterLock(target.with_name(f"{target.name}.lock")).held(), self._cursor() as cursor:
            aside.unlink(missing_ok=True)  # a publisher that was killed left it
            cursor.execute(f"attach {quoted(aside)} as published")
            try:
                with _all_or_nothing(cursor):  # all tables of one snapshot
                    for table in tables:
                        cursor.execute(f"create schema if not exists published.{table.split('.')[0]}")
                        cursor.execute(f"create table published.{table} as from {CATALOG}.{table}")
            finally:
                cursor.execute("detach published")
            aside.replace(target)

    # ---------------------------------------------------------------- inside

    def _attached(self) -> duckdb.DuckDBPyConnection:
        self.data.local.mkdir(parents=True, exist_ok=True)
        connection = self._engine()
        if _initialised(connection, self.catalog_file):
            _attach(connection, self.root, self.store)  # no lock: opening a lake to read must not wait for a writer
        else:
            with self.lock.held():
                _attach(connection, self.root, self.store)
                _initialise(connection)
        return connection


@contextmanager
def _all_or_nothing(cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
    cursor.execute(f"begin; use {CATALOG}")  # within it: for itself it would look the catalog up once more
    try:
        yield
    except BaseException:
        cursor.execute("rollback")
        raise
    cursor.execute("commit")


def _attach(connection: duckdb.DuckDBPyConnection, root: Path, store: ObjectStore | None) -> None:
    connection.execute(attach_sql(root, store=store))
    connection.execute("set ducklake_default_data_inlining_row_limit = 0")


def _initialised(connection: duckdb.DuckDBPyConnection, catalog_file: Path) -> bool:
    """Whether `_initialise` has come to its end, in this process or in another."""
    if not catalog_file.exists():
        return False
    connection.execute(f"attach {quoted(catalog_file)} as {HELD} (type sqlite, busy_timeout 30000, read_only)")
    try:
        made = f"select 1 from duckdb_tables() where database_name = '{HELD}' and table_name = 'ducklake_schema'"
        if not connection.execute(made).fetchall():
            return False
        names = connection.execute(f"select schema_name from {HELD}.ducklake_schema").fetchall()
        return {name for (name,) in names} >= set(SCHEMAS)
    finally:
        connection.execute(f"detach {HELD}")


def _initialise(connection: duckdb.DuckDBPyConnection) -> None:
    for option, value in (
        ("data_inlining_row_limit", "0"),
        ("parquet_compression", "'zstd'"),
        ("expire_older_than", "'30 days'"),
        ("delete_older_than", "'1 day'"),
    ):
        connection.execute(f"call {CATALOG}.set_option('{option}', {value})")
    for schema in SCHEMAS:
        connection.execute(f"create schema if not exists {CATALOG}.{schema}")


_COLUMNS_SQL = (
    f"select column_name, data_type from duckdb_columns() where database_name = '{CATALOG}' "
    "and schema_name = ? and table_name = ? order by column_index"
)
