"""A topic as offsets, on a real broker: nothing is read twice, nothing is skipped, whatever happens to the topic."""

from __future__ import annotations

import uuid

import pytest
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient, NewPartitions

from credit_risk_platform.adapters.kafka_connection import KafkaConnection
from credit_risk_platform.adapters.kafka_ports import free_port
from credit_risk_platform.adapters.streaming import log as logs
from credit_risk_platform.adapters.streaming.batch import RECORD_SCHEMA, NotReadyError, OffsetRange
from credit_risk_platform.adapters.streaming.log import TopicLog
from credit_risk_platform.domain.contracts.messages import MAX_MESSAGE_BYTES
from tests.kafka_cluster import KafkaCluster


@pytest.fixture
def log(kafka: KafkaCluster):
    found = TopicLog(kafka.connection, kafka.new_topic(partitions=3), f"group-{uuid.uuid4().hex[:8]}")
    yield found
    found.close()


def test_what_waits_is_read_once_and_what_is_committed_waits_no_more(kafka: KafkaCluster, log: TopicLog) -> None:
    sent = kafka.produce(log.topic, [f"{number}".encode() for number in range(90)])
    pending = log.pending(1_000)
    assert sum(found.count for found in pending) == log.lag() == 90
    records = log.read(pending)
    assert records.schema == RECORD_SCHEMA
    assert list(zip(*(records[name].to_pylist() for name in ("partition", "offset")), strict=True)) == sorted(sent)
    assert set(records["topic_id"].to_pylist()) == {log.topic_id()}
    log.commit(pending)
    assert (log.pending(1_000), log.lag()) == ([], 0)


def test_a_batch_takes_fair_shares_of_every_partition(kafka: KafkaCluster, log: TopicLog) -> None:
    for partition, count in enumerate((200, 5, 100)):
        kafka.produce(log.topic, [b"x"] * count, partition=partition)
    pending = log.pending(45)
    assert [(found.partition, found.start, found.end) for found in pending] == [(0, 0, 20), (1, 0, 5), (2, 0, 20)]
    assert log.read(pending).num_rows == 45


def test_the_group_s_offset_never_goes_backwards(kafka: KafkaCluster, log: TopicLog) -> None:
    kafka.produce(log.topic, [b"x"] * 10, partition=0)
    log.commit([OffsetRange(log.topic, 0, 0, 8)])
    log.commit([OffsetRange(log.topic, 0, 0, 3)])
    assert log.committed()[0] == 8


def test_partitions_added_while_running_are_read_too(
    kafka: KafkaCluster, log: TopicLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(log.ends()) == 3
    admin = KafkaAdminClient(**kafka.connection.options())
    admin.create_partitions({log.topic: NewPartitions(total_count=5)})
    admin.close()
    kafka.produce(log.topic, [b"new"], partition=4)
    monkeypatch.setattr(logs, "METADATA_SECONDS", 0.0)
    pending = log.pending(10)
    assert [found.partition for found in pending] == [4]
    assert log.read(pending)["value"].to_pylist() == [b"new"]


def test_a_topic_made_anew_is_read_from_its_beginning(
    kafka: KafkaCluster, log: TopicLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka.produce(log.topic, [b"old"] * 30, partition=0)
    log.commit(log.pending(100))
    before = log.topic_id()
    admin = KafkaAdminClient(**kafka.connection.options())
    admin.delete_topics([log.topic])
    admin.close()
    kafka.new_topic(log.topic, partitions=3)
    kafka.produce(log.topic, [b"new"] * 4, partition=0)
    monkeypatch.setattr(logs, "METADATA_SECONDS", 0.0)
    assert log.topic_id() != before
    pending = log.pending(100)
    assert [(found.start, found.end) for found in pending] == [(0, 4)]
    assert log.read(pending)["value"].to_pylist() == [b"new"] * 4


def test_a_message_too_large_to_be_ours_is_told_by_its_size_alone(kafka: KafkaCluster) -> None:
    topic = kafka.new_topic(partitions=1, max_message_bytes=4_000_000)
    log = TopicLog(kafka.connection, topic, "any")
    size = 2 * 1024 * 1024
    assert size > MAX_MESSAGE_BYTES
    producer = KafkaProducer(**kafka.connection.options(max_request_size=4_000_000))
    producer.send(topic, b"x" * size)
    producer.send(topic, b"small")
    producer.close()
    records = log.read(log.pending(10))
    log.close()
    assert records["value"].to_pylist() == [None, b"small"]
    assert records["size"].to_pylist() == [size, 5]


def test_an_absent_topic_says_how_to_make_it(kafka: KafkaCluster) -> None:
    log = TopicLog(kafka.connection, "no-such-topic", "any")
    with pytest.raises(NotReadyError, match="crp kafka up"):
        log.pending(10)


def test_an_absent_cluster_says_that_nothing_is_lost_and_what_to_do() -> None:
    log = TopicLog(KafkaConnection(f"127.0.0.1:{free_port('127.0.0.1')}"), "any", "any")
    with pytest.raises(NotReadyError, match="Nothing is lost"):
        log.pending(10)
