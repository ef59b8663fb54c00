"""The warehouse as a command opens it: through the one door, of the engine that CRP_TARGET names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from credit_risk_platform.cli.home import CommandError
from credit_risk_platform.settings import Settings, Target

if TYPE_CHECKING:
    from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
    from credit_risk_platform.adapters.warehouse.snowflake import SnowflakeWarehouse


@contextmanager
def opened(settings: Settings, lacking: str = "") -> Iterator[DuckLakeWarehouse | SnowflakeWarehouse]:
    """The warehouse until the block ends.

    Raises `CommandError` where a setting of Snowflake is missing; and, for a command that finds nothing without the
    lake that a run makes, where this home has none (`lacking` names what it looks for).
    """
    from credit_risk_platform.resources import open_warehouse

    check_target(settings)
    if settings.target is Target.LOCAL and lacking and not (settings.paths.warehouse / "catalog.sqlite").exists():
        raise CommandError(f"{settings.home} has no warehouse yet, so no {lacking}. Start with: crp demo --once")
    warehouse = open_warehouse(settings)
    try:
        yield warehouse
    finally:
        warehouse.close()


def check_target(settings: Settings) -> None:
    """Raises `CommandError` where the target is Snowflake and a setting that it needs is missing; nothing is opened."""
    from credit_risk_platform.resources import SnowflakeSettingsError, check_snowflake

    if settings.target is Target.SNOWFLAKE:
        try:
            check_snowflake(settings)
        except SnowflakeSettingsError as error:
            raise CommandError(f"CRP_TARGET is snowflake: {error}. Then try: crp doctor") from error
