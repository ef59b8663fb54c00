"""One write alone, said by the transaction that holds it: what every engine's warehouse has in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from credit_risk_platform.adapters.warehouse.base import Rows, Staged, Transaction


class SingleWrites:
    """`Writer` for who has transactions; each call is one of its own."""

    def transaction(self, staged: Mapping[str, Staged] | None = None) -> AbstractContextManager[Transaction]:
        """As `Warehouse.transaction`; the engine's."""
        raise NotImplementedError

    def replace_table(self, table: str, rows: Rows) -> int:
        with self.transaction() as transaction:
            return transaction.replace_table(table, rows)

    def replace(self, table: str, rows: Rows, where: str, params: Sequence[Any] = ()) -> int:
        with self.transaction() as transaction:
            return transaction.replace(table, rows, where, params)

    def upsert(self, table: str, rows: Rows, keys: Sequence[str]) -> int:
        with self.transaction() as transaction:
            return transaction.upsert(table, rows, keys)

    def append_missing(self, table: str, rows: Rows, keys: Sequence[str]) -> int:
        with self.transaction() as transaction:
            return transaction.append_missing(table, rows, keys)

    def create_view(self, view: str, sql: str) -> None:
        with self.transaction() as transaction:
            transaction.create_view(view, sql)
