"""A topic as offsets, on Kafka and on Kinesis: nothing is read twice, nothing is skipped, whatever becomes of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from credit_risk_platform.adapters.kafka_connection import KafkaConnection
from credit_risk_platform.adapters.kafka_ports import free_port
from credit_risk_platform.adapters.kinesis_connection import KinesisConnection
from credit_risk_platform.adapters.streaming.batch import RECORD_SCHEMA, NotReadyError, OffsetRange
from credit_risk_platform.adapters.streaming.kafka_transport import KafkaTransport
from credit_risk_platform.adapters.streaming.kinesis_transport import KinesisTransport
from credit_risk_platform.adapters.streaming.transport import StreamLog
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.domain.contracts.messages import MAX_MESSAGE_BYTES
from tests.kinesis.carriers import CARRIERS, Carrier, carrier_of


@pytest.fixture(params=CARRIERS)
def carrier(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Carrier]:
    found = carrier_of(request, tmp_path / "warehouse")
    yield found
    found.close()


@pytest.fixture
def log(carrier: Carrier) -> Iterator[StreamLog]:
    found = carrier.transport().log(carrier.new_topic(), f"group-{uuid.uuid4().hex[:8]}")
    yield found
    found.close()


def second(carrier: Carrier, log: StreamLog) -> StreamLog:
    """As another process sees the same group."""
    return carrier.transport().log(log.topic, log.group)


def test_what_waits_is_read_once_and_what_is_committed_waits_no_more(carrier: Carrier, log: StreamLog) -> None:
    values = [f"{number}".encode() for number in range(60)]
    sent = [partition for partition, _ in carrier.produce(log.topic, values)]
    pending = log.pending(1_000)
    assert sum(found.count for found in pending) == log.lag() == 60
    records = log.read(pending)
    assert records.schema == RECORD_SCHEMA
    places = list(zip(*(records[name].to_pylist() for name in ("partition", "offset")), strict=True))
    assert places == sorted((place, at) for place in set(sent) for at in range(sent.count(place)))
    assert sorted(records["value"].to_pylist()) == sorted(values)
    assert set(records["topic_id"].to_pylist()) == {log.topic_id()}
    log.commit(pending)
    assert (log.pending(1_000), log.lag()) == ([], 0)
    assert log.committed() == {found.partition: found.end for found in pending}


def test_another_process_goes_on_where_the_group_is(carrier: Carrier, log: StreamLog) -> None:
    carrier.produce(log.topic, [b"first"] * 9, partition=1)
    log.commit(log.pending(5))
    other = second(carrier, log)
    assert other.committed() == {1: 5}
    carrier.produce(log.topic, [b"later"] * 2, partition=1)
    assert [(found.start, found.end) for found in other.pending(100)] == [(5, 11)]
    assert other.read(other.pending(100))["value"].to_pylist() == [b"first"] * 4 + [b"later"] * 2
    other.commit(other.pending(100))
    other.close()
    assert log.pending(100) == []


def test_a_batch_takes_fair_shares_of_every_partition(carrier: Carrier, log: StreamLog) -> None:
    for partition, count in enumerate((60, 5, 40)):
        carrier.produce(log.topic, [b"x"] * count, partition=partition)
    pending = log.pending(45)
    assert [(found.partition, found.start, found.end) for found in pending] == [(0, 0, 20), (1, 0, 5), (2, 0, 20)]
    assert log.read(pending).num_rows == 45


def test_an_exact_range_is_read_exactly_by_whoever_comes(carrier: Carrier, log: StreamLog) -> None:
    """A run of the past is looked at again, and one that was asked for by a worker that is gone is read by the next."""
    carrier.produce(log.topic, [f"{number}".encode() for number in range(30)], partition=2)
    log.read([OffsetRange(log.topic, 2, 0, 12)])
    log.commit([OffsetRange(log.topic, 2, 0, 12)])
    other = second(carrier, log)
    for start, end in ((12, 30), (15, 20), (3, 9), (0, 30)):
        records = other.read([OffsetRange(log.topic, 2, start, end)])
        assert records["offset"].to_pylist() == list(range(start, end))
        assert records["value"].to_pylist() == [f"{number}".encode() for number in range(start, end)]
    other.close()


def test_the_group_s_offset_never_goes_backwards(carrier: Carrier, log: StreamLog) -> None:
    carrier.produce(log.topic, [b"x"] * 10, partition=0)
    log.commit([OffsetRange(log.topic, 0, 0, 8)])
    log.commit([OffsetRange(log.topic, 0, 0, 3)])
    assert log.committed()[0] == 8
    other = second(carrier, log)
    other.commit([OffsetRange(log.topic, 0, 0, 5)])
    assert other.committed()[0] == 8
    other.close()


def test_partitions_added_while_running_are_read_too(
    carrier: Carrier, log: StreamLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(log.ends()) == 3
    added = carrier.grow(log.topic)
    carrier.produce(log.topic, [b"new"], partition=added)
    monkeypatch.setattr(carrier.metadata, "METADATA_SECONDS", 0.0)
    pending = log.pending(10)
    assert [found.partition for found in pending] == [added]
    assert log.read(pending)["value"].to_pylist() == [b"new"]


def test_a_topic_made_anew_is_read_from_its_beginning(
    carrier: Carrier, log: StreamLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    carrier.produce(log.topic, [b"old"] * 30, partition=0)
    log.commit(log.pending(100))
    before = log.topic_id()
    carrier.remake(log.topic)
    carrier.produce(log.topic, [b"new"] * 4, partition=0)
    monkeypatch.setattr(carrier.metadata, "METADATA_SECONDS", 0.0)
    assert log.topic_id() != before
    pending = log.pending(100)
    assert [(found.start, found.end) for found in pending] == [(0, 4)]
    assert log.read(pending)["value"].to_pylist() == [b"new"] * 4


def test_a_message_too_large_to_be_ours_is_told_by_its_size_alone(carrier: Carrier) -> None:
    log = carrier.transport().log(carrier.new_topic(partitions=1), "any")
    assert carrier.large > MAX_MESSAGE_BYTES
    carrier.produce(log.topic, [b"x" * carrier.large, None, b"small"])
    records = log.read(log.pending(10))
    log.close()
    assert records["value"].to_pylist() == [None, None, b"small"]
    assert records["size"].to_pylist() == [carrier.large, 0, 5]


def test_an_absent_topic_says_how_to_make_it(carrier: Carrier) -> None:
    log = carrier.transport().log("no-such-topic", "any")
    with pytest.raises(NotReadyError, match=r"crp (kafka|kinesis) up"):
        log.pending(10)
    log.close()


@pytest.mark.parametrize("name", CARRIERS)
def test_who_is_away_says_that_nothing_is_lost_and_what_to_do(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port("127.0.0.1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    transport = (
        KafkaTransport(KafkaConnection(f"127.0.0.1:{port}"), 3)
        if name == "kafka"
        else KinesisTransport(
            KinesisConnection("eu-central-1", f"http://127.0.0.1:{port}"), DuckLakeWarehouse(tmp_path), 1
        )
    )
    log = transport.log("any", "any")
    with pytest.raises(NotReadyError, match="Nothing is lost"):
        log.pending(10)
    log.close()
