"""Everything a micro-batch needs, opened when it is first asked for: one object for runs, the fast lane and the CLI."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import pyarrow as pa

from credit_risk_platform.adapters.application_scorer import ApplicationScorer
from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.kafka_connection import KafkaConnection
from credit_risk_platform.adapters.ledger_writer import Stamp
from credit_risk_platform.adapters.policies import PolicyBook
from credit_risk_platform.adapters.streaming.applications import ApplicationScoring
from credit_risk_platform.adapters.streaming.batch import BatchReport, Handler, NotReadyError, OffsetRange
from credit_risk_platform.adapters.streaming.intake import Intake
from credit_risk_platform.adapters.streaming.kafka_transport import KafkaTransport
from credit_risk_platform.adapters.streaming.processor import Commit, Processor
from credit_risk_platform.adapters.streaming.repayments import RepaymentUpdates
from credit_risk_platform.adapters.streaming.report import Lag
from credit_risk_platform.adapters.streaming.transport import StreamLog, Transport
from credit_risk_platform.adapters.streaming.windows import TransactionWindows
from credit_risk_platform.adapters.tokens import TokenKey
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.contracts.messages import APPLICATIONS, REPAYMENTS, TRANSACTIONS

NO_FAST_LANE = (
    "The fast lane shares a topic's partitions by Kafka's consumer groups, and the stream is carried by Kinesis "
    "(CRP_STREAM_TRANSPORT). There the sensors' runs score events, within seconds: leave them on. docs/kinesis.md."
)


class Streams:
    """Topics as micro-batches. Building it opens nothing."""

    def __init__(
        self,
        transport: Transport,
        group: str,
        warehouse: Warehouse,
        bundles: BundleStore,
        behaviour_bundles: BundleStore,
        policies: PolicyBook,
        token_key: Callable[[], TokenKey],
    ) -> None:
        self.transport, self.group, self.warehouse = transport, group, warehouse
        self._token_key = token_key
        self._handlers: dict[str, Callable[[], Handler]] = {
            APPLICATIONS.topic: lambda: ApplicationScoring(ApplicationScorer(warehouse, bundles, policies)),
            REPAYMENTS.topic: lambda: RepaymentUpdates(warehouse, behaviour_bundles),
            TRANSACTIONS.topic: lambda: TransactionWindows(warehouse),
        }
        self._logs: dict[str, StreamLog] = {}
        self._processors: dict[str, Processor] = {}
        self._dead_letters = transport.dead_letters()

    @property
    def connection(self) -> KafkaConnection:
        """The cluster whose group a fast lane joins. Raises `NotReadyError` where it is not Kafka that carries."""
        if not isinstance(self.transport, KafkaTransport):
            raise NotReadyError(NO_FAST_LANE)
        return self.transport.connection

    def log(self, topic: str) -> StreamLog:
        """The topic as offsets, for this group."""
        if topic not in self._logs:
            self._logs[topic] = self.transport.log(topic, self.group)
        return self._logs[topic]

    def warm(self, topic: str, now: datetime) -> None:
        """Begin to make ready what a first batch of a topic needs, and come back at once (`Processor.warm`)."""
        self._processor(topic).warm(now)

    def process(
        self, topic: str, ranges: Sequence[OffsetRange], stamp: Stamp, now: datetime, *, isolate: bool = False
    ) -> BatchReport:
        """Take exactly `ranges` of a topic to the warehouse (`Processor.process`). `now` is naive UTC."""
        return self._processor(topic).process(ranges, stamp, now, isolate=isolate)

    def take(
        self,
        topic: str,
        records: pa.Table,
        ranges: Sequence[OffsetRange],
        stamp: Stamp,
        now: datetime,
        *,
        commit: Commit,
        isolate: bool = False,
        lag: Lag | None = None,
    ) -> BatchReport:
        """The same for messages a caller has read; `commit` moves the group's offset (`Processor.take`)."""
        return self._processor(topic).take(records, ranges, stamp, now, commit=commit, isolate=isolate, lag=lag)

    def taken_until(self, topic: str) -> dict[int, int]:
        """Partition -> the offset the sink goes on at; a partition it holds nothing of is absent."""
        return self._processor(topic).look()

    def asks(self, topic: str) -> set[str]:
        """Tables that each batch of a topic is looked up in now (`Processor.asks`)."""
        return self._processor(topic).asks

    def moved(self, topic: str, before: str, after: str) -> None:
        """This process made the warehouse's state `after` of `before`, and changed no rows (`Processor.moved`)."""
        self._processor(topic).moved(before, after)

    def close(self) -> None:
        for log in self._logs.values():
            log.close()
        self._dead_letters.close()

    def _processor(self, topic: str) -> Processor:
        if topic not in self._processors:
            handler = self._handlers[topic]()
            intake = Intake(handler.contract, self._token_key())
            self._processors[topic] = Processor(self.warehouse, self.log(topic), intake, handler, self._dead_letters)
        return self._processors[topic]
