"""A table of any warehouse as a table of a DuckDB beside it, batch by batch."""

from __future__ import annotations

from itertools import chain, islice

import duckdb
import pyarrow as pa

from credit_risk_platform.adapters.warehouse.base import Readable


def copy_table(source: Readable, table: str, connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Make table `name` in `connection` of all rows of `table`; no more than a batch of them is held at a time."""
    with source.stream(f"select * from {table}") as batches:
        first = list(islice(batches, 1))
        schema = first[0].schema if first else source.query(f"select * from {table} where false").schema
        connection.register("copied_rows", pa.RecordBatchReader.from_batches(schema, chain(first, batches)))
        connection.execute(f"create table {name} as from copied_rows")
        connection.unregister("copied_rows")
