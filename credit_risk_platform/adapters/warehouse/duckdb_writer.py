"""The writes of one DuckLake transaction, on the one connection that holds it.

Belongs here: how a replace, an upsert or an append is said in DuckDB SQL. When a transaction begins and ends, and who
may write, is `duckdb.py`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa

from credit_risk_platform.adapters.warehouse.base import Batches, DuplicateKeyError, Rows, Select, Staged

_INCOMING = "incoming_rows"
_EVALUATED = "evaluated_rows"
_SLICE_ROWS = 8192
_WIDE = ("HUGEINT", "UHUGEINT")


class DuckLakeTransaction:
    """Implements `Transaction`. Handed out by `DuckLakeWarehouse.transaction`, never made by a room."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._cursor = cursor
        self._before: str | None = None
        self._after: str | None = None
        self._appended = 0
        self._staged: set[str] = set()

    @property
    def before(self) -> str:
        if self._before is None:
            self._before = str(_first(self._cursor.execute("select id from lake.current_snapshot()")))
        return self._before

    @property
    def after(self) -> str | None:
        return self._after

    def committed(self) -> None:
        """Called once the commit went through, still under the writer lock, so it made the next snapshot if it wrote.

        Where that is not sure it stays unsaid: nobody may take another one's commit for this.
        """
        if self._before is not None and self._appended:
            self._after = str(int(self._before) + 1)

    def query(self, sql: str, params: Sequence[Any] = ()) -> pa.Table:
        return self._cursor.execute(sql, list(params)).to_arrow_table()

    def stage(self, name: str, rows: Staged) -> int:
        if isinstance(rows, Select):
            made = self._cursor.execute(f"create or replace temp table {name} as {rows.sql}", list(rows.params))
            count = _first(made)
        else:
            count = self._stage_batches(name, rows if isinstance(rows, Batches) else Batches(rows.to_reader()))
        self._staged.add(name)
        return count

    def replace_table(self, table: str, rows: Rows) -> int:
        source, params = self._source(rows)
        return _first(self._cursor.execute(f"create or replace table {table} as {source}", params))

    def replace(self, table: str, rows: Rows, where: str, params: Sequence[Any] = ()) -> int:
        source, own = self._prepared(table, rows)
        self._add_new_columns(table, source, own)
        self._cursor.execute(f"delete from {table} where {where}", list(params))
        return _first(self._cursor.execute(f"insert into {table} by name {source}", own))

    def upsert(self, table: str, rows: Rows, keys: Sequence[str]) -> int:
        source, own = self._prepared(table, rows, keys)
        same = _same_key(table, keys)
        self._cursor.execute(f"delete from {table} where exists (select 1 from ({source}) as new where {same})", own)
        return _first(self._cursor.execute(f"insert into {table} by name {source}", own))

    def append(self, table: str, rows: Rows) -> int:
        rows = self._settled(table, rows)
        if isinstance(rows, Select):
            source, own = rows.sql, list(rows.params)
        else:
            source, own = self._source(rows)
        try:
            count = _first(self._cursor.execute(f"insert into {table} by name {source}", own))
        except (duckdb.CatalogException, duckdb.BinderException):
            # No such table, or no such column in it: looked into only now, as it would cost a small batch its time.
            source, own = self._prepared(table, rows)
            self._add_new_columns(table, source, own)
            count = _first(self._cursor.execute(f"insert into {table} by name {source}", own))
        self._appended += count
        return count

    def append_missing(self, table: str, rows: Rows, keys: Sequence[str]) -> int:
        source, own = self._prepared(table, rows, keys)
        absent = f"not exists (select 1 from {table} where {_same_key(table, keys)})"
        insert = f"insert into {table} by name select * from ({source}) as new where {absent}"
        return _first(self._cursor.execute(insert, own))

    def create_view(self, view: str, sql: str) -> None:
        self._cursor.execute(f"create or replace view {view} as {sql}")

    # ---------------------------------------------------------------- inside

    def _stage_batches(self, name: str, batches: Batches) -> int:
        # Batch by batch: memory is bounded by the batch, and by DuckDB's own spilling.
        # The first rows make the table: within a transaction DuckDB 1.5.5 loses a large insert into one made empty.
        params = list(batches.params)
        filled = (batch for batch in batches.rows if batch.num_rows)
        first = next(filled, None)
        self._register(batches.rows.schema.empty_table() if first is None else _sliced(first))
        count = _first(self._cursor.execute(f"create or replace temp table {name} as {batches.sql}", params))
        for batch in filled:
            self._register(_sliced(batch))
            count += _first(self._cursor.execute(f"insert into {name} {batches.sql}", params))
        self._cursor.unregister(_INCOMING)
        return count

    def _register(self, rows: pa.Table) -> None:
        self._cursor.register(_INCOMING, rows)

    def _prepared(self, table: str, rows: Rows, keys: Sequence[str] = ()) -> tuple[str, list[Any]]:
        """A query over rows that no delete can change any more; makes `table` if it is absent."""
        source, params = self._source(self._settled(table, rows))
        self._cursor.execute(f"create table if not exists {table} as select * from ({source}) limit 0", params)
        if keys:
            self._refuse_duplicates(table, source, params, keys)
        return source, params

    def _settled(self, table: str, rows: Rows) -> Rows:
        """`rows`, or a copy of them where a write to `table` might change what they are."""
        if isinstance(rows, Select) and self._may_change(rows.sql, table):
            self.stage(_EVALUATED, rows)
            return Select(f"select * from {_EVALUATED}")
        return rows

    def _add_new_columns(self, table: str, source: str, params: list[Any]) -> None:
        """A table of an older version of the platform grows the columns it lacks; its rows hold null there."""
        present = {str(name).lower() for name, *_ in self._cursor.execute(f"describe {table}").fetchall()}
        for name, engine_type, *_ in self._cursor.execute(f"describe {source}", params).fetchall():
            if name.lower() not in present:
                self._cursor.execute(f'alter table {table} add column "{name}" {engine_type}')

    def _may_change(self, sql: str, table: str) -> bool:
        # What stands in staged tables stays as it is; copying it again would cost a large batch its time and memory.
        staged = any(re.search(rf"(?<![\w.]){re.escape(name)}\b", sql) for name in self._staged)
        return not staged or table in sql

    def _source(self, rows: Rows) -> tuple[str, list[Any]]:
        """The query that gives `rows`, with integers wider than 64 bits as decimals: DuckLake keeps them as DOUBLE."""
        if isinstance(rows, Select):
            sql, params = rows.sql, list(rows.params)
        else:
            self._register(rows)
            return f"select * from {_INCOMING}", []  # Arrow knows no such integers
        described = self._cursor.execute(f"describe {sql}", params).fetchall()
        wide = [name for name, engine_type, *_ in described if engine_type in _WIDE]
        if not wide:
            return sql, params
        exact = ", ".join(f'"{name}"::decimal(38, 0) as "{name}"' for name in wide)
        return f"select * replace ({exact}) from ({sql})", params

    def _refuse_duplicates(self, table: str, source: str, params: list[Any], keys: Sequence[str]) -> None:
        listed = ", ".join(keys)
        twice = self._cursor.execute(
            f"select {listed}, count(*) from ({source}) group by {listed} having count(*) > 1 order by all limit 1",
            params,
        ).fetchone()
        if twice is not None:
            key = ", ".join(f"{name}={value!r}" for name, value in zip(keys, twice, strict=False))
            raise DuplicateKeyError(f"{table}: {twice[-1]} incoming rows share the key {key}; nothing was written")


def _sliced(batch: pa.RecordBatch) -> pa.Table:
    """In small slices (nothing is copied): DuckDB shares a scan between threads by the slice."""
    return pa.Table.from_batches(pa.Table.from_batches([batch]).to_batches(_SLICE_ROWS))


def _same_key(table: str, keys: Sequence[str]) -> str:
    # `is not distinct from`: a null key equals itself, or a row without a key would be appended on every run.
    return " and ".join(f"{table}.{key} is not distinct from new.{key}" for key in keys)


def _first(result: duckdb.DuckDBPyConnection) -> int:
    row = result.fetchone()
    return int(row[0]) if row else 0
