"""A real Prometheus and a real node_exporter for tests: as packaged, with the platform's own configuration."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml

from credit_risk_platform.adapters.kafka_ports import free_port
from credit_risk_platform.settings import PROJECT_ROOT

DEPLOY = PROJECT_ROOT / "deploy" / "prometheus"
FETCHED = PROJECT_ROOT / "data" / "prometheus-test"
"""Ignored by git; `.ci/fetch_prometheus` fills it."""
HOST = "127.0.0.1"
SCRAPE, PATIENCE = "500ms", 15.0


def tool(name: str) -> str:
    """Path of the program; without it the test is skipped, and in CI fails."""
    found = shutil.which(name, path=f"{FETCHED}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        reason = f"{name} is missing: run .ci/fetch_prometheus (Debian, Ubuntu), or put {name} on the PATH"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return str(found)


@dataclass(frozen=True)
class Prometheus:
    """A server that answers PromQL."""

    address: str

    def ask(self, path: str, **parameters: Any) -> Any:
        with urlopen(f"http://{self.address}/api/v1/{path}?{urlencode(parameters, doseq=True)}") as answer:
            return json.loads(answer.read())["data"]

    def numbers(self, promql: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of each series that has a number now."""
        found = [(one["metric"], float(one["value"][1])) for one in self.ask("query", query=promql)["result"]]
        return [(labels, value) for labels, value in found if math.isfinite(value)]

    def up(self) -> set[str]:
        return {labels["job"] for labels, _ in self.numbers("up == 1")}


@contextmanager
def prometheus(folder: Path, targets: Mapping[str, str]) -> Iterator[Prometheus]:
    """The platform's configuration, but for intervals and addresses: `targets` has one for each of its jobs."""
    own = f"{HOST}:{free_port(HOST)}"
    config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": SCRAPE, "evaluation_interval": "1s"}
    for job in config["scrape_configs"]:
        address = own if job["job_name"] == "prometheus" else targets[job["job_name"]]
        job["static_configs"] = [{"targets": [address]}]
    folder.mkdir(parents=True)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    shutil.copyfile(DEPLOY / "rules.yml", folder / "rules.yml")
    options = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    command = [tool("prometheus"), *options, f"--web.listen-address={own}"]
    # It tells its own metrics before it takes questions.
    with running(command, f"{own}/-/ready", folder / "prometheus.log"):
        yield Prometheus(own)


@contextmanager
def node_exporter(folder: Path, textfiles: Path) -> Iterator[str]:
    """Its address. It reads the metrics that runs of the sensor leave in `textfiles`."""
    own = f"{HOST}:{free_port(HOST)}"
    options = [f"--web.listen-address={own}", f"--collector.textfile.directory={textfiles}"]
    with running([tool("prometheus-node-exporter"), *options], f"{own}/metrics", folder / "node_exporter.log"):
        yield own


@contextmanager
def running(command: list[str], page: str, log: Path) -> Iterator[None]:
    """A server, from when it shows `page` to the end of the block."""
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as process:
        try:
            until(lambda: answers(page), lambda: log.read_text())
            yield
        finally:
            process.terminate()


def answers(page: str) -> bool:
    try:
        with urlopen(f"http://{page}"):
            return True
    except URLError:
        return False


def until(true: Any, otherwise: Any = str) -> None:
    """Wait for it; what `otherwise` says is shown when it does not come."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.1)
