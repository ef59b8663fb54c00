"""The features of an application, computed online by the very SQL that builds the mart.

There is no second definition to drift away: the compiled model runs in an in-memory DuckDB whose catalog, schemas and
tables bear the warehouse's names and hold just the applications asked about. The text travels in the model bundle.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

MODEL = "application_features"
APPLICATIONS = "silver.int_applications"
MACRO = "silver.int_macro_published"
KEY = "loan_id"
CASHFLOW = "gold.cashflow_features"
"""Read too where the setting `alternative_data` is on."""


class FeatureSqlError(ValueError):
    """The feature SQL, or what it was given, is not what it must be; the message says which column or relation."""


class FeatureSql:
    """Compiled SQL of `gold.application_features`, run on a batch of any size. Safe to share between threads."""

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self.sha256 = hashlib.sha256(sql.encode()).hexdigest()
        self.relations = (APPLICATIONS, MACRO)
        self._one_at_a_time = threading.Lock()
        self._macro: pa.Table | None = None
        self._shapes: dict[str, pa.Schema] = {}

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> FeatureSql:
        """From dbt's compiled manifest. Raises `FeatureSqlError` when the model reads more than it may."""
        node: Mapping[str, Any] = next((node for node in manifest["nodes"].values() if node["name"] == MODEL), {})
        if not node.get("compiled_code"):
            raise FeatureSqlError(f"the manifest holds no compiled model {MODEL}; compile it with `dbt compile`")
        known = {**manifest["nodes"], **manifest["sources"]}
        parents = [known[parent] for parent in node["depends_on"]["nodes"]]
        read = {f"{parent['schema']}.{parent['name']}" for parent in parents}
        if extra := ", ".join(sorted(read - {APPLICATIONS, MACRO, CASHFLOW})):
            raise FeatureSqlError(
                f"{MODEL} reads {extra}, which no online caller has. Bring the column into {APPLICATIONS} instead."
            )
        return cls(node["compiled_code"])

    def compute(self, applications: pa.Table, macro: pa.Table, cashflow: pa.Table | None = None) -> pa.Table:
        """Features of `applications` (rows of int_applications), one row each, in their order.

        `macro` holds the rows of int_macro_published valid around the decision dates; pass the same object again and
        it is not loaded again. `cashflow` holds the rows of `CASHFLOW` for their customers, where the SQL reads it.
        About 10 ms for one application once warm, nearly all of it planning. Raises `FeatureSqlError` on a missing
        column, a missing relation or a repeated loan id.
        """
        if cashflow is None and also_read(self.sql):
            raise FeatureSqlError(f"the feature SQL reads {CASHFLOW}, which was not given")
        with self._one_at_a_time:
            if cashflow is not None:
                self._load(CASHFLOW, cashflow)
            if macro is not self._macro:
                self._load(MACRO, macro)
                self._macro = macro
            self._load(APPLICATIONS, applications)
            try:
                features = self._connection.execute(self.sql).to_arrow_table()
            except duckdb.BinderException as error:
                raise FeatureSqlError(f"the feature SQL asks for a column that was not given: {error}") from error
        return _in_order_of(applications[KEY], features)

    # ---------------------------------------------------------------- inside

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect()
        connection.execute("set timezone = 'UTC'")
        connection.execute("attach ':memory:' as lake")
        connection.execute("create schema lake.silver; create schema lake.gold")
        return connection

    def _load(self, relation: str, rows: pa.Table) -> None:
        self._connection.register("incoming", rows)
        if self._shapes.get(relation) == rows.schema:  # refilling is twice as quick as making the table again
            self._connection.execute(f"truncate lake.{relation}")
            self._connection.execute(f"insert into lake.{relation} from incoming")
        else:
            self._connection.execute(f"create or replace table lake.{relation} as from incoming")
            self._shapes[relation] = rows.schema
        self._connection.unregister("incoming")


def also_read(feature_sql: str) -> tuple[str, ...]:
    """Models of dbt that this feature SQL reads beside the applications and the macro figures."""
    schema, model = CASHFLOW.split(".")
    return (model,) if re.search(rf'\b{schema}"?\."?{model}\b', feature_sql) else ()


def _in_order_of(keys: pa.ChunkedArray, features: pa.Table) -> pa.Table:
    one_each = keys.null_count == 0 and len(pc.unique(keys)) == len(keys) == features.num_rows
    positions = pc.index_in(keys, features[KEY].combine_chunks())
    if not one_each or positions.null_count:
        raise FeatureSqlError(
            f"{len(keys)} applications gave {features.num_rows} feature rows: {KEY} must be unique and not null"
        )
    return features.take(positions)
