"""The warehouse of a process that may not load what opens Snowflake: its home's lake, unless it is handed another."""

from __future__ import annotations

from typing import Protocol

from credit_risk_platform.adapters.streaming.batch import NotReadyError
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.settings import Settings, Target


class OpenedWarehouse(Warehouse, Protocol):
    """What a process holds as long as it runs."""

    def merge(self, table: str) -> object: ...

    def close(self) -> None: ...


class OpenWarehouse(Protocol):
    """`resources.open_warehouse`, as whoever starts the API hands it down."""

    def __call__(self, settings: Settings, *, threads: int | None = None) -> OpenedWarehouse: ...


def own_lake(settings: Settings, *, threads: int | None = None) -> DuckLakeWarehouse:
    """The home's lake. Raises `NotReadyError` where the target is Snowflake: an empty lake must not pass for it."""
    if settings.target is Target.SNOWFLAKE:
        raise NotReadyError(
            "CRP_TARGET is snowflake, and this process opens a DuckLake only: score through `crp api`, which opens "
            "Snowflake, or set CRP_TARGET=local for a home that has a lake"
        )
    return settings.lake(threads)
