"""A dbt-duckdb plugin: every dbt transaction holds the lake's writer lock, and only for that transaction.

One lock around a whole build would starve the stream writers for minutes; no lock loses commits (see `lock.py`).
profiles.yml: `plugins: [{module: <this module>, config: {lock: <warehouse folder>/writer.lock}}]`.
dbt-duckdb offers no hook around a statement, so the plugin puts its own connection class in the place of dbt's.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.environments import local
from dbt.adapters.duckdb.plugins import BasePlugin

from credit_risk_platform.adapters.warehouse.lock import WriterLock

_PlainConnection = local.DuckDBConnectionWrapper
_PlainCursor = local.DuckDBCursorWrapper

_FIRST_WORD = re.compile(r"(?:\s|/\*.*?\*/|--[^\n]*(?:\n|$))*([a-z]*)", re.DOTALL | re.IGNORECASE)
# "with" is missing on purpose: it may begin an insert, and a needless lock costs nothing.
_READS = frozenset({"select", "from", "values", "show", "describe", "summarize", "explain", "pragma"})
_SESSION = frozenset({"", "set", "reset", "use", "load"})
_ENDS = frozenset({"commit", "rollback", "abort", "end"})


class Plugin(BasePlugin):
    """Found by dbt-duckdb under this name. Config: `lock`, the file that `DuckLakeWarehouse` locks too."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        lock = WriterLock(Path(plugin_config["lock"]))

        def connection(cursor: Any, env: Any) -> LockedConnection:
            return LockedConnection(cursor, env, lock)

        # Assigned, not chained: a second initialisation in one process replaces the first.
        local.DuckDBConnectionWrapper = connection  # type: ignore[misc,assignment]


class LockedConnection(_PlainConnection):
    """dbt's connection, with the lock given back however the transaction ends."""

    def __init__(self, cursor: Any, env: Any, lock: WriterLock) -> None:
        super().__init__(cursor, env)
        self._cursor = LockedCursor(cursor, lock)

    def rollback(self) -> Any:
        try:
            return super().rollback()
        finally:
            self._cursor.unlock()

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._cursor.unlock()


class LockedCursor(_PlainCursor):
    """dbt's cursor: locks from BEGIN to COMMIT, and around a write that stands outside a transaction."""

    def __init__(self, cursor: Any, lock: WriterLock) -> None:
        super().__init__(cursor)
        self._lock = lock
        self._holding = False

    def execute(self, sql: str, bindings: Any = None) -> Any:
        verb = first_word(sql)
        if verb in _ENDS:
            try:
                return super().execute(sql, bindings)
            finally:
                self.unlock()
        if self._holding or verb in _READS or verb in _SESSION:
            return super().execute(sql, bindings)
        return self._begin(sql, bindings) if verb == "begin" else self._write(sql, bindings)

    def unlock(self) -> None:
        """Gives the lock back if this cursor holds it."""
        if self._holding:
            self._holding = False
            self._lock.release()

    def _begin(self, sql: str, bindings: Any) -> Any:
        self._lock.acquire()
        self._holding = True
        try:
            return super().execute(sql, bindings)
        except BaseException:
            self.unlock()
            raise

    def _write(self, sql: str, bindings: Any) -> Any:
        with self._lock.held():
            return super().execute(sql, bindings)


def first_word(sql: str) -> str:
    """The statement's verb in lower case, past dbt's comments; empty for a statement without one."""
    match = _FIRST_WORD.match(sql)
    return match.group(1).lower() if match else ""
