"""A stand-in for Snowflake on loopback for tests: fakesnow's server, over real HTTP, through the real connector."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from credit_risk_platform.cli import stand_ins
from credit_risk_platform.cli.stand_ins import HOST
from credit_risk_platform.settings import Settings, Target

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

    from credit_risk_platform.adapters.warehouse.snowflake import SnowflakeWarehouse

PASSWORD = "a-password-that-no-log-may-show"


@dataclass(frozen=True)
class Fakesnow:
    """A running server. Databases are made when somebody signs in to them."""

    port: int

    def settings(self, home: Path, **more: object) -> Settings:
        """Settings of a deployment on this server, in a database that nobody else uses."""
        values = {
            "target": Target.SNOWFLAKE,
            "snowflake_account": "fakesnow",
            "snowflake_user": "crp_test",
            "snowflake_password": PASSWORD,
            "snowflake_database": f"CRP_{uuid4().hex[:10]}".upper(),
            "snowflake_host": HOST,
            "snowflake_port": self.port,
            "snowflake_protocol": "http",
            **more,
        }
        return Settings(home=home, **values)

    def connect(self, settings: Settings) -> AbstractContextManager[SnowflakeConnection]:
        """A connection as the platform opens it."""
        from credit_risk_platform.resources import snowflake_connect

        return snowflake_connect(settings)()

    def warehouse(self, settings: Settings, lock_seconds: float = 60.0) -> SnowflakeWarehouse:
        """The warehouse as the platform builds it, but for its patience. Whoever makes it closes it."""
        from credit_risk_platform.resources import snowflake_warehouse

        made = snowflake_warehouse(settings)
        made.lock_seconds = lock_seconds
        return made


def require_fakesnow() -> None:
    """Without fakesnow's environment the test is skipped, and in CI fails."""
    if not stand_ins.FAKESNOW.exists():
        reason = "fakesnow is missing: run .ci/fetch_fakesnow"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)


@contextmanager
def fakesnow_server(log: Path) -> Iterator[Fakesnow]:
    """A server of its own on a free port, until the block ends."""
    require_fakesnow()
    with stand_ins.snowflake(log) as port:
        yield Fakesnow(port)


@pytest.fixture(scope="session")
def fakesnow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fakesnow]:
    """One server per session; each test asks it for a database of its own (`fakesnow.settings(home)`)."""
    with fakesnow_server(tmp_path_factory.mktemp("fakesnow") / "server.log") as server:
        yield server
