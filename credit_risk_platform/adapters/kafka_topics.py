"""The platform's topics on a cluster: made where they are absent, never altered, and what they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from credit_risk_platform.adapters.kafka_client import connect
from credit_risk_platform.adapters.kafka_connection import KafkaConnection
from credit_risk_platform.adapters.kafka_ports import listens
from credit_risk_platform.adapters.streaming.batch import NotReadyError
from credit_risk_platform.domain.contracts.messages import CONTRACTS

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

BOOTSTRAP_MS = 10_000
DEAD_LETTER_PARTITIONS = 1
"""Few messages, read by people in the order they failed in."""
BROKER_DEFAULT = -1


@dataclass(frozen=True)
class TopicState:
    """One topic as the cluster has it; without partitions it is absent."""

    topic: str
    beginnings: Mapping[int, int] = field(default_factory=dict)
    """Partition -> first offset that is still there."""
    ends: Mapping[int, int] = field(default_factory=dict)
    """Partition -> offset that the next message will get."""

    @property
    def partitions(self) -> int:
        return len(self.ends)

    @property
    def messages(self) -> int:
        """How many are there, at most: transactions and compaction take offsets without a message."""
        return sum(self.ends.values()) - sum(self.beginnings.values())


def platform_topics(partitions: int) -> dict[str, int]:
    """Topic -> partitions, dead-letter topics with their topics."""
    return {
        name: count
        for contract in CONTRACTS.values()
        for name, count in ((contract.topic, partitions), (contract.dead_letter_topic, DEAD_LETTER_PARTITIONS))
    }


def ensure_topics(connection: KafkaConnection, partitions: int) -> list[str]:
    """Make the topics that are absent; returns their names.

    One that is there stays as it is: its partition count decides which messages stand in order, and is its owner's.
    """
    from kafka.errors import TopicAlreadyExistsError, for_code

    with _administration(connection) as admin:
        present = set(admin.list_topics())
        wanted = {
            name: {"num_partitions": count, "replication_factor": BROKER_DEFAULT}
            for name, count in platform_topics(partitions).items()
            if name not in present
        }
        if not wanted:
            return []
        made = []
        for answer in admin.create_topics(wanted, raise_errors=False)["topics"]:
            error = for_code(answer["error_code"])
            if answer["error_code"] == 0:
                made.append(answer["name"])
            elif error is not TopicAlreadyExistsError:  # someone else was faster
                raise NotReadyError(
                    f"Kafka at {connection.bootstrap_servers} does not make topic {answer['name']}: "
                    f"{error.__name__}: {answer.get('error_message') or ''}. Make it there, or get the right to."
                )
        admin.wait_for_topics(list(wanted))
        return made


def topic_states(connection: KafkaConnection) -> list[TopicState]:
    """Every topic of the platform in the contracts' order, with its offsets; absent ones too."""
    from kafka import TopicPartition
    from kafka.admin import OffsetSpec

    names = list(platform_topics(1))
    with _administration(connection) as admin:
        present = set(admin.list_topics()).intersection(names)
        described = admin.describe_topics(sorted(present)) if present else []
        places = [TopicPartition(t["name"], p["partition_index"]) for t in described for p in t["partitions"]]
        begin = admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.EARLIEST)) if places else {}
        end = admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST)) if places else {}

    def of(name: str, offsets: Mapping[TopicPartition, object]) -> dict[int, int]:
        # kafka-python annotates the plain offset; the admin client gives an object with the time beside it.
        return {place.partition: offsets[place].offset for place in places if place.topic == name}  # type: ignore[attr-defined]

    return [TopicState(name, of(name, begin), of(name, end)) for name in names]


@contextmanager
def _administration(connection: KafkaConnection) -> Iterator[KafkaAdminClient]:
    """A client for the block. Raises `NotReadyError` when the cluster cannot be reached."""
    from kafka.admin import KafkaAdminClient
    from kafka.errors import KafkaError

    if not listens(connection.bootstrap_servers):
        raise unreachable(connection, "nothing listens there")
    try:
        admin = connect(KafkaAdminClient, connection, bootstrap_timeout_ms=BOOTSTRAP_MS)
    except KafkaError as error:  # the client tells a wrong password from silence only in its log
        spoken = f"something listens there, but does not answer in {connection.security_protocol}"
        raise unreachable(connection, f"{spoken} ({error})") from error
    try:
        yield admin
    except KafkaError as error:
        raise unreachable(connection, str(error)) from error
    finally:
        admin.close()


def unreachable(connection: KafkaConnection, why: str) -> NotReadyError:
    """The same words wherever the cluster does not answer."""
    return NotReadyError(
        f"Kafka at {connection.bootstrap_servers} cannot be used: {why}. "
        "Start a broker here with `crp kafka up`, or correct KAFKA_BOOTSTRAP_SERVERS and its KAFKA_* settings."
    )
