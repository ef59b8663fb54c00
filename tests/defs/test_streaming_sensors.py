"""The watch on a topic, on a real cluster: what a tick notices, what it asks for, and how two sensors take turns."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from kafka import KafkaConsumer

from credit_risk_platform.adapters.kafka_connection import KafkaConnection
from credit_risk_platform.adapters.streaming.batch import OffsetRange
from credit_risk_platform.adapters.streaming.fast_lane import members_group
from credit_risk_platform.adapters.streaming.log import TopicLog
from credit_risk_platform.defs.streaming.lanes import WINDOWS, Lane
from credit_risk_platform.defs.streaming.sensors import Watch
from credit_risk_platform.settings import Settings
from tests.kafka_cluster import KafkaCluster

Status = dg.DagsterRunStatus


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def settings_of(connection: KafkaConnection, tmp_path: Path) -> Settings:
    return Settings(
        home=tmp_path, kafka_bootstrap_servers=connection.bootstrap_servers, kafka_group=f"group-{tmp_path.name}"
    )


def watch(
    kafka: KafkaCluster, tmp_path: Path, topic: str, look_seconds: float = 1.0, begin_seconds: float = 0.0
) -> Watch:
    lane: Lane = replace(WINDOWS, contract=replace(WINDOWS.contract, topic=topic))
    settings = settings_of(kafka.connection, tmp_path)
    return Watch(lane, settings, look_seconds, turn_seconds=10.0, begin_seconds=begin_seconds)


def commit(eye: Watch, ranges: list[OffsetRange]) -> None:
    """As the run does, in a process of its own."""
    log = TopicLog(eye.log.connection, eye.lane.topic, eye.settings.kafka_group)
    log.commit(ranges)
    log.close()


def until(condition, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not come"
        time.sleep(0.05)


def test_a_tick_asks_for_exactly_the_messages_that_wait(
    kafka: KafkaCluster, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    topic = kafka.new_topic()
    kafka.produce(topic, [b"a", b"b", b"c"], partition=0)
    kafka.produce(topic, [b"d"], partition=2)
    eye = watch(kafka, tmp_path, topic)
    request = eye.tick(instance)
    assert isinstance(request, dg.RunRequest)
    config = request.run_config["ops"][topic]["config"]
    assert config["topic_id"] == eye.log.topic_id()
    assert config["ranges"] == [{"partition": 0, "start": 0, "end": 3}, {"partition": 2, "start": 0, "end": 1}]
    eye.log.commit([OffsetRange(topic, 0, 0, 3), OffsetRange(topic, 2, 0, 1)])
    assert eye.tick(instance).skip_message == f"Nothing new in {topic}."


def test_a_message_is_noticed_while_the_tick_looks_and_not_at_the_next_one(
    kafka: KafkaCluster, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    topic = kafka.new_topic()
    eye = watch(kafka, tmp_path, topic, look_seconds=20)
    eye.log.ends()
    sent = threading.Timer(1.0, kafka.produce, (topic, [b"late"]))
    sent.start()
    started = time.monotonic()
    assert isinstance(eye.tick(instance), dg.RunRequest)
    assert time.monotonic() - started < 15
    sent.join()


def test_two_ticks_at_once_never_share_one_kafka_client(
    kafka: KafkaCluster, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    eye = watch(kafka, tmp_path, kafka.new_topic(), look_seconds=3)
    eye.turn_seconds = 0.3
    first = threading.Thread(target=eye.tick, args=(instance,))
    first.start()
    time.sleep(0.5)
    assert "Other ticks are still looking" in eye.tick(instance).skip_message
    first.join()


def test_the_second_sensor_takes_over_when_the_first_has_asked_and_asks_for_nothing_twice(
    kafka: KafkaCluster, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    topic = kafka.new_topic()
    eye = watch(kafka, tmp_path, topic, look_seconds=20, begin_seconds=20)
    answers: dict[str, dg.RunRequest | dg.SkipReason] = {}
    sensors = [
        threading.Thread(target=lambda name=name: answers.update({name: eye.tick(instance)}))
        for name in ("first", "relief")
    ]
    for sensor in sensors:
        sensor.start()
        time.sleep(0.5)
    kafka.produce(topic, [b"a", b"b"], partition=0)
    until(lambda: len(answers) == 1)
    (request,) = answers.values()
    assert isinstance(request, dg.RunRequest)
    kafka.produce(topic, [b"c"], partition=1)
    time.sleep(1.5)
    assert len(answers) == 1  # Dagster has not made the run yet
    instance.add_run(
        dg.DagsterRun(
            job_name=eye.lane.job,
            tags=dict(request.tags),
            run_config=dict(request.run_config),
            status=Status.STARTED,
        )
    )
    time.sleep(1.5)
    assert len(answers) == 1  # and now it works
    commit(eye, [OffsetRange(topic, 0, 0, 2)])
    until(lambda: len(answers) == 2)
    for sensor in sensors:
        sensor.join()
    (following,) = [answer for answer in answers.values() if answer is not request]
    assert following.run_key.endswith(":p1:0-1#1")


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that has lost its broker is given two seconds and not ten."""
    ask = KafkaConsumer.end_offsets
    monkeypatch.setattr(
        KafkaConsumer, "end_offsets", lambda self, places, timeout_ms: ask(self, places, timeout_ms=2_000)
    )


@pytest.mark.usefixtures("_impatient")
def test_a_cluster_that_is_away_is_named_and_its_return_noticed(
    own_broker: KafkaCluster, tmp_path: Path, instance: dg.DagsterInstance, caplog: pytest.LogCaptureFixture
) -> None:
    topic = own_broker.new_topic()
    own_broker.produce(topic, [b"before"], partition=0)
    eye = watch(own_broker, tmp_path, topic)
    assert isinstance(eye.tick(instance), dg.RunRequest)
    own_broker.broker.down()
    caplog.clear()
    for _ in range(2):
        started = time.monotonic()
        said = eye.tick(instance).skip_message
        assert time.monotonic() - started < 40
        assert own_broker.connection.bootstrap_servers in said
        assert "crp kafka up" in said
    assert caplog.records == []  # the sensor's answer says it; the code server's log does not fill up
    own_broker.broker.up()
    request = eye.tick(instance)
    assert isinstance(request, dg.RunRequest), request
    assert request.run_key.endswith(":p0:0-1#1")


def test_a_topic_that_is_missing_is_named_with_the_command_that_makes_it(
    kafka: KafkaCluster, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    said = watch(kafka, tmp_path, "no-such-topic").tick(instance).skip_message
    assert "no-such-topic" in said
    assert "crp kafka up" in said


def test_looking_moves_no_offset(kafka: KafkaCluster, tmp_path: Path, instance: dg.DagsterInstance) -> None:
    topic = kafka.new_topic()
    kafka.produce(topic, [b"a"] * 5)
    eye = watch(kafka, tmp_path, topic)
    for _ in range(3):
        assert isinstance(eye.tick(instance), dg.RunRequest)
    log = TopicLog(kafka.connection, topic, eye.settings.kafka_group)
    assert log.committed() == {}
    log.close()


def test_runs_stand_back_while_a_fast_lane_works_and_take_over_when_it_ends(
    kafka: KafkaCluster, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    topic = kafka.new_topic()
    kafka.produce(topic, [b"a"] * 4)
    eye = watch(kafka, tmp_path, topic)
    member = KafkaConsumer(topic, **kafka.connection.options(group_id=members_group(eye.settings.kafka_group, topic)))
    while not member.assignment():
        member.poll(100)
    said = eye.tick(instance).skip_message
    assert "1 fast lane(s) (`crp stream`)" in said
    assert "4 messages" in said
    member.close(autocommit=False)
    assert isinstance(eye.tick(instance), dg.RunRequest)
