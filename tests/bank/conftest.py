"""One server for the folder; each test has a database and a lake of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bank_book import Bank
from tests.postgres_server import Postgres, postgres


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


@pytest.fixture
def bank(server: Postgres, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bank]:
    """A CRM without customers yet."""
    made = Bank.opened(server, tmp_path, request.node.name[:60])
    yield made
    made.warehouse.close()
