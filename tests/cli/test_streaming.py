"""The stream's part of a demo: never a stranger's Kafka, and never a broken demo for want of Java."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from credit_risk_platform.adapters.kafka_broker import KafkaBroker
from credit_risk_platform.cli.home import open_home, prepare_home, remember
from credit_risk_platform.cli.streaming import cluster, reserve_port
from credit_risk_platform.settings import Settings

HOST = "127.0.0.1"


@pytest.fixture
def console() -> Console:
    return Console(record=True, width=200)


@contextmanager
def taken(port: int) -> Iterator[int]:
    """Somebody listens there: we do, unless somebody does already."""
    with socket.socket() as listener:
        try:
            listener.bind((HOST, port))
            listener.listen()
        except OSError:
            yield port
        else:
            yield listener.getsockname()[1]


def test_a_stranger_on_the_usual_port_makes_our_broker_move_and_later_commands_find_it(
    tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    with taken(9092):
        moved = reserve_port(open_home(tmp_path), console)
    assert moved.kafka_bootstrap_servers != f"{HOST}:9092"
    assert f"Kafka will use {moved.kafka_bootstrap_servers.split(':')[1]}" in console.export_text()
    prepare_home(moved)
    remember(moved)
    assert open_home(tmp_path).kafka_bootstrap_servers == moved.kafka_bootstrap_servers
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka.bank:9092")
    assert open_home(tmp_path).kafka_bootstrap_servers == "kafka.bank:9092"


def test_a_cluster_that_was_named_on_purpose_is_used_whoever_answers_there(tmp_path: Path, console: Console) -> None:
    with taken(0) as named:
        settings = Settings(home=tmp_path, kafka_bootstrap_servers=f"{HOST}:{named}")
        assert reserve_port(settings, console) is settings


def test_without_java_the_demo_says_what_is_skipped_and_how_to_get_it(
    tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert KafkaBroker(tmp_path).missing()
    with cluster(Settings(home=tmp_path, kafka_bootstrap_servers=f"{HOST}:1"), console) as there:
        assert there is False
    said = console.export_text()
    assert "Skipped: scoring events from Kafka." in said
    assert "apt-get install" in said
