"""A broker of our own: it starts once, keeps what it was sent, says what is wrong, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from kafka import KafkaConsumer, TopicPartition

from credit_risk_platform.adapters import kafka_node
from credit_risk_platform.adapters.kafka_broker import KafkaBroker
from credit_risk_platform.adapters.kafka_connection import KafkaConnection
from credit_risk_platform.adapters.kafka_distribution import KafkaBrokerError
from credit_risk_platform.adapters.kafka_ports import addresses, answers, free_port
from credit_risk_platform.adapters.kafka_topics import ensure_topics, platform_topics, topic_states
from credit_risk_platform.adapters.streaming.batch import NotReadyError
from tests.kafka_cluster import HOST, JARS, KafkaCluster, broker_in


def everything(cluster: KafkaCluster, topic: str, partition: int = 0) -> list[bytes | None]:
    consumer = KafkaConsumer(**cluster.connection.options(auto_offset_reset="earliest"))
    try:
        place = TopicPartition(topic, partition)
        consumer.assign([place])
        consumer.seek_to_beginning(place)
        end = consumer.end_offsets([place])[place]
        found: list[bytes | None] = []
        while consumer.position(place) < end:
            found += [record.value for batch in consumer.poll(500).values() for record in batch]
        return found
    finally:
        consumer.close()


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[KafkaBroker]:
    """A broker that was never started; one that a test starts is stopped."""
    broker = broker_in(tmp_path / "kafka")
    yield broker
    broker.down()


def test_starting_a_broker_that_runs_changes_nothing(kafka: KafkaCluster) -> None:
    before = kafka.broker.status()
    assert before.running
    assert before.ready
    assert kafka.broker.up() == before


def test_stopping_leaves_no_process_behind_and_starting_again_loses_nothing(own_broker: KafkaCluster) -> None:
    topic = own_broker.new_topic(partitions=1)
    own_broker.produce(topic, [b"one", b"two"])
    pid = own_broker.broker.status().pid
    assert own_broker.broker.down()
    assert not own_broker.broker.status().running
    assert pid is not None
    assert not psutil.pid_exists(pid)
    assert own_broker.broker.down() is False
    own_broker.broker.up()
    own_broker.produce(topic, [b"three"])
    assert everything(own_broker, topic) == [b"one", b"two", b"three"]


def test_what_was_acknowledged_survives_a_broker_that_is_killed(own_broker: KafkaCluster) -> None:
    topic = own_broker.new_topic(partitions=1)
    own_broker.produce(topic, [b"acknowledged"])
    pid = own_broker.broker.status().pid
    assert pid is not None
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert not own_broker.broker.status().running
    own_broker.broker.up()
    assert everything(own_broker, topic) == [b"acknowledged"]


def test_the_broker_outlives_the_command_that_started_it_and_another_one_stops_it(stopped: KafkaBroker) -> None:
    script = (
        "import sys; from pathlib import Path; from credit_risk_platform.adapters.kafka_broker import KafkaBroker\n"
        "folder, port, cache = sys.argv[1:]\n"
        "print(KafkaBroker(Path(folder), port=int(port), java_heap_mb=256, cache=Path(cache)).up().pid)"
    )
    command = [sys.executable, "-c", script, str(stopped.folder), str(stopped.port), str(JARS)]
    pid = int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout)
    assert stopped.status().pid == pid
    assert stopped.status().ready
    assert psutil.Process(pid).ppid() != os.getpid()
    assert stopped.down()
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_two_who_start_it_at_once_get_one_broker(stopped: KafkaBroker) -> None:
    twins = [KafkaBroker(stopped.folder, HOST, stopped.port, 256, cache=JARS) for _ in range(2)]
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(KafkaBroker.up, twins)
    assert first.pid == second.pid
    assert first.ready


def test_the_broker_gets_no_secret_of_the_one_who_starts_it(kafka: KafkaCluster) -> None:
    pid = kafka.broker.status().pid
    assert psutil.Process(pid).environ().keys() <= {"LC_ALL", "NLSPATH", "LD_LIBRARY_PATH"}


def test_the_broker_is_reached_from_this_machine_only(kafka: KafkaCluster) -> None:
    listening = [
        c.laddr.ip for c in psutil.Process(kafka.broker.status().pid).net_connections() if c.status == "LISTEN"
    ]
    assert len(listening) == 2
    assert {address.removeprefix("::ffff:") for address in listening} == {HOST}
    with pytest.raises(KafkaBrokerError, match=r"0\.0\.0\.0 is not loopback"):
        KafkaBroker(kafka.broker.folder, host="0.0.0.0")


@pytest.mark.parametrize(
    ("servers", "read_as"),
    [
        ("one:9093, two", [("one", 9093), ("two", 9092)]),
        ("[::1]:19092", [("::1", 19092)]),
    ],
)
def test_addresses_are_read_as_kafka_s_own_tools_read_them(servers: str, read_as: list[tuple[str, int]]) -> None:
    assert addresses(servers) == read_as


def test_a_misspelt_topic_fails_instead_of_appearing(kafka: KafkaCluster) -> None:
    consumer = KafkaConsumer(**kafka.connection.options())
    try:
        assert not consumer.partitions_for_topic("loan_aplications")
        assert "loan_aplications" not in consumer.topics()
    finally:
        consumer.close()


def test_a_taken_port_is_named_with_a_way_out(stopped: KafkaBroker) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, stopped.port))
        taken.listen()
        with pytest.raises(KafkaBrokerError, match=rf"{HOST}:{stopped.port} is taken .*KAFKA_BOOTSTRAP_SERVERS="):
            stopped.up()
    assert not stopped.status().running


def test_a_broker_is_not_started_twice_when_the_address_was_changed(kafka: KafkaCluster) -> None:
    moved = KafkaBroker(kafka.broker.folder, HOST, free_port(HOST), cache=JARS)
    with pytest.raises(KafkaBrokerError, match=f"runs at {kafka.broker.bootstrap}, .*crp kafka down"):
        moved.up()
    assert moved.status().bootstrap == kafka.broker.bootstrap


def test_a_broker_that_cannot_start_shows_its_own_last_words(
    stopped: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_node, "NODE", kafka_node.NODE + "num.io.threads=none\n")
    monkeypatch.setattr("credit_risk_platform.adapters.kafka_broker.format_storage", lambda jars, folder: None)
    with pytest.raises(KafkaBrokerError, match=r"num\.io\.threads[\s\S]*Whole log: .*broker\.log"):
        stopped.up()
    assert not stopped.status().running


def test_without_java_one_reads_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    broker = KafkaBroker(tmp_path / "kafka")
    assert [sentence.split()[0] for sentence in broker.missing()] == ["Java", "Maven"]
    with pytest.raises(KafkaBrokerError, match=r"openjdk-17-jre-headless.* install maven"):
        broker.up()
    (broker.distribution.jars).mkdir(parents=True)
    assert len(broker.missing()) == 1, "Maven is not needed where the jars are"


def test_a_java_that_is_too_old_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "java"
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.20\" 2023-07-18' >&2\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "11.0.20" in KafkaBroker(tmp_path / "kafka").missing()[0]


def test_a_fetch_that_fails_says_so_and_leaves_no_half_of_the_jars(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java, maven = tmp_path / "java", tmp_path / "mvn"
    java.write_text("#!/bin/sh\necho 'openjdk version \"17.0.1\"' >&2\n")
    maven.write_text("#!/bin/sh\nmkdir -p libs\n: > libs/half.jar\necho '[ERROR] no route to the registry'\nexit 1\n")
    for program in (java, maven):
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    broker = KafkaBroker(tmp_path / "kafka")
    with pytest.raises(KafkaBrokerError, match="no route to the registry"):
        broker.up()
    assert list(broker.folder.iterdir()) == []


def test_topics_are_made_once_as_wanted_and_counted(own_broker: KafkaCluster) -> None:
    assert {state.partitions for state in topic_states(own_broker.connection)} == {0}
    own_broker.new_topic("repayments", partitions=7)
    made = ensure_topics(own_broker.connection, 2)
    assert "repayments" not in made
    assert ensure_topics(own_broker.connection, 5) == []
    own_broker.produce("loan_applications", [b"{}"] * 5, partition=1)
    states = {state.topic: state for state in topic_states(own_broker.connection)}
    assert {name: state.partitions for name, state in states.items()} == {**platform_topics(2), "repayments": 7}
    applications = states["loan_applications"]
    assert (applications.messages, applications.beginnings, applications.ends) == (5, {0: 0, 1: 0}, {0: 0, 1: 5})


def test_a_cluster_that_is_not_there_is_named_with_a_way_out() -> None:
    nowhere = f"{HOST}:{free_port(HOST)}"
    with pytest.raises(NotReadyError, match=f"Kafka at {nowhere} cannot be used.*crp kafka up"):
        ensure_topics(KafkaConnection(nowhere), 3)


def test_a_port_that_is_not_kafka_s_is_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("credit_risk_platform.adapters.kafka_topics.BOOTSTRAP_MS", 300)
    with socket.socket() as mute:
        mute.bind((HOST, 0))
        mute.listen()
        place = f"{HOST}:{mute.getsockname()[1]}"
        with pytest.raises(NotReadyError, match=f"Kafka at {place} cannot be used: .* does not answer in PLAINTEXT"):
            topic_states(KafkaConnection(place))
        assert not answers(place)
