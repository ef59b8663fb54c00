"""Kinesis from the command line, from the sensor, and in what the streaming location loads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from credit_risk_platform.adapters import kinesis_put
from credit_risk_platform.adapters.kinesis_producer import produce
from credit_risk_platform.adapters.producing import ProduceError
from credit_risk_platform.adapters.stream_health import waiting
from credit_risk_platform.adapters.streaming.batch import RECORD_SCHEMA, NotReadyError
from credit_risk_platform.adapters.streaming.kinesis_dead_letters import DeadLetterStream
from credit_risk_platform.cli.doctor import _stream
from credit_risk_platform.cli.main import app
from credit_risk_platform.defs.streaming.lanes import WINDOWS
from credit_risk_platform.defs.streaming.sensors import Watch
from credit_risk_platform.domain.contracts.messages import CONTRACTS, DEAD_LETTER_SUFFIX
from credit_risk_platform.resources import stream_transport
from credit_risk_platform.settings import PROJECT_ROOT, Settings
from tests.kinesis.kinesis_cluster import REGION, KinesisCluster
from tests.stream_book import chaotic, sound

STREAMS = [name for topic in CONTRACTS for name in (topic, topic + DEAD_LETTER_SUFFIX)]
LOAD = """
import sys
from credit_risk_platform.definitions_streaming import defs
from dagster import Definitions
Definitions.validate_loadable(defs())
print(sorted(name for name in sys.modules if name.split(".")[0] in ("boto3", "botocore") or "kinesis_" in name))
"""


@pytest.fixture
def home(kinesis: KinesisCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose stream is Kinesis, with no stream made yet."""
    for name in kinesis.client.list_streams(Limit=100)["StreamNames"]:
        kinesis.client.delete_stream(StreamName=name)
    monkeypatch.setenv("CRP_STREAM_TRANSPORT", "kinesis")
    monkeypatch.setenv("CRP_KINESIS_ENDPOINT_URL", str(kinesis.connection.endpoint_url))
    monkeypatch.setenv("CRP_KINESIS_REGION", REGION)
    return tmp_path / "home"


def crp(home: Path, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, [*arguments, "--home", str(home)])
    return done.exit_code, " ".join(done.output.split())


def test_streams_are_made_once_and_their_state_is_told(home: Path, kinesis: KinesisCluster) -> None:
    code, told = crp(home, "kinesis", "status")
    assert code == 1
    assert told.count("absent: crp kinesis up") == len(STREAMS)
    code, told = crp(home, "kinesis", "up")
    assert code == 0
    assert all(name in told for name in STREAMS)
    assert "Streams: all there" in crp(home, "kinesis", "up")[1]
    code, told = crp(home, "kinesis", "status", "--json")
    found = json.loads(told)
    assert code == 0
    assert found["chosen"]
    assert [(one["stream"], one["shards"], one["retention_hours"]) for one in found["streams"]] == [
        (name, 1, 24) for name in STREAMS
    ]


def test_the_doctor_looks_at_the_chosen_transport(home: Path) -> None:
    settings = Settings(home=home)
    assert _stream(settings)[1].endswith("crp kinesis up")
    assert crp(home, "kinesis", "up")[0] == 0
    assert _stream(settings) == (f"{settings.kinesis_endpoint_url}: {len(STREAMS)} streams", "")


def test_produce_sends_to_the_chosen_transport_and_says_what_to_expect(home: Path, kinesis: KinesisCluster) -> None:
    code, told = crp(home, "produce", "--max", "40", "--rate", "0", "--chaos", "--json")
    assert code == 0
    report = json.loads(told)
    assert report["sent"] == sum(report["partitions"].values()) == 40
    records = kinesis.everything("loan_applications")
    assert [record["Data"] or None for record in records] == [event.value for event in chaotic(40)]


def test_the_fast_lane_is_refused_with_what_serves_instead(home: Path) -> None:
    code, told = crp(home, "stream", "--duration", "5")
    assert code == 1
    assert "the sensors' runs score events" in told


def test_records_that_kinesis_takes_only_in_part_are_sent_again_until_all_are_there(kinesis: KinesisCluster) -> None:
    topic = kinesis.new_topic(partitions=1)
    kinesis.refuse_records(7)
    kinesis.refuse_records(3)
    report = produce(kinesis.connection, topic, sound(20))
    assert (report.sent, report.partitions) == (20, {0: 20})
    assert sorted(record["Data"] for record in kinesis.everything(topic)) == sorted(
        event.value or b"" for event in sound(20)
    )


def test_a_shard_that_takes_nothing_ends_the_sending_with_how_far_it_came(
    kinesis: KinesisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = kinesis.new_topic(partitions=1)
    monkeypatch.setattr(kinesis_put, "PATIENCE_SECONDS", 0.0)
    kinesis.refuse_records(500)
    kinesis.refuse_records(500)
    with pytest.raises(ProduceError, match=f"0 messages reached {topic}.*more shards"):
        produce(kinesis.connection, topic, sound(3))
    with pytest.raises(ProduceError, match="crp kinesis up"):
        produce(kinesis.connection, "absent", sound(3))
    with pytest.raises(ProduceError, match="make it smaller"):
        produce(kinesis.connection, topic, [replace(event, value=b"x" * 1_100_000) for event in sound(1)])
    with pytest.raises(ValueError, match="above zero"):
        produce(kinesis.connection, topic, [], rate=0.0)


def test_dead_letters_that_cannot_be_sent_stop_the_bookmark_and_say_so(kinesis: KinesisCluster) -> None:
    records = pa.Table.from_pylist(
        [{"topic": "absent", "topic_id": "x", "partition": 0, "offset": 4, "key": b"k", "value": b"v", "size": 1}],
        RECORD_SCHEMA,
    )
    dead = pa.table({
        "partition": pa.array([0], pa.int32()), "offset": pa.array([4], pa.int64()), "reason": ["not_json"],
    })  # fmt: skip
    letters = DeadLetterStream(kinesis.connection)
    with pytest.raises(NotReadyError, match=r"1 dead letters could not be sent.*crp kinesis up.*next run sends them"):
        letters.publish(records, dead)
    letters.close()


def test_a_sensor_asks_for_exactly_what_waits_and_for_nothing_twice(home: Path, kinesis: KinesisCluster) -> None:
    topic = kinesis.new_topic(partitions=2)
    lane = replace(WINDOWS, contract=replace(WINDOWS.contract, topic=topic))
    settings = Settings(home=home)
    eye = Watch(lane, settings, look_seconds=1.0, turn_seconds=10.0, begin_seconds=0.0)
    with dg.DagsterInstance.ephemeral() as instance:
        assert eye.tick(instance).skip_message == f"Nothing new in {topic}."
        kinesis.produce(topic, [b"a", b"b", b"c"], partition=0)
        request = eye.tick(instance)
        assert isinstance(request, dg.RunRequest)
        asked = request.run_config["ops"][topic]["config"]
        assert asked["ranges"] == [{"partition": 0, "start": 0, "end": 3}]
        assert asked["topic_id"] == eye.log.topic_id()
        run = stream_transport(settings).log(topic, settings.kafka_group)
        run.commit(run.pending(10))
        run.close()
        assert eye.tick(instance).skip_message == f"Nothing new in {topic}."
        eye.log.close()
        kinesis.refuse("DescribeStreamSummary", "AccessDeniedException")
        assert "docs/kinesis.md" in eye.tick(instance).skip_message
        eye.log.close()


def test_the_health_of_a_stream_counts_what_waits_and_names_what_is_absent(home: Path, kinesis: KinesisCluster) -> None:
    topic = kinesis.new_topic(partitions=1)
    kinesis.produce(topic, [b"a"] * 5)
    found = waiting(stream_transport(Settings(home=home)), "any", [topic, "absent"])
    assert found[topic].messages == 5
    assert found["absent"].messages is None
    assert "crp kinesis up" in found["absent"].note


def test_a_long_queue_is_estimated_and_not_counted_to_its_end(
    home: Path, kinesis: KinesisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("credit_risk_platform.adapters.streaming.kinesis_log.LAG_COUNTED", 10)
    monkeypatch.setattr("credit_risk_platform.adapters.streaming.kinesis_shard.LOOKED", 1)
    topic = kinesis.new_topic(partitions=1)
    for _ in range(4):
        kinesis.produce(topic, [b"a"] * 5)
        time.sleep(0.05)
    log = stream_transport(Settings(home=home)).log(topic, "any")
    assert 10 < log.lag() < 80
    log.close()


@pytest.mark.parametrize("chosen", ["kafka", "kinesis"])
def test_the_streaming_location_loads_no_boto3_and_kafka_s_nothing_of_kinesis(chosen: str, tmp_path: Path) -> None:
    environment = {**os.environ, "CRP_HOME": str(tmp_path / "home"), "CRP_STREAM_TRANSPORT": chosen}
    done = subprocess.run(
        [sys.executable, "-c", LOAD], env=environment, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.splitlines()[-1]
    assert "boto" not in loaded
    assert ("kinesis_" in loaded) == (chosen == "kinesis")
    assert not (tmp_path / "home").exists()
