"""DuckDB in memory, filled and emptied again and again by a process that stays.

What is deleted from a table in memory keeps its place until a checkpoint; nobody else would ever ask for one.
"""

from __future__ import annotations

import duckdb

ROWS, TIMES = 20_000, 256
"""Rows, and fillings, after which the place of the deleted ones is given back: that takes some 20 ms."""


class Sweeper:
    """Counts what went through the tables of one connection. One thread at a time."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, database: str = "memory") -> None:
        self._connection, self._database = connection, database
        self._rows = self._times = 0

    def filled(self, rows: int) -> None:
        """Once per filling, outside a transaction; prepared statements stay as they are."""
        self._rows, self._times = self._rows + rows, self._times + 1
        if self._rows >= ROWS or self._times >= TIMES:
            self._connection.execute(f"checkpoint {self._database}")
            self._rows = self._times = 0
