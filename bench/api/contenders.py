"""Our API and `mlflow models serve`: how each is started, and what the same applications look like to it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import count, islice
from pathlib import Path
from typing import Any

from bench.api.load import Target, ready
from credit_risk_platform.adapters.api_keys import ApiKeys, Role
from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.cli.probes import fetch
from credit_risk_platform.cli.processes import Servers, free_port, until_ready
from credit_risk_platform.domain.synthetic.events import Pace, applications
from credit_risk_platform.settings import Settings

CHANGING = "@@"


@dataclass(frozen=True)
class Contender:
    """Where single calls and batches go, and bodies without end for both. No application comes twice."""

    name: str
    process: int
    single: Target
    batch: Target
    singles: Iterator[bytes]
    batches: Iterator[bytes]


def copied(home: Path, work: Path) -> Path:
    """A copy of what scores in a home, so that nothing of the bench gets into its ledger."""
    given = Settings(home=home).paths
    shutil.rmtree(work, ignore_errors=True)
    for folder in (given.warehouse, given.models, given.secrets):
        if folder.exists():
            shutil.copytree(folder, work / folder.relative_to(given.home))
    with closing(sqlite3.connect(work / "warehouse" / "catalog.sqlite")) as catalog, catalog:
        place = f"{work / 'warehouse' / 'data'}/"
        catalog.execute("update ducklake_metadata set value = ? where key = 'data_path'", [place])
    return work


def cpu_seconds(process: int) -> float:
    """What a server and the processes it started have used so far."""
    import psutil

    root = psutil.Process(process)
    times = [one.cpu_times() for one in (root, *root.children(recursive=True))]
    return sum(one.user + one.system for one in times)


# ---------------------------------------------------------------- ours


def ours(settings: Settings, servers: Servers, batch_size: int) -> Contender:
    port = free_port(settings.host, 8_400)
    url = f"http://{settings.host}:{port}"
    key = ApiKeys(settings.paths.secrets).create("bench", Role.UNDERWRITER, datetime.now(UTC))
    command = ("credit_risk_platform.cli.main", "api", "--home", str(settings.home), "--port", str(port))
    server = servers.start("api", *command, url=url, CRP_API_RATE_LIMIT="1000000/second")
    until_ready(server, lambda: fetch(f"{url}/readyz") is not None)
    drawn = islice(applications(71, date.today(), Pace(datetime.now())), 2_000)  # noqa: DTZ005, DTZ011
    bodies = [_template(json.loads(event.value or b"")["data"]) for event in drawn]
    numbers = count()
    headers = (f"Authorization: Bearer {key}",)
    return Contender(
        "crp api",
        server.process.pid,
        Target(settings.host, port, "/api/v1/predict", headers),
        Target(settings.host, port, "/api/v1/predict/batch", headers),
        _fresh(bodies, numbers),
        _batches(_fresh(bodies, numbers), batch_size),
    )


def _template(application: dict[str, Any]) -> list[bytes]:
    """The body in three pieces, between which the ids go."""
    application = application | {"id": CHANGING, "customer_id": CHANGING}
    return json.dumps(application, separators=(",", ":")).encode().split(CHANGING.encode())


def _fresh(bodies: list[list[bytes]], numbers: Iterator[int]) -> Iterator[bytes]:
    while True:
        for pieces in bodies:
            yield f"B{next(numbers):09d}".encode().join(pieces)


def _batches(singles: Iterator[bytes], size: int) -> Iterator[bytes]:
    while True:
        yield b'{"customers":[' + b",".join(islice(singles, size)) + b"]}"


# ---------------------------------------------------------------- the peer


def mlflow_serve(settings: Settings, servers: Servers, batch_size: int) -> Contender:
    """The same model behind `mlflow models serve`, one worker. Its callers send features that are ready.

    So it is spared checking fields, tokens, feature SQL, policy, reasons and the record of what was scored.
    """
    import mlflow

    store = BundleStore(settings.paths.models)
    pointer = store.pointer()
    assert pointer is not None
    saved = settings.home / "peer"
    mlflow.pyfunc.save_model(
        str(saved),
        python_model=str(Path(__file__).with_name("peer_model.py")),
        artifacts={"bundle": str(store.path(pointer.sha))},
        pip_requirements=[],
    )
    port = free_port(settings.host, 8_500)
    url = f"http://{settings.host}:{port}"
    serve = f"mlflow models serve -m {saved} --env-manager local -h {settings.host} -p {port} --workers 1"
    server = servers.start("peer", *serve.split(), url=url)
    until_ready(server, lambda: fetch(f"{url}/ping") is not None)
    target = Target(settings.host, port, "/invocations")
    rows = _features(settings, store, batch_size)
    return Contender(
        "mlflow models serve",
        server.process.pid,
        target,
        target,
        ready([_split(rows, [row]) for row in rows["data"][:500]]),
        ready([_split(rows, rows["data"])]),
    )


def _features(settings: Settings, store: BundleStore, batch_size: int) -> dict[str, Any]:
    bundle = store.champion()
    assert bundle is not None
    names = [one.name for one in bundle.features]
    with closing(DuckLakeWarehouse(settings.paths.warehouse)) as warehouse:
        sql = f"select {', '.join(names)} from gold.application_features order by loan_id limit {batch_size}"
        columns = warehouse.query(sql).to_pydict()
    return {"columns": names, "data": list(map(list, zip(*columns.values(), strict=True)))}


def _split(rows: dict[str, Any], data: list[list[Any]]) -> bytes:
    return json.dumps({"dataframe_split": {"columns": rows["columns"], "data": data}}).encode()
