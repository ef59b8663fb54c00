"""A real Kafka for tests: Apache's broker, one per test session, or one of its own for a test that stops it.

def test_x(kafka): topic = kafka.new_topic(); kafka.produce(topic, [{"a": 1}, b"not json"]); kafka.connection ...
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from credit_risk_platform.adapters.kafka_broker import KafkaBroker
from credit_risk_platform.adapters.kafka_connection import KafkaConnection
from credit_risk_platform.adapters.kafka_node import DATA
from credit_risk_platform.adapters.kafka_ports import free_port
from credit_risk_platform.settings import PROJECT_ROOT

JARS = PROJECT_ROOT / "data" / "kafka-test"
"""Ignored by git, so that the next test session fetches nothing."""
FORMATTED = "meta.properties"
HOST = "127.0.0.1"

Message = bytes | str | Mapping[str, Any] | None


@dataclass
class KafkaCluster:
    """A running broker and the few things every test does with one."""

    broker: KafkaBroker
    connection: KafkaConnection

    def discard(self) -> None:
        """Nobody needs what it holds: kill it, and wait for nothing."""
        pid = self.broker.status().pid
        if pid is not None:
            os.killpg(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):  # started by another process
                os.waitpid(pid, 0)

    def new_topic(self, name: str | None = None, partitions: int = 3, **config: Any) -> str:
        """A topic no other test has. `config` are topic settings, with `_` for the dots."""
        from kafka.admin import KafkaAdminClient

        topic = name or f"test-{uuid.uuid4().hex[:12]}"
        configs = {key.replace("_", "."): str(value) for key, value in config.items()}
        wanted = {topic: {"num_partitions": partitions, "replication_factor": 1, "configs": configs}}
        admin = KafkaAdminClient(**self.connection.options())
        try:
            admin.create_topics(wanted, wait_for_metadata=True)
        finally:
            admin.close()
        return topic

    def produce(
        self,
        topic: str,
        values: Sequence[Message],
        partition: int | None = None,
        keys: Sequence[str | bytes | None] | None = None,
        timestamp_ms: int | None = None,
    ) -> list[tuple[int, int]]:
        """Send and wait; the (partition, offset) of each. Mappings go as JSON, None is a tombstone."""
        from kafka import KafkaProducer

        producer = KafkaProducer(**self.connection.options())
        try:
            sent = [
                producer.send(topic, _bytes(value), key=_bytes(key), partition=partition, timestamp_ms=timestamp_ms)
                for value, key in zip(values, keys or [None] * len(values), strict=True)
            ]
            producer.flush(30)
            return [(done.partition, done.offset) for done in (future.get(30) for future in sent)]
        finally:
            producer.close()


def _bytes(value: Message) -> bytes | None:
    if isinstance(value, Mapping):
        return json.dumps(value).encode()
    return value.encode() if isinstance(value, str) else value


def broker_in(folder: Path) -> KafkaBroker:
    """Not started, on a free port; skips the test where Java or Maven is missing."""
    broker = KafkaBroker(folder, HOST, free_port(HOST), java_heap_mb=256, cache=JARS)
    if missing := broker.missing():
        pytest.skip(f"no Kafka on this machine: {' '.join(missing)}")
    return broker


@cache
def _formatted() -> Path:
    """Storage as the first broker of this process formatted it: that takes a Java process of its own."""
    kept = Path(tempfile.mkdtemp(prefix="kafka-storage-"))
    atexit.register(shutil.rmtree, kept, ignore_errors=True)
    return kept


def start_broker(folder: Path) -> KafkaCluster:
    broker, storage = broker_in(folder), folder / DATA
    if not folder.exists() and any(_formatted().iterdir()):
        shutil.copytree(_formatted(), storage)
    broker.up()
    shutil.copyfile(storage / FORMATTED, _formatted() / FORMATTED)
    return KafkaCluster(broker, KafkaConnection(broker.bootstrap))


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """One broker for the whole session: give each test topics and groups of its own."""
    cluster = start_broker(tmp_path_factory.mktemp("kafka"))
    yield cluster
    cluster.discard()


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[KafkaCluster]:
    """A broker for one test, which may stop, kill and start it again (`.broker.down()`, `.broker.up()`)."""
    cluster = start_broker(tmp_path / "kafka")
    yield cluster
    cluster.discard()
