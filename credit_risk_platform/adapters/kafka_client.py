"""Makes Kafka clients, and leaves nothing behind when one cannot be made.

kafka-python 3.0 keeps the IO thread and the sockets of a consumer or an admin client that could not reach its cluster:
one thread and four descriptors each time, in a process that tries every few seconds until the cluster is back.
"""

from __future__ import annotations

from typing import Any, TypeVar

from credit_risk_platform.adapters.kafka_connection import KafkaConnection

Client = TypeVar("Client")


def connect(client: type[Client], connection: KafkaConnection, **options: Any) -> Client:
    """A `KafkaProducer`, `KafkaConsumer` or `KafkaAdminClient` on `connection`. Raises what its constructor raises."""
    from kafka.net.compat import KafkaNetClient

    networks: list[KafkaNetClient] = []

    def network(**config: Any) -> KafkaNetClient:
        networks.append(KafkaNetClient(**config))
        return networks[-1]

    try:
        return client(**connection.options(kafka_client=network, **options))
    except BaseException:
        for made in networks:
            made.close()
        raise
