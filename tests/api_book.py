"""The API on a home that can score: as a thread here (`api_server`), and as processes for what they survive."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from credit_risk_platform.adapters.api_keys import ApiKeys, Role
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.serving.schemas import EXAMPLE, FULLER_EXAMPLE
from tests.api_server import home_settings, served

PREDICT, BATCH = "/api/v1/predict", "/api/v1/predict/batch"
JSON = {"Content-Type": "application/json"}
LOAN = {**FULLER_EXAMPLE, "application_date": "2026-06-30"}


def key_of(home: Path, role: Role = Role.ADMIN) -> str:
    return ApiKeys(home_settings(home).paths.secrets).create(f"{role}-{time.monotonic_ns()}", role, datetime.now(UTC))


def serving(home: Path) -> AbstractContextManager[httpx.Client]:
    """The API of a home within this process, whether it can score or not."""
    return served(home_settings(home), Role.ADMIN, ready=False)


def api(home: Path) -> AbstractContextManager[httpx.Client]:
    """The same, ready to score."""
    return served(home_settings(home), Role.ADMIN)


@contextmanager
def processes(home: Path, port: int, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """`crp api` as its user starts it; all its processes are ended at the end."""
    command = [sys.executable, "-m", "credit_risk_platform.cli.main", "api", "--home", str(home), "--port", str(port)]
    environment = {**os.environ, "CRP_POLICY_FOLDER": str(home / "policies")}
    with (home / f"api-{port}.log").open("ab") as log:
        started = subprocess.Popen(
            [*command, *options], env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield started
        finally:
            if started.poll() is None:
                started.send_signal(signal.SIGTERM)
                try:
                    started.wait(20)
                except subprocess.TimeoutExpired:
                    os.killpg(started.pid, signal.SIGKILL)
                    started.wait()


@contextmanager
def client_of(home: Path, port: int) -> Iterator[httpx.Client]:
    """A client of such processes, once they can score."""
    with _client(home, port) as client:

        def ready() -> bool:
            try:
                return client.get("/readyz").status_code == 200
            except httpx.TransportError:
                return False

        wait_until(ready)
        yield client


def wait_until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def drained(client: httpx.Client) -> None:
    """Wait until the ledger has all that was answered."""
    wait_until(lambda: client.get("/readyz").json()["waiting_for_ledger"] == 0)


@contextmanager
def lake(home: Path) -> Iterator[DuckLakeWarehouse]:
    """The lake as another process sees it."""
    warehouse = DuckLakeWarehouse(home / "warehouse")
    try:
        yield warehouse
    finally:
        warehouse.close()


def rows(warehouse: DuckLakeWarehouse, sql: str, *params: object) -> list[dict[str, Any]]:
    return list(warehouse.query(sql, params).to_pylist())


def wish(number: int = 0, **more: Any) -> dict[str, Any]:
    """A simple application unlike any other number's."""
    return {**EXAMPLE, "customer_id": f"CUST_{number}", "annual_income": 40_000 + number, **more}


def _client(home: Path, port: int) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"X-API-Key": key_of(home)}, timeout=60)
