"""The warehouse seam: what a room may ask of any engine. DuckDB and Snowflake pass one contract suite.

Table names are `schema.table`. Parameters are bound (`?`), never pasted into SQL. Every write is one transaction
and replaces one key range, one key set or one batch, so running twice equals running once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa


@dataclass(frozen=True)
class Select:
    """Rows described by a query in the warehouse itself: nothing travels through Python."""

    sql: str
    params: Sequence[Any] = field(default_factory=tuple)


Rows = pa.Table | Select


@runtime_checkable
class Warehouse(Protocol):
    """Reads never wait for writers; writers wait for each other."""

    def query(self, sql: str, params: Sequence[Any] = ()) -> pa.Table:
        """Rows of a read-only query, as Arrow."""
        ...

    def stream(
        self, sql: str, params: Sequence[Any] = (), batch_rows: int = 500_000
    ) -> AbstractContextManager[Iterator[pa.RecordBatch]]:
        """The same in bounded memory, one record batch at a time."""
        ...

    def exists(self, table: str) -> bool: ...

    def columns(self, table: str) -> dict[str, str]:
        """Column name -> engine type, in table order; raises `KeyError` when there is no such table."""
        ...

    def count(self, table: str) -> int: ...

    def replace_table(self, table: str, rows: Rows) -> int:
        """Create or replace the whole table; returns its row count."""
        ...

    def replace(self, table: str, rows: Rows, where: str, params: Sequence[Any] = ()) -> int:
        """Delete the rows that match `where` and insert `rows`, in one transaction (creates the table if absent)."""
        ...

    def upsert(self, table: str, rows: Rows, keys: Sequence[str]) -> int:
        """Replace the rows that share a key with `rows`, in one transaction (creates the table if absent)."""
        ...

    def append_missing(self, table: str, rows: Rows, keys: Sequence[str]) -> int:
        """Insert only the rows whose key is not there yet: the idempotent append of a ledger. Returns how many."""
        ...

    def create_view(self, view: str, sql: str) -> None: ...

    def snapshot(self) -> str:
        """Identifier of the state a reader sees now (DuckLake snapshot id; Snowflake: a timestamp)."""
        ...
