"""Kafka and Kinesis for the tests that both must pass: the few things such a test does with whoever carries."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient, NewPartitions

from credit_risk_platform.adapters.streaming import kinesis_log
from credit_risk_platform.adapters.streaming import log as kafka_log
from credit_risk_platform.adapters.streaming.kafka_transport import KafkaTransport
from credit_risk_platform.adapters.streaming.kinesis_transport import KinesisTransport
from credit_risk_platform.adapters.streaming.transport import Transport
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.domain.contracts.messages import DEAD_LETTER_SUFFIX
from tests.kafka_cluster import KafkaCluster
from tests.kinesis.kinesis_cluster import KinesisCluster
from tests.stream_book import everything, fresh_topics

CARRIERS = ("kafka", "kinesis")


@dataclass
class DeadLetter:
    """As it stands in the dead-letter topic."""

    key: bytes
    value: bytes | None
    headers: dict[str, str]


class KafkaCarrier:
    """A real broker."""

    large = 2 * 1024 * 1024
    metadata = kafka_log

    def __init__(self, cluster: KafkaCluster, home: Path) -> None:
        self.cluster = cluster

    def transport(self) -> Transport:
        return KafkaTransport(self.cluster.connection, 3)

    def new_topic(self, partitions: int = 3) -> str:
        return self.cluster.new_topic(partitions=partitions, max_message_bytes=4_000_000)

    def fresh(self, partitions: int = 3) -> None:
        fresh_topics(self.cluster, partitions, max_message_bytes=4_000_000)

    def remake(self, topic: str) -> None:
        admin = KafkaAdminClient(**self.cluster.connection.options())
        admin.delete_topics([topic])
        admin.close()
        self.cluster.new_topic(topic, partitions=3)

    def produce(self, topic: str, values: Sequence[bytes | None], partition: int | None = None) -> list[Any]:
        producer = KafkaProducer(**self.cluster.connection.options(max_request_size=4_000_000))
        try:
            sent = [producer.send(topic, value, partition=partition, key=uuid.uuid4().bytes) for value in values]
            return [(done.partition, done.offset) for done in (future.get(30) for future in sent)]
        finally:
            producer.close()

    def grow(self, topic: str) -> int:
        """More partitions; returns a new one."""
        admin = KafkaAdminClient(**self.cluster.connection.options())
        admin.create_partitions({topic: NewPartitions(total_count=5)})
        admin.close()
        return 4

    def dead_letters(self, topic: str) -> list[DeadLetter]:
        return [
            DeadLetter(record.key, record.value, {name: text.decode() for name, text in record.headers})
            for record in everything(self.cluster.connection, topic + DEAD_LETTER_SUFFIX)
        ]

    def sent(self, topic: str) -> dict[tuple[int, int], tuple[bytes, bytes | None]]:
        """(partition, offset) -> key and value."""
        records = everything(self.cluster.connection, topic)
        return {(record.partition, record.offset): (record.key, record.value) for record in records}

    def close(self) -> None:
        pass


class KinesisCarrier:
    """moto's server, with a warehouse for the bookmarks."""

    large = 300_000
    metadata = kinesis_log

    def __init__(self, cluster: KinesisCluster, home: Path) -> None:
        self.cluster, self.home = cluster, home

    @cached_property
    def warehouse(self) -> DuckLakeWarehouse:
        return DuckLakeWarehouse(self.home)

    def transport(self) -> Transport:
        return KinesisTransport(self.cluster.connection, self.warehouse, 1)

    def new_topic(self, partitions: int = 3) -> str:
        return self.cluster.new_topic(partitions=partitions)

    def fresh(self, partitions: int = 3) -> None:
        fresh_topics(self.cluster, partitions)

    def remake(self, topic: str) -> None:
        self.cluster.new_topic(topic, partitions=3)

    def produce(self, topic: str, values: Sequence[bytes | None], partition: int | None = None) -> list[Any]:
        return self.cluster.produce(topic, values, partition)

    def grow(self, topic: str) -> int:
        """A shard split; returns one of its children."""
        self.cluster.split(topic, 0)
        return 4

    def dead_letters(self, topic: str) -> list[DeadLetter]:
        told = [json.loads(record["Data"]) for record in self.cluster.everything(topic + DEAD_LETTER_SUFFIX)]
        return [
            DeadLetter(
                one["key"].encode(),
                None if one["value"] is None else base64.b64decode(one["value"]),
                one["headers"],
            )
            for one in told
        ]

    def sent(self, topic: str) -> dict[tuple[int, int], tuple[bytes, bytes | None]]:
        records = self.cluster.everything(topic)
        return {record["Place"]: (record["PartitionKey"].encode(), record["Data"] or None) for record in records}

    def close(self) -> None:
        if "warehouse" in vars(self):
            self.warehouse.close()


Carrier = KafkaCarrier | KinesisCarrier


def carrier_of(request: pytest.FixtureRequest, home: Path) -> Carrier:
    """For a fixture over `CARRIERS`; who makes it closes it."""
    cluster = request.getfixturevalue(request.param)
    return KafkaCarrier(cluster, home) if request.param == "kafka" else KinesisCarrier(cluster, home)
