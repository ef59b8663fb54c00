"""The lake for those who only look: a DuckLake connection that the engine itself refuses to write through.

For processes that stay open beside the writers (the dashboard). It takes no lock, makes no table and starts no lake:
where none stands yet, it says so and finds it once it is there.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from credit_risk_platform.adapters.warehouse.duckdb import CATALOG, attach_sql
from credit_risk_platform.adapters.warehouse.extensions import extension_directory


class NoLakeError(FileNotFoundError):
    """There is no lake in this home yet; the message says how one is made."""


@dataclass(frozen=True)
class LakeState:
    """A snapshot: its number, and when its writer committed it (UTC)."""

    snapshot: str
    committed_at: datetime


class LakeReader:
    """Queries on the live lake of `root`. Safe to share between threads; open one per process.

    Each query sees the last commit before it began. One idle SQLite connection stays open beside DuckDB's: without it
    SQLite recovers its log at every open, about a second.
    """

    def __init__(self, root: Path, *, memory_limit: str | None = None, threads: int | None = None) -> None:
        self.root = root
        self.catalog_file = root / "catalog.sqlite"
        self.memory_limit = memory_limit
        self.threads = threads
        self._lock = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._keepalive: sqlite3.Connection | None = None

    def query(self, sql: str, params: Sequence[Any] = ()) -> pa.Table:
        """Rows as Arrow; parameters are bound (`?`).

        Raises:
            NoLakeError: nothing was ever written here.
            duckdb.Error: the query is wrong, names a table that is not there, or would write.
        """
        with self._cursor() as cursor:
            return cursor.execute(sql, list(params)).to_arrow_table()

    @contextmanager
    def stream(
        self, sql: str, params: Sequence[Any] = (), batch_rows: int = 500_000
    ) -> Iterator[Iterator[pa.RecordBatch]]:
        """The same in bounded memory, one record batch at a time."""
        with self._cursor() as cursor:
            yield iter(cursor.execute(sql, list(params)).to_arrow_reader(batch_rows))

    def exists(self, table: str) -> bool:
        """Whether `schema.table` is there, as a table or a view."""
        return bool(self.query(_TABLE_SQL, table.split(".")).num_rows)

    def snapshot(self) -> str:
        """Identifier of the state that the next query sees."""
        return self.state().snapshot

    def state(self) -> LakeState:
        """The last commit, asked of the catalog itself in about a millisecond: fit to be asked often."""
        [found] = self.query(_STATE_SQL).to_pylist()
        return LakeState(str(found["snapshot_id"]), datetime.fromisoformat(found["snapshot_time"]).astimezone(UTC))

    def close(self) -> None:
        """Idempotent; the next query opens it again."""
        with self._lock:
            for connection in (self._connection, self._keepalive):
                if connection is not None:
                    connection.close()
            self._connection = self._keepalive = None

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        cursor = self._open().cursor()
        try:
            cursor.execute(f"use {CATALOG}")
            yield cursor
        finally:
            cursor.close()

    def _open(self) -> duckdb.DuckDBPyConnection:
        with self._lock:
            if self._connection is None:
                if not self.catalog_file.exists():
                    raise NoLakeError(
                        f"{self.root} holds no lake yet. Make one: crp demo --once --home {self.root.parent}"
                    )
                self._connection = self._connect()
                # It answers nothing: beside DuckDB's own SQLite in one process, a second one has been seen to lag.
                self._keepalive = sqlite3.connect(self.catalog_file, check_same_thread=False)
                self._keepalive.execute("select count(*) from ducklake_snapshot").fetchone()
            return self._connection

    def _connect(self) -> duckdb.DuckDBPyConnection:
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
        connection.execute(attach_sql(self.root, read_only=True))
        return connection


_STATE_SQL = f"""
select snapshot_id, snapshot_time from __ducklake_metadata_{CATALOG}.ducklake_snapshot order by snapshot_id desc limit 1
"""
_TABLE_SQL = (
    f"select 1 from information_schema.tables where table_catalog = '{CATALOG}' and table_schema = ? and table_name = ?"
)
