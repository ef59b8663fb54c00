"""The embedded warehouse: DuckLake with a SQLite catalog and zstd Parquet data, one writer, any number of readers.

Why DuckLake and not one DuckDB file: analysts query while runs write, snapshots pin training sets, and the data
files are plain Parquet. What it asks for: the writer lock, no data inlining (1.5.5 loses quotes inside nested
values) and one idle SQLite connection per process (without it SQLite recovers the WAL at every open, ~1 s).
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from credit_risk_platform.adapters.warehouse.base import Rows, Select
from credit_risk_platform.adapters.warehouse.extensions import extension_directory
from credit_risk_platform.adapters.warehouse.lock import WriterLock

CATALOG = "lake"
SCHEMAS = ("bronze", "silver", "gold", "models", "monitoring")
INCOMING = "incoming_rows"


class DuckLakeWarehouse:
    """Implements `Warehouse` on a local directory. Safe to share between threads; open one per process."""

    def __init__(self, root: Path, *, memory_limit: str | None = None, threads: int | None = None) -> None:
        self.root = root
        self.catalog_file = root / "catalog.sqlite"
        self.data_path = root / "data"
        self.memory_limit = memory_limit
        self.threads = threads
        self.lock = WriterLock(root / "writer.lock")
        self._opening = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._keepalive: sqlite3.Connection | None = None

    # ---------------------------------------------------------------- reading

    def query(self, sql: str, params: Sequence[Any] = ()) -> pa.Table:
        with self._cursor() as cursor:
            return cursor.execute(sql, list(params)).to_arrow_table()

    @contextmanager
    def stream(
        self, sql: str, params: Sequence[Any] = (), batch_rows: int = 500_000
    ) -> Iterator[Iterator[pa.RecordBatch]]:
        with self._cursor() as cursor:
            yield iter(cursor.execute(sql, list(params)).to_arrow_reader(batch_rows))

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

    # ---------------------------------------------------------------- writing

    def replace_table(self, table: str, rows: Rows) -> int:
        with self._writing(rows) as (cursor, select, params):
            cursor.execute(f"create or replace table {table} as {select}", params)
        return self.count(table)

    def replace(self, table: str, rows: Rows, where: str, params: Sequence[Any] = ()) -> int:
        with self._writing(rows) as (cursor, select, row_params):
            self._create_like(cursor, table, select, row_params)
            cursor.execute(f"delete from {table} where {where}", list(params))
            return _inserted(cursor.execute(f"insert into {table} by name {select}", row_params))

    def upsert(self, table: str, rows: Rows, keys: Sequence[str]) -> int:
        with self._writing(rows) as (cursor, select, params):
            self._create_like(cursor, table, select, params)
            same_key = " and ".join(f"{table}.{key} is not distinct from new.{key}" for key in keys)
            cursor.execute(f"delete from {table} where exists (select 1 from ({select}) as new where {same_key})", params)
            return _inserted(cursor.execute(f"insert into {table} by name {select}", params))

    def append_missing(self, table: str, rows: Rows, keys: Sequence[str]) -> int:
        with self._writing(rows) as (cursor, select, params):
            self._create_like(cursor, table, select, params)
            return _inserted(
                cursor.execute(
                    f"insert into {table} by name select * from ({select}) anti join {table} using ({', '.join(keys)})",
                    params,
                )
            )

    def create_view(self, view: str, sql: str) -> None:
        with self._transaction() as cursor:
            cursor.execute(f"create or replace view {view} as {sql}")

    # ---------------------------------------------------------------- upkeep

    def maintain(self) -> None:
        """Merge small files, expire old snapshots, delete what nothing refers to."""
        with self.lock.held(), self._cursor() as cursor:
            cursor.execute("checkpoint")

    def publish(self, target: Path, tables: Sequence[str]) -> None:
        """Write a plain single-file DuckDB copy for tools without DuckLake: built aside, renamed over.

        Whoever has the old file open keeps reading the old state; the next open sees the new one.
        """
        aside = target.with_name(f"{target.name}.{os.getpid()}.tmp")
        aside.unlink(missing_ok=True)
        try:
            with self._cursor() as cursor:
                cursor.execute(f"attach '{aside}' as published")
                try:
                    for table in tables:
                        cursor.execute(f"create schema if not exists published.{table.split('.')[0]}")
                        cursor.execute(f"create table published.{table} as from {CATALOG}.{table}")
                finally:
                    cursor.execute("detach published")
            os.replace(aside, target)
        finally:
            aside.unlink(missing_ok=True)

    def close(self) -> None:
        with self._opening:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            if self._keepalive is not None:
                self._keepalive.close()
                self._keepalive = None

    # ---------------------------------------------------------------- inside

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        cursor = self._open().cursor()
        try:
            cursor.execute(f"use {CATALOG}")
            yield cursor
        finally:
            cursor.close()

    @contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self.lock.held(), self._cursor() as cursor:
            cursor.execute("begin")
            try:
                yield cursor
            except BaseException:
                cursor.execute("rollback")
                raise
            cursor.execute("commit")

    @contextmanager
    def _writing(self, rows: Rows) -> Iterator[tuple[duckdb.DuckDBPyConnection, str, list[Any]]]:
        with self._transaction() as cursor:
            if isinstance(rows, Select):
                yield cursor, rows.sql, list(rows.params)
            else:
                cursor.register(INCOMING, rows)
                yield cursor, f"select * from {INCOMING}", []

    @staticmethod
    def _create_like(cursor: duckdb.DuckDBPyConnection, table: str, select: str, params: list[Any]) -> None:
        cursor.execute(f"create table if not exists {table} as select * from ({select}) limit 0", params)

    def _open(self) -> duckdb.DuckDBPyConnection:
        with self._opening:
            if self._connection is None:
                self._connection = self._connect()
            return self._connection

    def _connect(self) -> duckdb.DuckDBPyConnection:
        self.data_path.mkdir(parents=True, exist_ok=True)
        config: dict[str, Any] = {
            "extension_directory": str(extension_directory(self.root / "ext")),
            "autoinstall_known_extensions": False,
            "temp_directory": str(self.root / "tmp"),
        }
        if self.memory_limit:
            config["memory_limit"] = self.memory_limit
        if self.threads:
            config["threads"] = self.threads
        connection = duckdb.connect(config=config)
        connection.execute("set timezone = 'UTC'")
        new = not self.catalog_file.exists()
        with self.lock.held():
            connection.execute(attach_sql(self.root))
            connection.execute("set ducklake_default_data_inlining_row_limit = 0")
            if new:
                _initialise(connection)
        self._keepalive = sqlite3.connect(self.catalog_file, check_same_thread=False)
        self._keepalive.execute("select count(*) from ducklake_snapshot").fetchone()
        return connection


def attach_sql(root: Path, *, read_only: bool = False) -> str:
    """The statement with which any DuckDB client joins the lake; what the README hands to analysts."""
    options = f"DATA_PATH '{root / 'data'}', META_JOURNAL_MODE 'WAL', META_BUSY_TIMEOUT 30000"
    return f"ATTACH 'ducklake:sqlite:{root / 'catalog.sqlite'}' AS {CATALOG} ({options}{', READ_ONLY' if read_only else ''})"


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


def _inserted(result: duckdb.DuckDBPyConnection) -> int:
    row = result.fetchone()
    return int(row[0]) if row else 0


_COLUMNS_SQL = (
    f"select column_name, data_type from duckdb_columns() where database_name = '{CATALOG}' "
    "and schema_name = ? and table_name = ? order by column_index"
)
