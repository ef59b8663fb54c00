"""`crp kafka` as a user meets it: one broker, the topics, whose cluster it is, and what to do when it is not there."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from credit_risk_platform.adapters.kafka_connection import KafkaConnection
from credit_risk_platform.adapters.kafka_ports import answers, free_port
from credit_risk_platform.adapters.kafka_topics import platform_topics, topic_states
from tests.kafka_cluster import HOST, KafkaCluster, broker_in

SECRET = "hush-hush"


@dataclass
class Shell:
    """A home, an address that is free, and the `crp` command."""

    home: Path
    server: str

    def crp(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        own = {"CRP_HOME": str(self.home), "KAFKA_BOOTSTRAP_SERVERS": self.server, "COLUMNS": "200"}
        return subprocess.run(
            [sys.executable, "-m", "credit_risk_platform.cli.main", *arguments],
            env={**os.environ, **own, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def said(self, *arguments: str, **environment: str) -> str:
        done = self.crp(*arguments, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refused(self, *arguments: str, **environment: str) -> str:
        done = self.crp(*arguments, **environment)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """Its jars are those of all tests, so that nothing is fetched."""
    home = tmp_path / "home"
    broker = broker_in(home / "kafka")
    broker.folder.mkdir(parents=True)
    jars = broker.distribution.fetch()
    (broker.folder / jars.name).symlink_to(jars)
    yield Shell(home, broker.bootstrap)
    broker.down()


def test_a_broker_goes_up_with_its_topics_is_seen_and_goes_down(shell: Shell) -> None:
    first = shell.said("kafka", "up")
    assert f"is up at {shell.server}" in first
    assert all(topic in first for topic in platform_topics(3))
    assert {state.partitions for state in topic_states(KafkaConnection(shell.server))} == {3, 1}

    again = shell.said("kafka", "up")
    assert "was up already" in again
    assert "Topics: all there" in again

    status = json.loads(shell.said("kafka", "status", "--json"))
    assert status["ready"] is True
    assert {topic["topic"]: topic["partitions"] for topic in status["topics"]} == platform_topics(3)
    assert "loan_applications.dlq" in shell.said("kafka", "status")
    assert json.loads(shell.said("status", "--json"))["servers"]["kafka"] == {"url": shell.server, "up": True}
    assert f"{shell.server} answers" in shell.said("doctor")

    pid = status["own_broker"]["pid"]
    assert "Kafka stopped." in shell.said("kafka", "down")
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert "was not running" in shell.said("kafka", "down")
    assert "kafka" not in json.loads(shell.said("status", "--json"))["servers"]


def test_with_everything_down_the_status_says_what_to_do(shell: Shell) -> None:
    done = shell.crp("kafka", "status")
    assert done.returncode == 1
    assert f"Kafka at {shell.server} cannot be used: nothing listens there." in done.stdout
    assert "crp kafka up" in done.stdout
    assert json.loads(shell.crp("kafka", "status", "--json").stdout)["topics"] == []


def test_another_cluster_gets_the_topics_and_no_broker_is_started(shell: Shell, own_broker: KafkaCluster) -> None:
    theirs = own_broker.connection.bootstrap_servers
    as_cluster = f"{theirs},{HOST}:{free_port(HOST)}"
    said = shell.said("kafka", "up", KAFKA_BOOTSTRAP_SERVERS=as_cluster, CRP_KAFKA_PARTITIONS="2")
    assert f"Using the cluster at {as_cluster}; no broker is started here." in said.replace("\n", " ")
    assert {state.partitions for state in topic_states(own_broker.connection)} == {2, 1}

    as_neighbour = shell.said("kafka", "up", KAFKA_BOOTSTRAP_SERVERS=theirs)
    assert f"Using the Kafka that answers at {theirs}" in as_neighbour
    assert not (shell.home / "kafka" / "broker.lock").exists()

    shell.said("kafka", "down", KAFKA_BOOTSTRAP_SERVERS=as_cluster)
    shell.said("kafka", "down", KAFKA_BOOTSTRAP_SERVERS=theirs)
    assert answers(theirs), "somebody else's broker was stopped"


def test_a_cluster_that_is_not_there_is_named_and_nothing_is_started_in_its_place(shell: Shell) -> None:
    away = f"{HOST}:{free_port(HOST)},{HOST}:{free_port(HOST)}"
    assert f"Kafka at {away} cannot be used" in shell.refused("kafka", "up", KAFKA_BOOTSTRAP_SERVERS=away)
    assert not (shell.home / "kafka" / "broker.lock").exists()


def test_an_address_that_is_none_is_named_as_it_was_given(shell: Shell) -> None:
    assert f"KAFKA_BOOTSTRAP_SERVERS={HOST}:abc: " in shell.refused(
        "kafka", "up", KAFKA_BOOTSTRAP_SERVERS=f"{HOST}:abc"
    )


def test_a_password_is_neither_shown_nor_kept(shell: Shell) -> None:
    secured = {
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": "crp",
        "KAFKA_SASL_PASSWORD": SECRET,
    }
    for arguments in (("kafka", "up"), ("kafka", "status"), ("kafka", "status", "--json"), ("doctor",)):
        done = shell.crp(*arguments, **secured)
        assert SECRET not in done.stdout + done.stderr
    assert not [file for file in shell.home.glob("*") if file.is_file() and SECRET in file.read_text()]
    assert not (shell.home / "kafka" / "broker.lock").exists(), "a broker without passwords took the cluster's place"


def test_a_port_taken_by_something_else_is_named_with_a_way_out(shell: Shell) -> None:
    host, port = shell.server.split(":")
    with socket.socket() as taken:
        taken.bind((host, int(port)))
        taken.listen()
        said = shell.refused("kafka", "up")
    assert f"{shell.server} is taken by another program" in said
    assert "KAFKA_BOOTSTRAP_SERVERS=" in said


def test_without_java_the_command_says_how_to_get_it(shell: Shell, tmp_path: Path) -> None:
    assert "openjdk-17-jre-headless" in shell.refused("kafka", "up", PATH=str(tmp_path))
