"""The warehouse seam: what a room may ask of any engine. DuckDB and Snowflake pass one contract suite.

Table names are `schema.table`. Parameters are bound (`?`), never pasted into SQL. Every write is one transaction
and replaces one key range, one key set or one batch, so running twice equals running once.

Statements are DuckDB's on every engine; Snowflake's adapter translates them, and refuses by name what it cannot say.
What differs there, because Snowflake commits at each DDL statement and reads what is committed by then:

- A table that a write makes, or a column that it adds, is there (empty, null) before the transaction ends, and stays
  when it fails. A table that `replace_table` gives other columns takes its new shape right after the commit.
- A view is made right after the commit.
- A workspace, and the queries of a transaction, see what others commit meanwhile, statement by statement.
- The number of a state moves with the writes through this seam, not with dbt's. A past state is read by its moment,
  which the process knows that was told its number; for as long as the account keeps the past of a table.
- Whole numbers come back with 64 bits, or as decimals where they do not fit; lists and structs with doubles as their
  numbers. A list with a double that JSON cannot keep (not a number, below 1e-20) is refused.
- A writer that is killed holds the writers' lock until Snowflake finds its session gone, up to five minutes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

import pyarrow as pa


@dataclass(frozen=True)
class Select:
    """Rows described by a query in the warehouse itself: nothing travels through Python."""

    sql: str
    params: Sequence[Any] = field(default_factory=tuple)


@dataclass(frozen=True)
class Batches:
    """Record batches with a query over each batch, named `incoming_rows`: what only SQL computes, on the way in."""

    rows: pa.RecordBatchReader
    sql: str = "select * from incoming_rows"
    params: Sequence[Any] = field(default_factory=tuple)


Rows: TypeAlias = "pa.Table | Select"
Staged: TypeAlias = "pa.Table | Select | Batches"


class DuplicateKeyError(ValueError):
    """One write carries the same key twice; which row should win is not ours to guess."""


class Readable(Protocol):
    """What whoever only looks can do."""

    def query(self, sql: str, params: Sequence[Any] = ()) -> pa.Table: ...

    def stream(
        self, sql: str, params: Sequence[Any] = (), batch_rows: int = 500_000
    ) -> AbstractContextManager[Iterator[pa.RecordBatch]]: ...


class Writer(Protocol):
    """Writes. A `Select` is evaluated once, before anything is deleted, so it may read the table it changes."""

    def query(self, sql: str, params: Sequence[Any] = ()) -> pa.Table:
        """Rows of a read-only query, as Arrow. Within a transaction it sees what that transaction wrote."""
        ...

    def replace_table(self, table: str, rows: Rows) -> int:
        """Create or replace the whole table; returns its row count."""
        ...

    def replace(self, table: str, rows: Rows, where: str, params: Sequence[Any] = ()) -> int:
        """Delete the rows that match `where` and insert `rows`, in one transaction.

        Creates the table if absent, and adds to it, as null in older rows, the columns of `rows` that it lacks.
        """
        ...

    def upsert(self, table: str, rows: Rows, keys: Sequence[str]) -> int:
        """Replace the rows that share a key with `rows`, in one transaction (creates the table if absent)."""
        ...

    def append_missing(self, table: str, rows: Rows, keys: Sequence[str]) -> int:
        """Insert only the rows whose key is not there yet: the idempotent append of a ledger. Returns how many."""
        ...

    def create_view(self, view: str, sql: str) -> None: ...


class Workspace(Protocol):
    """Temporary tables of one caller, with the lake in sight; gone at the end. Never waits for a writer."""

    def stage(self, name: str, rows: Staged) -> int:
        """Keep `rows` as temporary table `name`; returns the row count."""
        ...

    def query(self, sql: str, params: Sequence[Any] = ()) -> pa.Table: ...


class Transaction(Workspace, Writer, Protocol):
    """Several writes that become visible together or not at all."""

    @property
    def before(self) -> str:
        """Identifier of the state it writes upon; no other writer changes that while it lasts. Ask before you write."""
        ...

    @property
    def after(self) -> str | None:
        """Identifier of the state its commit made; `None` until then, and where nobody asked for `before`, or nothing
        was appended.

        While a later transaction's `before` equals it, nobody has written in between: what this one knew is true still.
        """
        ...

    def append(self, table: str, rows: Rows) -> int:
        """Insert `rows` as they are: for a caller that has made sure, in this transaction, that they are new.

        Creates and adds what is lacking, as `replace` does.
        """
        ...


@runtime_checkable
class Warehouse(Writer, Protocol):
    """Reads never wait for writers; writers wait for each other."""

    def stream(
        self, sql: str, params: Sequence[Any] = (), batch_rows: int = 500_000
    ) -> AbstractContextManager[Iterator[pa.RecordBatch]]:
        """A query in bounded memory, one record batch at a time."""
        ...

    def exists(self, table: str) -> bool: ...

    def columns(self, table: str) -> dict[str, str]:
        """Column name -> type in DuckDB's words, in table order; raises `KeyError` when there is no such table.

        An engine that has one type for whole numbers calls them BIGINT, and nested values JSON.
        """
        ...

    def count(self, table: str) -> int: ...

    def workspace(self) -> AbstractContextManager[Workspace]:
        """A place to stage and compare: reads only, no lock."""
        ...

    def transaction(self, staged: Mapping[str, Staged] | None = None) -> AbstractContextManager[Transaction]:
        """Group writes into one transaction.

        `staged` becomes temporary tables of those names, in that order, *before* the writer lock is taken, so a slow
        producer (a model scoring a portfolio) keeps no other writer waiting. A `Select` may read those before it.
        """
        ...

    def snapshot(self) -> str:
        """Identifier of the state a reader sees now: a number that grows."""
        ...

    def at(self, table: str, snapshot: str) -> str:
        """SQL for the rows of `table`, as FROM takes it, as they stood in a state that `snapshot()` told of."""
        ...
