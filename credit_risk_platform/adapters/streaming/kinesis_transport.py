"""Kinesis as the platform's stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from credit_risk_platform.adapters.kinesis_connection import KinesisConnection
from credit_risk_platform.adapters.streaming.kinesis_dead_letters import DeadLetterStream
from credit_risk_platform.adapters.streaming.kinesis_log import KinesisLog
from credit_risk_platform.adapters.warehouse.base import Warehouse

if TYPE_CHECKING:
    from credit_risk_platform.adapters.producing import ProducerReport
    from credit_risk_platform.domain.synthetic.events import Event


@dataclass(frozen=True)
class KinesisTransport:
    """Streams of one account and region. `warehouse` keeps the bookmarks; `shards` are those of a stream we make."""

    connection: KinesisConnection
    warehouse: Warehouse
    shards: int
    name = "Kinesis"

    @property
    def where(self) -> str:
        return self.connection.where

    def log(self, topic: str, group: str) -> KinesisLog:
        return KinesisLog(self.connection, topic, group, self.warehouse)

    def dead_letters(self) -> DeadLetterStream:
        return DeadLetterStream(self.connection)

    def fast_lanes(self, group: str, topic: str) -> int:
        """None: a fast lane is a member of a Kafka group."""
        return 0

    def silent(self) -> str:
        """Its clients tell soon themselves."""
        return ""

    def ensure_topics(self) -> list[str]:
        from credit_risk_platform.adapters.kinesis_streams import ensure_streams

        return ensure_streams(self.connection, self.shards)

    def produce(
        self,
        topic: str,
        events: Iterable[Event],
        rate: float | None = None,
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> ProducerReport:
        from credit_risk_platform.adapters.kinesis_producer import produce

        return produce(self.connection, topic, events, rate, on_progress)
