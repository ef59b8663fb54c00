"""`crp demo` without `--once`, and `crp dev`: the servers of a home, on loopback."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import yaml

from credit_risk_platform.cli.home import CommandError
from credit_risk_platform.cli.probes import announced, fetch, listens, location_loaded
from credit_risk_platform.cli.processes import Server, Servers, free_port, until_ready
from credit_risk_platform.settings import PROJECT_ROOT, Settings

if TYPE_CHECKING:
    from rich.console import Console

LOCATION = "platform"
MODULE = "credit_risk_platform.definitions"
CODE_SERVER_PORT = 4266


def reserve_ports(settings: Settings, console: Console) -> Settings:
    """The same settings with ports that are free now. Chosen before a run, whose metadata links to MLflow's address."""
    ports = {name: free_port(settings.host, getattr(settings, name)) for name in ("dagster_port", "mlflow_port")}
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
    """Start Dagster and MLflow, print where they are, stay until Ctrl-C."""
    with Servers(settings) as servers:
        console.print("Starting Dagster and MLflow ...")
        mlflow = _start_mlflow(settings, servers)
        start_dagster(settings, servers)
        until_ready(mlflow, lambda: fetch(f"{mlflow.url}/health") is not None)
        for name, url in servers.announce().items():
            console.print(f"  {name:<8} {url}", soft_wrap=True)
        console.print("Schedules and sensors are running. Ctrl-C stops everything.")
        servers.wait()


def develop(settings: Settings) -> int:
    """`dagster dev` on this home, in the foreground; returns its exit code."""
    address = f"-h {settings.host} -p {settings.dagster_port}".split()
    command = [sys.executable, "-m", "dagster", "dev", "-m", MODULE, *address]
    return subprocess.run(command, env=settings.environment(), cwd=PROJECT_ROOT, check=False).returncode


def _start_mlflow(settings: Settings, servers: Servers) -> Server:
    from credit_risk_platform.adapters.registry import ModelRegistry

    url = f"http://{settings.host}:{settings.mlflow_port}"
    return servers.start(
        "mlflow",
        *f"mlflow server --host {settings.host} --port {settings.mlflow_port} --workers 1".split(),
        *("--backend-store-uri", ModelRegistry(settings.paths.mlflow, url).tracking_uri),
        url=url,
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",  # its job runner costs 1.1 GB, and we run nothing there
    )


def start_dagster(settings: Settings, servers: Servers, *, automate: bool = True) -> str:
    """Code server, web server and (to `automate`) the daemon; returns the URL once the graph is loaded.

    One code server for both: each would otherwise load the graph for itself.
    """
    host, port = settings.host, free_port(settings.host, CODE_SERVER_PORT)
    code = servers.start("code", *f"dagster code-server start -m {MODULE} -h {host} -p {port}".split())
    until_ready(code, lambda: listens(host, port))
    workspace = settings.paths.dagster / "workspace.yaml"
    location = {"host": host, "port": port, "location_name": LOCATION}
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": location}]}))
    url = f"http://{host}:{settings.dagster_port}"
    address = f"-h {host} -p {settings.dagster_port}".split()
    web = servers.start("dagster", "dagster_webserver", *address, "-w", str(workspace), url=url)
    until_ready(web, lambda: location_loaded(url, LOCATION))
    if automate:
        servers.start("daemon", "dagster._daemon", "run", "-w", str(workspace))
    return url
