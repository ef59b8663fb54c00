"""Kafka as the platform's stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from credit_risk_platform.adapters.kafka_connection import KafkaConnection
from credit_risk_platform.adapters.streaming.dead_letters import DeadLetterTopic
from credit_risk_platform.adapters.streaming.log import TopicLog

if TYPE_CHECKING:
    from credit_risk_platform.adapters.producing import ProducerReport
    from credit_risk_platform.domain.synthetic.events import Event


@dataclass(frozen=True)
class KafkaTransport:
    """A cluster. `partitions` are those of a topic that we make."""

    connection: KafkaConnection
    partitions: int
    name = "Kafka"

    @property
    def where(self) -> str:
        return self.connection.bootstrap_servers

    def log(self, topic: str, group: str) -> TopicLog:
        return TopicLog(self.connection, topic, group)

    def dead_letters(self) -> DeadLetterTopic:
        return DeadLetterTopic(self.connection)

    def fast_lanes(self, group: str, topic: str) -> int:
        from credit_risk_platform.adapters.streaming.members import fast_lanes

        return fast_lanes(self.connection, group, topic)

    def silent(self) -> str:
        from credit_risk_platform.adapters.kafka_ports import listens

        return "" if listens(self.where) else f"no broker answers at {self.where}"

    def ensure_topics(self) -> list[str]:
        from credit_risk_platform.adapters.kafka_topics import ensure_topics

        return ensure_topics(self.connection, self.partitions)

    def produce(
        self,
        topic: str,
        events: Iterable[Event],
        rate: float | None = None,
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> ProducerReport:
        from credit_risk_platform.adapters.kafka_producer import produce

        return produce(self.connection, topic, events, rate, on_progress)
