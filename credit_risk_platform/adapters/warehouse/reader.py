"""The lake for those who only look: a DuckLake connection that the engine itself refuses to write through.

For processes that stay open beside the writers (the dashboard). It takes no lock, makes no table and starts no lake:
where none stands yet, it says so and finds it once it is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb

from credit_risk_platform.adapters.warehouse.lake_session import CATALOG, LakeSession, attach_sql

ELSEWHERE = (
    "CRP_TARGET is snowflake, and the dashboard reads a DuckLake only. Read schema GOLD with Snowflake's own tools; or "
    "materialise gold/published_marts, a DuckDB file of all marts; or start the dashboard with CRP_TARGET=local on a "
    "home that has a lake."
)
"""Said in place of an empty lake."""


class NoLakeError(FileNotFoundError):
    """There is no lake in this home yet; the message says how one is made."""


@dataclass(frozen=True)
class LakeState:
    """A snapshot: its number, and when its writer committed it (UTC)."""

    snapshot: str
    committed_at: datetime


class LakeReader(LakeSession):
    """Queries on the live lake of `root`. Safe to share between threads; open one per process.

    Each query sees the last commit before it began. It raises `NoLakeError` where nothing was ever written,
    `duckdb.Error` where it is wrong, names a table that is not there, or would write.
    """

    def exists(self, table: str) -> bool:
        """Whether `schema.table` is there, as a table or a view."""
        return bool(self.query(_TABLE_SQL, table.split(".")).num_rows)

    def snapshot(self) -> str:
        """Identifier of the state that the next query sees."""
        return self.state().snapshot

    def state(self) -> LakeState:
        """The last commit, asked of the catalog itself in about a millisecond: fit to be asked often."""
        [found] = self.query(_STATE_SQL).to_pylist()
        return LakeState(str(found["snapshot_id"]), datetime.fromisoformat(found["snapshot_time"]).astimezone(UTC))

    def _attached(self) -> duckdb.DuckDBPyConnection:
        if not self.catalog_file.exists():
            raise NoLakeError(f"{self.root} holds no lake yet. Make one: crp demo --once --home {self.root.parent}")
        connection = self._engine()
        connection.execute(attach_sql(self.root, read_only=True, store=self.store))
        return connection


_STATE_SQL = f"""
select snapshot_id, snapshot_time from __ducklake_metadata_{CATALOG}.ducklake_snapshot order by snapshot_id desc limit 1
"""
_TABLE_SQL = (
    f"select 1 from information_schema.tables where table_catalog = '{CATALOG}' and table_schema = ? and table_name = ?"
)
