"""A cluster that is away for an hour must not cost the process its threads and descriptors."""

from __future__ import annotations

import os
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

DESCRIPTORS = Path("/proc/self/fd")


@pytest.mark.parametrize("client", [KafkaProducer, KafkaConsumer, KafkaAdminClient])
def test_a_client_that_finds_no_broker_leaves_no_thread_and_no_descriptor(client: type) -> None:
    nobody = KafkaConnection(f"127.0.0.1:{free_port('127.0.0.1')}")
    threads, descriptors = threading.active_count(), len(os.listdir(DESCRIPTORS))
    for _ in range(3):
        with pytest.raises(KafkaTimeoutError, match="Unable to bootstrap"):
            connect(client, nobody, bootstrap_timeout_ms=200)
    assert threading.active_count() == threads
    assert len(os.listdir(DESCRIPTORS)) <= descriptors + 1


def test_a_client_that_finds_its_broker_works(kafka: KafkaCluster) -> None:
    topic = kafka.new_topic(partitions=2)
    admin = connect(KafkaAdminClient, kafka.connection)
    try:
        assert topic in admin.list_topics()
    finally:
        admin.close()
