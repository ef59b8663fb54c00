"""From bronze rows to features, online, by the compiled SQL of the dbt models themselves.

`intake_script` is cut from the manifest when a model is trained and travels in its bundle; `OnlineFeatures` runs it on
a handful of rows in an in-memory DuckDB whose catalog and schemas bear the warehouse's names.
"""

from __future__ import annotations

import queue
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import duckdb
import pyarrow as pa

from credit_risk_platform.adapters.feature_sql import MACRO, FeatureSqlError
from credit_risk_platform.adapters.sweeping import Sweeper
from credit_risk_platform.domain.contracts.bank_history import BANK_COLUMNS, BANK_TRANSACTIONS
from credit_risk_platform.domain.contracts.column import Column
from credit_risk_platform.domain.contracts.feed_columns import REPAYMENT_COLUMNS
from credit_risk_platform.domain.contracts.loan_columns import LOAN_COLUMNS

BANK_TABLE = BANK_TRANSACTIONS.split(".")[1]
_BRONZE = re.compile(r'"?lake"?\."?bronze"?\."?(\w+)"?')


def intake_script(manifest: Mapping[str, Any], *models: str) -> str:
    """Statements that make `models` and every model they are made of as views, in order, from bronze.

    What a model only names to keep the graph's edges (the books that are not the portfolio) stays out. Raises
    `FeatureSqlError` when the manifest has no such compiled model.
    """
    views = [
        f"create or replace view lake.{node['schema']}.{node['name']} as\n{node['compiled_code'].strip()}"
        for node in _in_order(manifest, models)
    ]
    return ";\n\n".join(views)


def _in_order(manifest: Mapping[str, Any], models: Sequence[str]) -> list[Mapping[str, Any]]:
    nodes = {node["name"]: node for node in manifest["nodes"].values() if node["resource_type"] == "model"}
    for model in models:
        if not nodes.get(model, {}).get("compiled_code"):
            raise FeatureSqlError(f"the manifest holds no compiled model {model}; compile it with `dbt compile`")
    found: dict[str, Mapping[str, Any]] = {}

    def visit(name: str) -> None:
        node = nodes[name]
        for parent in node["depends_on"]["nodes"]:
            other = manifest["nodes"].get(parent)
            if other is not None and re.search(rf'\b{other["schema"]}"?\."?{other["name"]}\b', node["compiled_code"]):
                visit(other["name"])
        found.setdefault(name, node)

    for model in models:
        visit(model)
    return list(found.values())


class OnlineFeatures:
    """Runs a bundle's `intake_sql` and `feature_sql` on bronze rows. Safe to share between threads.

    `wanted` names the columns `compute` gives; all when left out. As many threads as there are `engines` compute at a
    time; the others wait.
    """

    def __init__(self, intake_sql: str, feature_sql: str, wanted: Sequence[str] = (), engines: int = 1) -> None:
        if not intake_sql:
            raise FeatureSqlError(
                "the bundle carries no intake SQL, so it cannot score messages: it was trained before streaming came. "
                "Materialise models/champion (or models/behaviour_champion) again."
            )
        self.sources = frozenset(_BRONZE.findall(intake_sql))
        """Bronze tables the script reads."""
        self.engines = engines
        chosen = f"select {', '.join(wanted)} from ({feature_sql})" if wanted else feature_sql
        self._free: queue.SimpleQueue[_Engine] = queue.SimpleQueue()
        for _ in range(engines):
            self._free.put(_Engine(intake_sql, chosen, self.sources))

    @property
    def reads_bank_history(self) -> bool:
        """Whether `compute` needs the customers' bank transactions (`adapters/bank_history.py`)."""
        return BANK_TABLE in self.sources

    def given(self, rows: pa.Table, bank: Callable[[pa.Table], pa.Table]) -> dict[str, pa.Table]:
        """What `compute` takes for applications: their rows under every book's name, and what `bank` finds for them."""
        tables = dict.fromkeys(self.sources, rows)
        return tables | {BANK_TABLE: bank(rows)} if self.reads_bank_history else tables

    def compute(self, bronze: Mapping[str, pa.Table], macro: pa.Table | None = None) -> pa.Table:
        """Features of the entities in `bronze` (table name -> rows; absent columns are null), in no order.

        `macro` is `silver.int_macro_published` where the features read it; an engine does not load the same object
        twice. Raises `FeatureSqlError` when a table the script reads is not given.
        """
        if missing := sorted(self.sources - set(bronze)):
            raise FeatureSqlError(f"the intake SQL reads bronze.{missing[0]}, which was not given")
        with self._engine() as engine:
            return engine.compute(bronze, macro)

    def rows_of(self, relation: str) -> pa.Table:
        """Rows of a relation the script made, for the entities of the last `compute` of the only engine."""
        if self.engines > 1:
            raise ValueError("of several engines nobody knows which computed last")
        with self._engine() as engine:
            return engine.rows_of(relation)

    @contextmanager
    def _engine(self) -> Iterator[_Engine]:
        """The engine that has rested longest."""
        engine = self._free.get()
        try:
            yield engine
        finally:
            self._free.put(engine)


class _Engine:
    """One in-memory DuckDB with the script's views. One thread at a time."""

    def __init__(self, intake_sql: str, feature_sql: str, sources: frozenset[str]) -> None:
        self.intake_sql, self.feature_sql, self.sources = intake_sql, feature_sql, sources
        self._macro: pa.Table | None = None

    def compute(self, bronze: Mapping[str, pa.Table], macro: pa.Table | None) -> pa.Table:
        if macro is not None and macro is not self._macro:
            self._connection.register("incoming", macro)
            self._connection.execute(f"create or replace table lake.{MACRO} as from incoming")
            self._macro = macro
            self._ready = False  # a plan made for the table before would be made anew at each call
        for table in sorted(self.sources):
            self._fill(table, bronze[table])
        try:
            if not self._ready:
                self._prepare()
            made = self._connection.execute(self._statement(bronze)).to_arrow_table()
        except duckdb.Error as error:
            raise FeatureSqlError(f"the feature SQL of the bundle does not run on these rows: {error}") from error
        self._sweeper.filled(sum(rows.num_rows for rows in bronze.values()))
        return made

    def rows_of(self, relation: str) -> pa.Table:
        return self._connection.execute(f"from {relation}").to_arrow_table()

    # ---------------------------------------------------------------- inside

    _ready = False

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect()
        # One thread: on a few rows more of them cost more than they do. And no statistics in the plan: a prepared one
        # outlives the rows it was made for.
        connection.execute("set timezone = 'UTC'; set threads = 1; attach ':memory:' as lake")
        connection.execute("set disabled_optimizers = 'statistics_propagation'")
        connection.execute("create schema lake.bronze; create schema lake.silver; create schema lake.gold; use lake")
        for table in sorted(self.sources):
            listed = ", ".join(f'"{column.name}" {column.type}' for column in self._read_of(table))
            connection.execute(f"create table lake.bronze.{table} ({listed})")
        return connection

    @cached_property
    def _sweeper(self) -> Sweeper:
        return Sweeper(self._connection, "lake")

    def _read_of(self, table: str) -> list[Column]:
        """The columns whose names stand in the SQL: a row of the others' nulls would cost more than the features."""
        return [column for column in _columns_of(table) if column.name in self._words]

    @cached_property
    def _words(self) -> frozenset[str]:
        return frozenset(re.findall(r"\w+", f"{self.intake_sql} {self.feature_sql}"))

    def _prepare(self) -> None:
        """Plan the features once: that takes four times as long as making them for a few rows."""
        self._connection.execute(self.intake_sql)
        self._connection.execute(f"prepare features as {self.feature_sql}")
        self._ready = True

    def _statement(self, bronze: Mapping[str, pa.Table]) -> str:
        # DuckDB 1.5.5 cannot run a kept plan whose as-of join finds one side empty: it ends in an internal error. That
        # is so for no rows at all, and in the panel of a loan alone; those are planned anew.
        rows = all(bronze[table].num_rows for table in self.sources)
        panel = any(table.endswith("_repayments") for table in self.sources)
        return "execute features" if rows and not panel else self.feature_sql

    def _fill(self, table: str, rows: pa.Table) -> None:
        known = {column.name for column in self._read_of(table)}
        kept = rows.select([name for name in rows.column_names if name in known])
        self._connection.register("incoming", kept)
        self._connection.execute(f"truncate lake.bronze.{table}")
        self._connection.execute(f"insert into lake.bronze.{table} by name from incoming")
        self._connection.unregister("incoming")


def _columns_of(table: str) -> Iterator[Column]:
    if table == BANK_TABLE:
        yield from BANK_COLUMNS
        return
    yield from REPAYMENT_COLUMNS if table.endswith("_repayments") else LOAN_COLUMNS
