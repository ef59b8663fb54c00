"""`crp dashboard` refuses aloud, asks strangers for a key, and hands its server what it needs."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from credit_risk_platform.adapters.api_keys import ApiKeys
from credit_risk_platform.adapters.kafka_ports import free_port
from credit_risk_platform.cli.dashboard import HEALTH, SCRIPT, serve
from credit_risk_platform.cli.home import CommandError, open_home, prepare_home
from credit_risk_platform.cli.probes import fetch, probe
from credit_risk_platform.cli.processes import Servers, until_ready
from credit_risk_platform.cli.serving import start_dashboard

HOST = "127.0.0.1"
EVERYWHERE = "0.0.0.0"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, str]]]:
    """What would have taken this process's place."""
    calls: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execve", lambda _program, command, environment: calls.append((command, environment)))
    return calls


def test_a_taken_port_is_told_and_nothing_starts(tmp_path: Path, started: list[object]) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        with pytest.raises(CommandError, match="is taken"):
            serve(open_home(tmp_path), HOST, taken.getsockname()[1])
    assert started == []


def test_on_this_machine_nobody_needs_a_key(
    tmp_path: Path, started: list[tuple[list[str], dict[str, str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port(HOST)
    serve(open_home(tmp_path), HOST, port)
    [(command, environment)] = started
    assert str(SCRIPT) in command
    assert {f"--server.address={HOST}", f"--server.port={port}", "--browser.gatherUsageStats=false"} <= set(command)
    assert "--client.disableDataExport=true" in command  # our buttons log what leaves
    assert environment["CRP_HOME"] == str(tmp_path)
    assert ApiKeys(open_home(tmp_path).paths.secrets).all() == ()
    assert "crp demo" in capsys.readouterr().out  # an empty home says how to fill it


def test_bound_to_another_address_a_home_without_keys_gets_its_first(
    tmp_path: Path, started: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    serve(open_home(tmp_path), EVERYWHERE, free_port(EVERYWHERE))
    assert len(started) == 1
    assert len(ApiKeys(open_home(tmp_path).paths.secrets).all()) == 1
    assert "crp keys create" in capsys.readouterr().out


def test_beside_the_demo_it_answers_where_status_looks_for_it(tmp_path: Path) -> None:
    settings = open_home(tmp_path).model_copy(update={"dashboard_port": free_port(HOST)})
    prepare_home(settings)
    with Servers(settings) as servers:
        server = start_dashboard(settings, servers)
        until_ready(server, lambda: fetch(f"{server.url}{HEALTH}") is not None)
        servers.announce()
        assert probe(settings)["dashboard"].up
    assert not probe(settings)["dashboard"].up
