"""Who answers on this machine, and is it ours? A taken port may be answered by another home's Dagster."""

from __future__ import annotations

import json
import os
import socket
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from credit_risk_platform.cli.dashboard import HEALTH
from credit_risk_platform.cli.home import CommandError
from credit_risk_platform.settings import Settings

LOCATIONS = """{
  workspaceOrError { ...on Workspace { locationEntries {
    name locationOrLoadError { __typename ...on PythonError { message } }
  } } }
}"""


@dataclass(frozen=True)
class ServerStatus:
    """A server of this home: where it is or would be, and whether it answers and is ours."""

    url: str
    up: bool


def address_book(settings: Settings) -> Path:
    """Written by `servers.py`: which servers run for this home, where, under which process id."""
    return settings.paths.home / "servers.json"


def probe(settings: Settings) -> dict[str, ServerStatus]:
    """Each server of this home. Another home's server on our port is not ours and counts as down."""
    running = announced(settings)
    dagster = running.get("dagster", f"http://{settings.host}:{settings.dagster_port}")
    mlflow = running.get("mlflow", f"http://{settings.host}:{settings.mlflow_port}")
    api = running.get("api", f"http://{settings.host}:{settings.api_port}")
    reports = running.get("reports", settings.reports_url)
    dashboard = running.get("dashboard", settings.dashboard_url)
    servers = {
        "dagster": ServerStatus(dagster, serves_home(dagster, settings)),
        "mlflow": ServerStatus(mlflow, "mlflow" in running and fetch(f"{mlflow}/health") is not None),
        "api": ServerStatus(api, "api" in running and fetch(f"{api}/healthz") is not None),
        "reports": ServerStatus(reports, "reports" in running and fetch(f"{reports}/") is not None),
        "dashboard": ServerStatus(dashboard, "dashboard" in running and fetch(f"{dashboard}{HEALTH}") is not None),
    }
    kafka = kafka_server(settings)
    return {**servers, "kafka": kafka} if kafka.up else servers  # who streams nothing need not read that it is down


def kafka_server(settings: Settings) -> ServerStatus:
    """The cluster that is set, whoever runs it: does one of its addresses accept connections?"""
    from credit_risk_platform.adapters.kafka_ports import listens

    return ServerStatus(settings.kafka_bootstrap_servers, listens(settings.kafka_bootstrap_servers))


def announced(settings: Settings) -> dict[str, str]:
    """Name -> URL of the servers that `crp` started for this home and that are still alive."""
    file = address_book(settings)
    book: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file.is_file() else {}
    return {name: entry["url"] for name, entry in book.items() if _alive(entry["pid"])}


def serves_home(url: str, settings: Settings) -> bool:
    """Is this web server ours: does it work on our DAGSTER_HOME?"""
    reply = graphql(url, "{instance{info}}")
    return reply is not None and str(settings.paths.dagster) in str(reply["instance"]["info"])


def location_loaded(url: str, name: str) -> bool:
    """Has the web server loaded the code location? Raises `CommandError` when loading failed."""
    reply = graphql(url, LOCATIONS)
    for entry in reply["workspaceOrError"]["locationEntries"] if reply else ():
        if entry["name"] == name and entry["locationOrLoadError"] is not None:
            if entry["locationOrLoadError"]["__typename"] == "PythonError":
                raise CommandError(f"code location {name} does not load: {entry['locationOrLoadError']['message']}")
            return True
    return False


def graphql(url: str, query: str) -> Any:
    """`data` of the reply, or None when nobody answers."""
    body = fetch(f"{url}/graphql", json.dumps({"query": query}).encode())
    return json.loads(body)["data"] if body else None


def listens(host: str, port: int) -> bool:
    """Does anything accept connections there?"""
    with socket.socket() as caller:
        caller.settimeout(1)
        return caller.connect_ex((host, port)) == 0


def fetch(url: str, body: bytes | None = None) -> bytes | None:
    """What a local server answers, or None when it does not answer, or not with success."""
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})  # noqa: S310  loopback
    try:
        with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310  loopback http
            content: bytes = response.read()
            return content
    except (OSError, urllib.error.URLError, ValueError):
        return None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # alive, and someone else's
        return True
    return True
