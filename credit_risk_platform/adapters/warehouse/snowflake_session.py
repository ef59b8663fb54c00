"""One Snowflake session: a statement in DuckDB's SQL goes in, Arrow as the DuckDB engine would give it comes out.

Belongs here: running statements, loading Arrow and Parquet, and the types of results. What a replace or an upsert is
stands in `snowflake_writer.py`, how statements are translated in `snowflake_dialect.py`. How one signs in is the
business of whoever hands a `Connect` down; no credential ever comes here.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from credit_risk_platform.adapters.warehouse import snowflake_types as types
from credit_risk_platform.adapters.warehouse.snowflake_dialect import translate
from credit_risk_platform.adapters.warehouse.snowflake_tree import TRANSACTION

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection
    from snowflake.connector.cursor import SnowflakeCursor

    Connect = Callable[[], AbstractContextManager[SnowflakeConnection]]

_COPY = "file_format = (type = parquet use_logical_type = true) match_by_column_name = case_insensitive"


class SnowflakeSession:
    """Statements on one connection. Not to be shared between threads."""

    def __init__(self, connect: Connect) -> None:
        self._open = ExitStack()
        self._connection = self._open.enter_context(connect())
        self._tag = ""
        self._patience = 0
        self.own = ""
        self.staged: frozenset[str] = frozenset()

    def close(self) -> None:
        self._open.close()

    def tag(self, **told: str | None) -> None:
        """What the query history, and so the bill, says of the statements that follow: run id, transaction."""
        text = json.dumps({name: value for name, value in told.items() if value is not None})
        if text != self._tag:
            self.execute(f"alter session set query_tag = {quoted(text)}")
            self._tag = text

    def wait_for_locks(self, seconds: float) -> None:
        """How long a statement waits for another writer, in whole seconds, one at least."""
        patience = max(1, round(seconds))
        if patience != self._patience:
            self.execute(f"alter session set lock_timeout = {patience}")
            self._patience = patience

    # ---------------------------------------------------------------- DuckDB's SQL

    def query(self, sql: str, params: Sequence[Any] = ()) -> pa.Table:
        """Rows of a query in DuckDB's dialect."""
        return self._rows(*self.translated(sql, params))

    def stream(self, sql: str, params: Sequence[Any], batch_rows: int) -> Iterator[pa.RecordBatch]:
        """The same rows, fetched as they are asked for."""
        with closing(self._executed(*self.translated(sql, params))) as cursor:
            described = types.described(cursor)
            for rows in cursor.fetch_arrow_batches():
                yield from types.as_duckdb(rows, described).to_batches(batch_rows)

    def insert(self, table: str, source: str, params: Sequence[Any], columns: Sequence[str] = ()) -> int:
        """Rows of `source` (DuckDB's dialect) into `table`, by position, or by name for the named columns."""
        sql, bound = self.translated(source, params)
        names = ", ".join(types.quoted(name) for name in columns)
        if columns:
            return self.execute(f"insert into {table} ({names}) select {names} from ({sql})", bound)
        return self.execute(f"insert into {table} {sql}", bound)

    def delete(self, table: str, where: str, params: Sequence[Any]) -> int:
        sql, bound = self.translated(f"delete from {table} where {where}", params)
        return self.execute(sql, bound)

    def columns(self, source: str, params: Sequence[Any] = ()) -> list[types.Column]:
        """What `source` (DuckDB's dialect) gives; nothing is read."""
        sql, bound = self.translated(f"select * from ({source}) as described limit 0", params)
        with closing(self._executed(sql, bound)) as cursor:
            return types.described(cursor)

    def create(self, kind: str, table: str, source: str, params: Sequence[Any], *, empty: bool = False) -> None:
        """A table with the columns, and unless `empty` the rows, of `source` (DuckDB's dialect)."""
        sql, bound = self.translated(f"select * from ({source}) as made limit 0" if empty else source, params)
        self.execute(f"create {kind} {table} as {sql}", bound)

    def translated(self, sql: str, params: Sequence[Any]) -> tuple[str, list[Any]]:
        """A statement and its parameters as Snowflake takes them, with this session's own tables."""
        text, bound = translate(sql, params, self.staged)
        return text.replace(TRANSACTION, self.own), bound

    # ---------------------------------------------------------------- Snowflake's SQL

    def execute(self, sql: str, params: Sequence[Any] = ()) -> int:
        """A statement in Snowflake's own words; how many rows it touched."""
        with closing(self._executed(sql, params)) as cursor:
            return int(cursor.rowcount or 0)

    def fetch(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """A few rows of a question in Snowflake's own words."""
        with closing(self._executed(sql, params)) as cursor:
            return [tuple(row) for row in cursor.fetchall()]

    def load(self, kind: str, table: str, rows: pa.Table) -> int:
        """A new table of `rows`."""
        with tempfile.TemporaryDirectory(prefix="crp-snowflake-") as folder:
            file = Path(folder) / "rows.parquet"
            pq.write_table(types.for_parquet(rows), file, compression="zstd")
            self._load(kind, table, rows.schema, [file])
        return rows.num_rows

    def load_files(self, kind: str, table: str, files: Sequence[Path]) -> int:
        """A new table of Parquet files, which may differ in their columns; how many rows it has."""
        schema = pa.unify_schemas([pq.read_schema(file) for file in files], promote_options="permissive")
        rows = sum(pq.read_metadata(file).num_rows for file in files)
        with tempfile.TemporaryDirectory(prefix="crp-snowflake-") as folder:
            if any(pa.types.is_nested(field.type) for field in schema):
                files = [types.with_json(file, Path(folder) / f"{n}.parquet") for n, file in enumerate(files)]
            self._load(kind, table, schema, files)
        return rows

    def _load(self, kind: str, table: str, schema: pa.Schema, files: Sequence[Path]) -> None:
        """Parquet, PUT to the table's own stage, COPY by column name. Nested values stand in the files as JSON text."""
        nested = [field.name for field in schema if pa.types.is_nested(field.type)]
        target = f"{table}_RAW" if nested else table
        listed = ", ".join(f"{types.quoted(field.name)} {types.of_arrow(field.type, raw=True)}" for field in schema)
        self.execute(f"create {kind} {target} ({listed})")
        place, _, name = target.rpartition(".")
        stage = f"@{place}.%{name}"
        for file in files:
            self.execute(f"put {quoted(file.absolute().as_uri())} {stage} auto_compress = false")
        self.execute(f"copy into {target} from {stage} {_COPY}")
        if nested:
            parsed = ", ".join(
                f"parse_json({types.quoted(name)}) as {types.quoted(name)}" if name in nested else types.quoted(name)
                for name in schema.names
            )
            self.execute(f"create {kind} {table} as select {parsed} from {target}")
            self.execute(f"drop table {target}")

    # ---------------------------------------------------------------- inside

    def _rows(self, sql: str, params: Sequence[Any]) -> pa.Table:
        with closing(self._executed(sql, params)) as cursor:
            described = types.described(cursor)
            return types.as_duckdb(cursor.fetch_arrow_all(force_return_table=True), described)

    def _executed(self, sql: str, params: Sequence[Any]) -> SnowflakeCursor:
        cursor = self._connection.cursor()
        try:
            cursor.execute(sql, tuple(params))
        except BaseException:
            cursor.close()
            raise
        return cursor


def quoted(text: str) -> str:
    """A text literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
