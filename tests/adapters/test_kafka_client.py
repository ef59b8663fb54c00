"""A cluster that is away for an hour must not cost the process its threads and descriptors."""

from __future__ import annotations

import gc
import logging
import threading
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaTimeoutError

from credit_risk_platform.adapters.kafka_client import connect
from credit_risk_platform.adapters.kafka_connection import KafkaConnection
from credit_risk_platform.adapters.kafka_ports import free_port
from tests.kafka_cluster import KafkaCluster


def held() -> tuple[int, int]:
    """Threads and descriptors, without sockets that only wait for the garbage collector."""
    gc.collect()
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("client", [KafkaProducer, KafkaConsumer, KafkaAdminClient])
def test_a_client_that_finds_no_broker_leaves_no_thread_and_no_descriptor(
    client: type, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, logger="kafka")  # a log record that is kept keeps the socket it speaks of
    nobody = KafkaConnection(f"127.0.0.1:{free_port('127.0.0.1')}")
    before = held()
    for _ in range(3):
        with pytest.raises(KafkaTimeoutError, match="Unable to bootstrap"):
            connect(client, nobody, bootstrap_timeout_ms=200)
    assert held() == before


def test_a_client_that_finds_its_broker_works(kafka: KafkaCluster) -> None:
    topic = kafka.new_topic(partitions=2)
    admin = connect(KafkaAdminClient, kafka.connection)
    try:
        assert topic in admin.list_topics()
    finally:
        admin.close()
