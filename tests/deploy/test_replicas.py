"""Two replicas of the API on one home, as two pods have it: whoever answers, it is the same model and the same PD."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx

from credit_risk_platform.adapters.kafka_ports import free_port
from tests.api_book import LOAN, PREDICT, key_of, processes
from tests.stream_book import new_home

PATIENCE = 120.0


def ready(port: int) -> dict[str, Any]:
    """What `/readyz` tells once the replica can score."""
    deadline, last = time.monotonic() + PATIENCE, "nobody answers"
    while time.monotonic() < deadline:
        try:
            answer = httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5)
        except httpx.TransportError:
            time.sleep(0.2)
            continue
        if answer.status_code == 200:
            return dict(answer.json())
        last = answer.text
        time.sleep(0.2)
    raise AssertionError(f"not ready on port {port}: {last}")


def test_two_replicas_serve_the_same_model_version_and_the_same_score(tmp_path: Path) -> None:
    home = new_home(tmp_path / "home")
    key = key_of(home)
    ports = [free_port("127.0.0.1") for _ in range(2)]
    with processes(home, ports[0]), processes(home, ports[1]):
        told = [ready(port) for port in ports]
        answers = [
            httpx.post(f"http://127.0.0.1:{port}{PREDICT}", json=LOAN, headers={"X-API-Key": key}, timeout=60).json()
            for port in ports
        ]
    models = [{name: one[name] for name in ("model_version", "bundle_sha", "policy_version")} for one in told]
    assert models[0] == models[1]
    assert answers[0]["default_probability"] == answers[1]["default_probability"]
    assert answers[0]["score_id"] == answers[1]["score_id"]
    assert answers[0]["model_version"] == answers[1]["model_version"] == models[0]["model_version"]
