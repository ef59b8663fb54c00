"""One process's way to the lake: a DuckDB of its own with the lake attached, whoever reads or writes through it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from credit_risk_platform.adapters.object_store import ObjectStore
from credit_risk_platform.adapters.warehouse.extensions import extension_directory
from credit_risk_platform.adapters.warehouse.lake_secret import LakeSecret

CATALOG = "lake"
HELD = "lake_catalog"
"""The catalog's own file as a database, which nothing is read from while it is held open."""
SESSION_USES = 2_000
"""Then a session begins anew (0.3 s): DuckLake keeps what it read of every state it has seen, some 60 kB each."""


class LakeSession:
    """One DuckDB of this process on the lake of `root`, opened when it is first asked. Safe to share between threads.

    Who opens it, and how the lake is attached, is said by those who inherit (`_attached`).
    """

    def __init__(
        self,
        root: Path,
        *,
        memory_limit: str | None = None,
        threads: int | None = None,
        store: ObjectStore | None = None,
    ) -> None:
        self.root = root
        self.store = store
        self._secret = LakeSecret(store) if store else None
        self.catalog_file = root / "catalog.sqlite"
        self.memory_limit = memory_limit
        self.threads = threads
        self._opening = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._held: duckdb.DuckDBPyConnection | None = None
        self._uses = 0

    def query(self, sql: str, params: Sequence[Any] = ()) -> pa.Table:
        with self._cursor() as cursor:
            return cursor.execute(sql, list(params)).to_arrow_table()

    @contextmanager
    def stream(
        self, sql: str, params: Sequence[Any] = (), batch_rows: int = 500_000
    ) -> Iterator[Iterator[pa.RecordBatch]]:
        with self._cursor() as cursor:
            yield iter(cursor.execute(sql, list(params)).to_arrow_reader(batch_rows))

    def close(self) -> None:
        """Idempotent; the next query opens it again."""
        with self._opening:
            connection = self._connection
            self._let_go()
            if connection is not None:
                connection.close()

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._open() as cursor:
            cursor.execute(f"use {CATALOG}")
            yield cursor

    def _let_go(self) -> None:
        """Forget the session. Not closed: that would end the cursors others work with, which keep the engine alive."""
        if self._held is not None:
            self._held.close()
        self._connection = self._held = None
        self._uses = 0

    def _open(self) -> duckdb.DuckDBPyConnection:
        """A cursor of the session, which is begun where there is none."""
        with self._opening:
            if self._uses >= SESSION_USES:
                self._let_go()
            self._uses += 1
            if self._connection is None:
                connection = self._attached()
                self._held = _hold_open(connection, self.catalog_file)
                self._connection = connection
            elif self._secret is not None:
                self._secret.renew(self._connection)
            return self._connection.cursor()

    def _attached(self) -> duckdb.DuckDBPyConnection:
        raise NotImplementedError

    def _engine(self) -> duckdb.DuckDBPyConnection:
        """DuckDB with the lake's extensions, and no lake yet."""
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
        if self._secret is not None:
            self._secret.open(connection)
        return connection


def attach_sql(root: Path, *, read_only: bool = False, store: ObjectStore | None = None) -> str:
    """The statement with which any DuckDB client joins the lake; what the README hands to analysts.

    Where the data lie in an object store, the client brings a secret for it.
    """
    data = store.warehouse_data if store else root / "data"
    options = f"DATA_PATH {quoted(data)}, META_JOURNAL_MODE 'WAL', META_BUSY_TIMEOUT 30000"
    catalog = quoted(f"ducklake:sqlite:{root / 'catalog.sqlite'}")
    return f"ATTACH {catalog} AS {CATALOG} ({options}{', READ_ONLY' if read_only else ''})"


def quoted(text: object) -> str:
    return "'" + str(text).replace("'", "''") + "'"


def _hold_open(connection: duckdb.DuckDBPyConnection, catalog_file: Path) -> duckdb.DuckDBPyConnection:
    """A transaction that reads nothing and stays: as long as it does, the catalog's log lies where it is.

    DuckDB opens the catalog anew for each transaction. Whoever closes it last writes its log back and deletes it, and
    who comes meanwhile waits for that a whole second: this SQLite knows no shorter sleep. It has to be DuckDB's own:
    locks of files belong to a process, so that Python's SQLite beside it would count as nobody.
    """
    connection.execute(f"attach {quoted(catalog_file)} as {HELD} (type sqlite, journal_mode 'WAL', read_only)")
    held = connection.cursor()
    held.execute(f"begin; use {HELD}")
    return held
