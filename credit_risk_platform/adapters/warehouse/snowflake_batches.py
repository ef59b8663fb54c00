"""Rows that are computed here, on their way into a warehouse elsewhere: record batches, and files of the lake.

They are in this process, or near it, so their query is DuckDB's here as it is in the embedded warehouse: hashes and
whatever else only SQL computes on the way in come out the same on every engine, to the last bit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from credit_risk_platform.adapters.warehouse.base import Batches, Select
from credit_risk_platform.adapters.warehouse.snowflake_rules import FILES

Equip = Callable[[duckdb.DuckDBPyConnection], None]
_READS_FILES = re.compile(rf"\b(?:{'|'.join(sorted(FILES))})\s*\(", re.IGNORECASE)


def through_query(batches: Batches) -> pa.Table:
    """What the query gives over all batches, one after the other."""
    with _engine() as engine:
        params = list(batches.params)

        def over(rows: pa.Table) -> pa.Table:
            engine.register("incoming_rows", rows)
            return engine.execute(batches.sql, params).to_arrow_table()

        done = [over(pa.Table.from_batches([batch])) for batch in batches.rows if batch.num_rows]
        return pa.concat_tables(done) if done else over(batches.rows.schema.empty_table())


def reads_files(rows: Select) -> bool:
    """Whether it reads files that only this process can reach."""
    return _READS_FILES.search(rows.sql) is not None


def from_files(rows: Select, staged: Iterable[str], fetch: Callable[[str], pa.Table], equip: Equip) -> pa.Table:
    """What a query over files of the lake gives; staged tables that it names are fetched for it."""
    with _engine() as engine:
        equip(engine)
        for name in staged:
            if re.search(rf"\b{re.escape(name)}\b", rows.sql):
                engine.register(name, fetch(name))
        return engine.execute(rows.sql, list(rows.params)).to_arrow_table()


@contextmanager
def _engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as engine:
        engine.execute("set timezone = 'UTC'")
        yield engine
