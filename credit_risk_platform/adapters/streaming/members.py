"""Who else works on a topic? Fast lanes are live members of a group of their own; asking it is how others know."""

from __future__ import annotations

from credit_risk_platform.adapters.kafka_client import connect
from credit_risk_platform.adapters.kafka_connection import KafkaConnection
from credit_risk_platform.adapters.streaming.batch import NotReadyError
from credit_risk_platform.adapters.streaming.fast_lane import members_group


def fast_lanes(connection: KafkaConnection, group: str, topic: str) -> int:
    """Processes that live as fast lanes of `topic` now. One that died is counted until its session ends (10 s)."""
    from kafka.admin import KafkaAdminClient
    from kafka.errors import CoordinatorNotAvailableError, GroupIdNotFoundError, KafkaError

    name = members_group(group, topic)
    try:
        admin = connect(KafkaAdminClient, connection, request_timeout_ms=10_000, bootstrap_timeout_ms=3_000)
        try:
            return len(admin.describe_groups([name])[name]["members"])
        finally:
            admin.close()
    except (CoordinatorNotAvailableError, GroupIdNotFoundError):  # a cluster, or a topic, that never had a fast lane
        return 0
    except (KafkaError, OSError) as error:
        where = connection.bootstrap_servers
        raise NotReadyError(f"Kafka at {where} does not say who works on {topic}: {error}") from error
