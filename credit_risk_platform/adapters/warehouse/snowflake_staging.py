"""Tables of one caller in Snowflake's schema `scratch`, gone at its end.

Statements name them as rooms do (`scored`); the translation adds what sets one caller's apart from another's.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

import pyarrow as pa

from credit_risk_platform.adapters.warehouse.base import Batches, Select, Staged
from credit_risk_platform.adapters.warehouse.snowflake_batches import Equip, from_files, reads_files, through_query
from credit_risk_platform.adapters.warehouse.snowflake_queries import own_name
from credit_risk_platform.adapters.warehouse.snowflake_session import SnowflakeSession
from credit_risk_platform.adapters.warehouse.snowflake_tree import TRANSACTION


class SnowflakeStaging:
    """Tables of one caller. Implements `Workspace`."""

    def __init__(self, define: SnowflakeSession, own: str, equip: Equip, kind: str = "temporary table") -> None:
        self._equip = equip
        self._define = define
        self._write = define
        self._kind = kind
        self._made: list[str] = []
        self._numbers = count(1)
        define.own, define.staged = own, frozenset()

    def query(self, sql: str, params: Sequence[Any] = ()) -> pa.Table:
        return self._write.query(sql, params)

    def stage(self, name: str, rows: Staged) -> int:
        if isinstance(rows, Select) and reads_files(rows):
            rows = from_files(rows, self._made, lambda staged: self.query(f"select * from {staged}"), self._equip)
        self._forget(name)
        if isinstance(rows, Select):
            made = self._staged_select(name, rows)
        elif isinstance(rows, Batches):
            made = self._define.load(self._kind, self._own(name), through_query(rows))
        else:
            made = self._define.load(self._kind, self._own(name), rows)
        self._remember(name)
        return made

    def dropped(self) -> None:
        """Called at the end, however it was."""
        for name in list(self._made):
            self._forget(name)

    def _staged_select(self, name: str, rows: Select) -> int:
        self._define.create(self._kind, self._own(name), rows.sql, rows.params)
        return self._count(self._own(name))

    def _count(self, own: str) -> int:
        return int(self._write.fetch(f"select count(*) from {own}")[0][0])

    def _own(self, name: str) -> str:
        return own_name(name).replace(TRANSACTION, self._define.own)

    def _remember(self, name: str) -> None:
        self._made.append(name)
        self._define.staged |= {name.lower()}
        self._write.staged = self._define.staged

    def _forget(self, name: str) -> None:
        if name in self._made:
            self._define.execute(f"drop table if exists {self._own(name)}")
            self._made.remove(name)
            self._define.staged -= {name.lower()}
            self._write.staged = self._define.staged
