"""The warehouse on Snowflake: rooms and adapters speak DuckDB's SQL to it, as they do to the embedded one.

Where it differs from DuckLake stands in `base.py`. Connections come from whoever builds the warehouse, signed in;
they are opened when they are first needed and kept for the next statement.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import duckdb
import pyarrow as pa

from credit_risk_platform.adapters.warehouse.base import Staged
from credit_risk_platform.adapters.warehouse.copying import copy_table
from credit_risk_platform.adapters.warehouse.duckdb import SCHEMAS, Upkeep
from credit_risk_platform.adapters.warehouse.lock import WriterLockTimeoutError
from credit_risk_platform.adapters.warehouse.single_writes import SingleWrites
from credit_risk_platform.adapters.warehouse.snowflake_session import SnowflakeSession
from credit_risk_platform.adapters.warehouse.snowflake_staging import SnowflakeStaging
from credit_risk_platform.adapters.warehouse.snowflake_state import STATE
from credit_risk_platform.adapters.warehouse.snowflake_tree import STAGING
from credit_risk_platform.adapters.warehouse.snowflake_types import spoken
from credit_risk_platform.adapters.warehouse.snowflake_writer import SnowflakeTransaction

if TYPE_CHECKING:
    from credit_risk_platform.adapters.warehouse.snowflake_batches import Equip
    from credit_risk_platform.adapters.warehouse.snowflake_session import Connect

_EXISTS_ALREADY = 2002
_LOCK_TIMED_OUT = 625
_STATES_KEPT = 1_000
"""So many states that were told of are remembered with their moment: who reads a past one does so soon."""


def _untold() -> str | None:
    return None


def _as_it_is(_: duckdb.DuckDBPyConnection) -> None:
    """Every engine reads local files."""


class SnowflakeWarehouse(SingleWrites):
    """Implements `Warehouse` on one Snowflake database. Safe to share between threads.

    `connect` opens a signed-in connection to the database, with `?` for parameters and statements that commit by
    themselves. `run_id` names the Dagster run whose statements follow, for the query history and the bill. `equip` lets
    a DuckDB engine read the lake's files: what is staged from them is computed here. A writer waits `lock_seconds` for
    the one before it, then raises `WriterLockTimeoutError`.
    """

    def __init__(
        self,
        connect: Connect,
        *,
        run_id: Callable[[], str | None] = _untold,
        equip: Equip = _as_it_is,
        lock_seconds: float = 900.0,
    ) -> None:
        self._connect = connect
        self._run_id = run_id
        self._equip = equip
        self.lock_seconds = lock_seconds
        self._guard = threading.Lock()
        self._idle: list[SnowflakeSession] = []
        self._ready = False
        self._seen: dict[str, datetime] = {}
        """State -> when it was the present one, by Snowflake's clock."""

    def __repr__(self) -> str:
        return "SnowflakeWarehouse()"

    # ---------------------------------------------------------------- reading

    def query(self, sql: str, params: Sequence[Any] = ()) -> pa.Table:
        with self._session() as session:
            return session.query(sql, params)

    @contextmanager
    def stream(
        self, sql: str, params: Sequence[Any] = (), batch_rows: int = 500_000
    ) -> Iterator[Iterator[pa.RecordBatch]]:
        with self._session() as session:
            yield session.stream(sql, params, batch_rows)

    def exists(self, table: str) -> bool:
        return bool(self._columns(table))

    def columns(self, table: str) -> dict[str, str]:
        found = self._columns(table)
        if not found:
            raise KeyError(f"no table {table} in Snowflake, or none that this role may see")
        return {name.lower(): spoken(*kind) for name, *kind in found}

    def count(self, table: str) -> int:
        return int(self.query(f"select count(*) as n from {table}")["n"][0].as_py())

    def snapshot(self) -> str:
        with self._session() as session:
            [(version, seen)] = session.fetch(f"select VERSION, current_timestamp() from {STATE}")
        with self._guard:
            self._seen[str(version)] = seen
            if len(self._seen) > _STATES_KEPT:
                del self._seen[next(iter(self._seen))]
        return str(version)

    def at(self, table: str, snapshot: str) -> str:
        seen = self._seen.get(snapshot)
        if seen is None:
            raise KeyError(f"this process was not told of state {snapshot}, so it does not know when that was: {table}")
        moment = seen.astimezone(UTC).isoformat(sep=" ", timespec="microseconds")
        return f"(select * from {table} at (timestamp => '{moment}'::timestamptz))"

    # ---------------------------------------------------------------- writing

    @contextmanager
    def workspace(self) -> Iterator[SnowflakeStaging]:
        with self._session() as session:
            staging = SnowflakeStaging(session, _name(), self._equip)
            try:
                yield staging
            finally:
                staging.dropped()

    @contextmanager
    def transaction(self, staged: Mapping[str, Staged] | None = None) -> Iterator[SnowflakeTransaction]:
        own = _name()
        with self._session(own) as define, self._session(own) as write:
            transaction = SnowflakeTransaction(write, define, own, self._equip)
            try:
                for name, rows in (staged or {}).items():
                    transaction.stage(name, rows)
                with self._all_or_nothing(write, transaction):
                    yield transaction
                transaction.committed()
            finally:
                transaction.dropped()

    # ---------------------------------------------------------------- upkeep

    def maintain(self, keep: timedelta = timedelta(days=7)) -> Upkeep:
        """Drop what killed writers left in the staging schema a day ago. Files are Snowflake's own business."""
        del keep
        with self._session() as session:
            before = session.fetch(_STAGED, [STAGING.upper()])
            for name, old in before:
                if old:
                    session.execute(f'drop table if exists {STAGING}."{name}"')
            return Upkeep(len(before), len(session.fetch(_STAGED, [STAGING.upper()])))

    def merge(self, table: str) -> tuple[str, str]:
        """Nothing to do: Snowflake merges small files by itself. Returns its state, twice."""
        state = self.snapshot()
        return state, state

    def publish(self, target: Path, tables: Sequence[str]) -> None:
        """Write a plain single-file DuckDB copy of `tables`: built aside, renamed over."""
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(f".{target.name}.{_name()}.tmp")
        try:
            with duckdb.connect(str(aside)) as copy:
                for table in tables:
                    copy.execute(f"create schema if not exists {table.split('.')[0]}")
                    copy_table(self, table, copy, table)
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)

    def close(self) -> None:
        """Idempotent; the next statement opens a connection again."""
        with self._guard:
            idle, self._idle = self._idle, []
        for session in idle:
            session.close()

    # ---------------------------------------------------------------- inside

    def _columns(self, table: str) -> list[tuple[Any, ...]]:
        with self._session() as session:
            return session.fetch(_COLUMNS, [part.upper() for part in table.split(".")])

    @contextmanager
    def _all_or_nothing(self, write: SnowflakeSession, transaction: SnowflakeTransaction) -> Iterator[None]:
        from snowflake.connector.errors import DatabaseError, ProgrammingError

        started = time.monotonic()
        try:
            write.wait_for_locks(self.lock_seconds)
            transaction.begin()
        except ProgrammingError as error:
            with suppress(DatabaseError):
                write.execute("rollback")
            if error.errno == _LOCK_TIMED_OUT:
                raise WriterLockTimeoutError(
                    f"another writer has held {STATE} for {time.monotonic() - started:.0f} s. See which with `show "
                    "locks in account`; its query tag names the Dagster run."
                ) from error
            raise
        try:
            yield
        except BaseException:
            write.execute("rollback")
            raise
        write.execute("commit")

    @contextmanager
    def _session(self, transaction: str | None = None) -> Iterator[SnowflakeSession]:
        from snowflake.connector.errors import DatabaseError, ProgrammingError

        with self._guard:
            session = self._idle.pop() if self._idle else None
        if session is None:
            session = SnowflakeSession(self._connect)
        usable = True
        try:
            session.own, session.staged = "", frozenset()
            session.tag(run_id=self._run_id(), transaction=transaction)
            self._prepare(session)
            yield session
        except ProgrammingError:
            raise
        except DatabaseError:
            usable = False  # the connection itself may be broken
            raise
        finally:
            with self._guard:
                if usable:
                    self._idle.append(session)
            if not usable:
                session.close()

    def _prepare(self, session: SnowflakeSession) -> None:
        """Schemas and the writers' row, where `crp snowflake init` has not made them."""
        from snowflake.connector.errors import ProgrammingError

        if self._ready:
            return
        found = {name for (name,) in session.fetch("select schema_name from information_schema.schemata")}
        for schema in (*SCHEMAS, STAGING):
            if schema.upper() not in found:
                session.execute(f"create schema if not exists {schema}")
        try:
            session.fetch(f"select VERSION from {STATE}")
        except ProgrammingError:
            try:
                session.execute(f"create table {STATE} as select 0::number(38, 0) as VERSION")
            except ProgrammingError as error:
                if error.errno != _EXISTS_ALREADY:
                    raise
        self._ready = True


def _name() -> str:
    return f"__{uuid4().hex[:12]}".upper()


_COLUMNS = (
    "select column_name, data_type, numeric_precision, numeric_scale from information_schema.columns "
    "where table_schema = ? and table_name = ? order by ordinal_position"
)
_STAGED = (
    "select table_name, created < dateadd(day, -1, current_timestamp) from information_schema.tables "
    "where table_schema = ?"
)
