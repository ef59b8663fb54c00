"""The writes of one Snowflake transaction.

Belongs here: how a replace, an upsert or an append is said in Snowflake's SQL. When a transaction begins and ends, and
who may write, is `snowflake.py`'s business.

Snowflake commits at every DDL statement. So two sessions share a transaction: one writes, in DML only; the other one
makes what the first writes into. What is staged lies in tables of schema `scratch`, which both of them see.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from credit_risk_platform.adapters.warehouse.base import DuplicateKeyError, Rows, Select
from credit_risk_platform.adapters.warehouse.snowflake_batches import Equip, reads_files
from credit_risk_platform.adapters.warehouse.snowflake_session import SnowflakeSession
from credit_risk_platform.adapters.warehouse.snowflake_staging import SnowflakeStaging
from credit_risk_platform.adapters.warehouse.snowflake_state import STATE
from credit_risk_platform.adapters.warehouse.snowflake_types import Column, ddl, quoted

_TABLE = "select 1 from information_schema.tables where table_schema = ? and table_name = ?"
_EVALUATED = "evaluated_rows"
_INCOMING = "incoming_rows"
_LOADED = "loaded_rows"


class SnowflakeTransaction(SnowflakeStaging):
    """Implements `Transaction`. Handed out by `SnowflakeWarehouse.transaction`, never made by a room."""

    def __init__(self, write: SnowflakeSession, define: SnowflakeSession, own: str, equip: Equip) -> None:
        super().__init__(define, own, equip, "transient table")
        self._write = write
        write.own, write.staged = own, frozenset()
        self._begun = False
        self._before: str | None = None
        self._after: str | None = None
        self._appended = 0
        self._shapes: dict[str, dict[str, Column]] = {}
        self._replacing: list[str] = []
        self._views: dict[str, str] = {}

    def begin(self) -> None:
        """Takes the writers' lock: other writers wait at their first statement."""
        self._write.execute("begin")
        self._write.execute(f"update {STATE} set VERSION = VERSION + 1")
        self._begun = True

    @property
    def before(self) -> str:
        if self._before is None:
            self._before = str(int(self._write.fetch(f"select VERSION from {STATE}")[0][0]) - 1)
        return self._before

    @property
    def after(self) -> str | None:
        return self._after

    def committed(self) -> None:
        """Called once the commit went through."""
        if self._before is not None and self._appended:
            self._after = str(int(self._before) + 1)
        for table in self._replacing:
            # One statement, so nobody finds the table missing. Its rows were committed with all others.
            self._define.execute(f"create or replace table {table} copy grants as select * from {self._own(table)}")
        for view, sql in self._views.items():
            self._define.execute(f"create or replace view {view} as {sql}")

    # ---------------------------------------------------------------- writes

    def replace_table(self, table: str, rows: Rows) -> int:
        source = self._settled(table, rows)
        incoming = self._define.columns(source.sql, source.params)
        present = self._shape(table)
        if present is not None and _same_shape(present, incoming):
            self._write.execute(f"delete from {self._target(table)}")
        elif present is None:
            self._create(table, incoming)
        else:
            self._define.execute(f"create or replace {self._kind} {self._own(table)} ({ddl(incoming)})")
            self._shapes[table] = {column.name: column for column in incoming}
            self._replacing.append(table)
            self._remember(table)
        return self._insert(table, source, incoming)

    def replace(self, table: str, rows: Rows, where: str, params: Sequence[Any] = ()) -> int:
        source, columns = self._prepared(table, rows, grow=True)
        self._write.delete(table, where, params)
        return self._insert(table, source, columns)

    def upsert(self, table: str, rows: Rows, keys: Sequence[str]) -> int:
        source, columns = self._prepared(table, rows, keys)
        sql, params = self._write.translated(source.sql, source.params)
        target = self._target(table)
        same = " and ".join(f"equal_null({target}.{quoted(key)}, new.{quoted(key)})" for key in keys)
        self._write.execute(f"delete from {target} using ({sql}) as new where {same}", params)
        return self._insert(table, source, columns)

    def append(self, table: str, rows: Rows) -> int:
        count = self._insert(table, *self._prepared(table, rows, grow=True))
        self._appended += count
        return count

    def append_missing(self, table: str, rows: Rows, keys: Sequence[str]) -> int:
        source, columns = self._prepared(table, rows, keys)
        named = ", ".join(keys)
        same = " and ".join(f"old.{key} is not distinct from new.{key}" for key in keys)
        there = f"(select distinct {named}, 1 as crp_there from {table}) as old"
        absent = f"select new.* from ({source.sql}) as new left join {there} on {same} where old.crp_there is null"
        return self._insert(table, Select(absent, source.params), columns)

    def create_view(self, view: str, sql: str) -> None:
        self._views[view], _ = self._define.translated(sql, ())

    def load_parquet(self, table: str, files: Sequence[Path], where: str, params: Sequence[Any] = ()) -> int:
        """Replace the rows that match `where` with those of Parquet files, set-based: PUT, COPY, insert.

        Columns are matched by name; what a file or the table lacks is null. Returns how many rows were loaded.
        """
        name = f"{_LOADED}_{next(self._numbers)}"
        loaded = self._define.load_files(self._kind, self._own(name), files)
        self._remember(name)
        self.replace(table, Select(f"select * from {name}"), where, params)
        return loaded

    # ---------------------------------------------------------------- inside

    def _staged_select(self, name: str, rows: Select) -> int:
        if not self._begun:
            return super()._staged_select(name, rows)
        # The rows of this transaction are seen by the session that writes them only.
        self._define.create(self._kind, self._own(name), rows.sql, rows.params, empty=True)
        self._write.insert(self._own(name), rows.sql, rows.params)
        return self._count(self._own(name))

    def _insert(self, table: str, source: Select, columns: Sequence[Column]) -> int:
        names = [column.name for column in columns]
        return self._write.insert(self._target(table), source.sql, source.params, names)

    def _prepared(
        self, table: str, rows: Rows, keys: Sequence[str] = (), *, grow: bool = False
    ) -> tuple[Select, list[Column]]:
        """A query over rows that no delete can change any more, and its columns; makes `table` if it is absent."""
        source = self._settled(table, rows)
        incoming = self._define.columns(source.sql, source.params)
        present = self._shape(table)
        if present is None:
            self._create(table, incoming)
        elif grow:
            for column in incoming:
                if column.name not in present:
                    self._define.execute(f"alter table {self._target(table)} add column {ddl([column])}")
                    present[column.name] = column
        if keys:
            self._refuse_duplicates(table, source, keys)
        return source, incoming

    def _settled(self, table: str, rows: Rows) -> Select:
        """A query over rows that a write to `table` does not change."""
        if not isinstance(rows, Select):
            name = f"{_INCOMING}_{next(self._numbers)}"
        elif self._may_change(rows.sql, table):
            name = f"{_EVALUATED}_{next(self._numbers)}"
        else:
            return rows
        self.stage(name, rows)
        return Select(f"select * from {name}")

    def _may_change(self, sql: str, table: str) -> bool:
        # What stands in staged tables stays as it is.
        return not any(name in sql for name in self._made) or table in sql or reads_files(Select(sql))

    def _shape(self, table: str) -> dict[str, Column] | None:
        if table not in self._shapes:
            if not self._define.fetch(_TABLE, [part.upper() for part in table.split(".")]):
                return None
            found = self._define.columns(f"select * from {table}")
            self._shapes[table] = {column.name: column for column in found}
        return self._shapes[table]

    def _create(self, table: str, columns: Sequence[Column]) -> None:
        self._define.execute(f"create table if not exists {self._target(table)} ({ddl(columns)})")
        self._shapes[table] = {column.name: column for column in columns}

    def _target(self, table: str) -> str:
        if table in self._replacing:
            return self._own(table)
        schema, name = table.split(".")
        return f"{quoted(schema)}.{quoted(name)}"

    def _refuse_duplicates(self, table: str, source: Select, keys: Sequence[str]) -> None:
        listed = ", ".join(keys)
        twice = self._write.query(
            f"select {listed}, count(*) as n from ({source.sql}) as new group by {listed} having count(*) > 1 "
            f"order by {listed} limit 1",
            source.params,
        ).to_pylist()
        if twice:
            key = ", ".join(f"{name}={twice[0][name.lower()]!r}" for name in keys)
            raise DuplicateKeyError(f"{table}: {twice[0]['n']} incoming rows share the key {key}; nothing was written")


def _same_shape(present: dict[str, Column], incoming: Sequence[Column]) -> bool:
    return list(present.values()) == list(incoming)
