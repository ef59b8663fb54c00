"""`crp demo` without `--once`, and `crp dev`: the servers of a home, on loopback."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING

import yaml

from credit_risk_platform.cli import streaming
from credit_risk_platform.cli.dashboard import HEALTH, dashboard_command
from credit_risk_platform.cli.home import CommandError
from credit_risk_platform.cli.keys import first_key
from credit_risk_platform.cli.probes import announced, fetch, listens, location_loaded
from credit_risk_platform.cli.processes import Server, Servers, free_port, until_ready
from credit_risk_platform.settings import PROJECT_ROOT, LogFormat, Settings

if TYPE_CHECKING:
    from rich.console import Console

CODE_SERVER_PORT = 4266
DOCS = "/docs"
PORTS = ("dagster_port", "mlflow_port", "api_port", "reports_port", "dashboard_port")
CODE_SERVERS = {
    "platform": "dagster code-server start -m credit_risk_platform.definitions",
    # Without the reloading proxy, which costs 100 MB, and with runs that need not import anything.
    "streaming": "credit_risk_platform.cli.code_server",
}


def reserve_ports(settings: Settings, console: Console) -> Settings:
    """The same settings with ports that are free now. Chosen before a run, whose metadata links to them."""
    ports = {name: free_port(settings.host, getattr(settings, name)) for name in PORTS}
    for name, port in ports.items():
        if port != getattr(settings, name):
            console.print(f"[yellow]Port {getattr(settings, name)} is taken, {name.split('_')[0]} will use {port}[/]")
    return settings.model_copy(update=ports)


def refuse_second(settings: Settings) -> None:
    """Two daemons on one home would run every schedule twice."""
    if running := announced(settings):
        raise CommandError(
            f"{settings.home} is already served at {running['dagster']}. Stop that one first, or choose another --home"
        )


def serve(settings: Settings, console: Console) -> None:
    """Start Kafka, Dagster and the other servers, print where they are, score events as they come, until Ctrl-C."""
    with streaming.cluster(settings, console) as kafka, Servers(settings) as servers:
        first_key(settings)  # here: a server's output goes to a file, and a key must not
        console.print("Starting Dagster, MLflow, the scoring API, the reports and the dashboard ...")
        mlflow = _start_mlflow(settings, servers)
        reports = start_reports(settings, servers)
        dashboard = start_dashboard(settings, servers)
        dagster = start_dagster(settings, servers)
        api = start_api(settings, servers)
        until_ready(mlflow, lambda: fetch(f"{mlflow.url}/health") is not None)
        until_ready(reports, lambda: fetch(f"{reports.url}/") is not None)
        until_ready(api, lambda: fetch(f"{api.url}/readyz") is not None)
        until_ready(dashboard, lambda: fetch(f"{dashboard.url}{HEALTH}") is not None)
        for name, url in servers.announce().items():
            console.print(f"  {name:<9} {url}{DOCS if name == 'api' else ''}", soft_wrap=True)
        if kafka:
            console.print(f"  {'kafka':<9} {settings.kafka_bootstrap_servers}", soft_wrap=True)
            streaming.score_by_sensor(settings, console, dagster)
        console.print("Schedules and sensors are running. Ctrl-C stops everything.")
        servers.wait()


def develop(settings: Settings) -> int:
    """`dagster dev` on this home, in the foreground; returns its exit code."""
    address = f"-h {settings.host} -p {settings.dagster_port}".split()
    command = [sys.executable, "-m", "dagster", "dev", "-w", str(PROJECT_ROOT / "workspace.yaml"), *address]
    return subprocess.run(command, env=settings.environment(), cwd=PROJECT_ROOT, check=False).returncode


def _start_mlflow(settings: Settings, servers: Servers) -> Server:
    from credit_risk_platform.adapters.registry import ModelRegistry
    from credit_risk_platform.resources import mlflow_tracking_url

    url = f"http://{settings.host}:{settings.mlflow_port}"
    registry = ModelRegistry(settings.paths.mlflow, url, tracking_url=mlflow_tracking_url(settings))
    return servers.start(
        "mlflow",
        *f"mlflow server --host {settings.host} --port {settings.mlflow_port} --workers 1".split(),
        url=url,
        MLFLOW_BACKEND_STORE_URI=registry.tracking_uri,  # not as an option: process lists show those
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",  # its job runner costs 1.1 GB, and we run nothing there
    )


def start_reports(settings: Settings, servers: Servers) -> Server:
    """The reports as they lie there, which the assets' metadata links to; there may be none yet."""
    if settings.object_store is not None:
        place = (settings.host, str(settings.reports_port))
        return servers.start("reports", "credit_risk_platform.cli.reports", *place, url=settings.reports_url)
    folder = settings.paths.reports
    folder.mkdir(parents=True, exist_ok=True)
    address = f"{settings.reports_port} --bind {settings.host}".split()
    return servers.start("reports", "http.server", *address, "--directory", str(folder), url=settings.reports_url)


def start_api(settings: Settings, servers: Servers) -> Server:
    """The scoring API; ready when `/readyz` answers."""
    address = f"--host {settings.host} --port {settings.api_port}".split()
    url = f"http://{settings.host}:{settings.api_port}"
    return servers.start("api", "credit_risk_platform.cli.main", "api", *address, "--home", str(settings.home), url=url)


def start_dashboard(settings: Settings, servers: Servers) -> Server:
    """The analysts' pages; ready when `HEALTH` answers."""
    command = dashboard_command(settings.host, settings.dashboard_port)
    return servers.start("dashboard", *command, url=settings.dashboard_url)


def start_dagster(settings: Settings, servers: Servers, *, automate: bool = True) -> str:
    """Code servers, web server and (to `automate`) the daemon; returns the URL once both locations are loaded.

    Code servers of their own: web server and daemon would otherwise each load the graphs for themselves.
    """
    workspace = settings.paths.dagster / "workspace.yaml"
    locations = _start_code_servers(settings, servers)
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": location} for location in locations]}))
    url = f"http://{settings.host}:{settings.dagster_port}"
    address = f"-h {settings.host} -p {settings.dagster_port}".split()
    form = _log_format(settings)
    web = servers.start("dagster", "dagster_webserver", *address, *form, "-w", str(workspace), url=url)
    until_ready(web, lambda: all(location_loaded(url, name) for name in CODE_SERVERS))
    if automate:
        servers.start("daemon", "dagster._daemon", "run", *form, "-w", str(workspace))
    return url


def _log_format(settings: Settings) -> list[str]:
    """Dagster's own servers never load our code, and so never our formatter: theirs."""
    return ["--log-format", "json"] if settings.log_format is LogFormat.JSON else []


def _start_code_servers(settings: Settings, servers: Servers) -> list[dict[str, str | int]]:
    """Both at once; returns where each is, as a workspace file says it."""
    started: list[tuple[Server, int]] = []
    for name, command in CODE_SERVERS.items():
        port = free_port(settings.host, started[-1][1] + 1 if started else CODE_SERVER_PORT)
        address = [*f"-h {settings.host} -p {port}".split(), *_log_format(settings)]
        # By default a server waits a minute for sensors that are looking at their topics.
        server = servers.start(f"code-{name}", *command.split(), *address, DAGSTER_GRPC_SHUTDOWN_GRACE_PERIOD="1")
        started.append((server, port))
    for server, port in started:
        until_ready(server, partial(listens, settings.host, port))
    return [
        {"host": settings.host, "port": port, "location_name": name}
        for name, (_, port) in zip(CODE_SERVERS, started, strict=True)
    ]
