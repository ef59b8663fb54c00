"""Sends events to a topic at a stated rate and says what became of them.

Belongs here: delivery. Does not: pace and report (`producing`), what the events are (`domain.synthetic`, `sources`),
topics (`kafka_topics`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from credit_risk_platform.adapters.kafka_client import connect
from credit_risk_platform.adapters.kafka_connection import KafkaConnection
from credit_risk_platform.adapters.producing import ProduceError, ProducerReport, Tally, check_rate, paced
from credit_risk_platform.domain.synthetic.events import Event

if TYPE_CHECKING:
    from kafka import KafkaProducer

UNCONFIRMED = 10_000
"""Messages that may wait for the broker's word before we wait for it: what bounds memory."""
WAIT_SECONDS = 30.0
_OPTIONS: Mapping[str, Any] = {
    "acks": "all",
    "enable_idempotence": True,  # a send that is repeated after a broken connection stands in the log once
    "linger_ms": 5,
    "batch_size": 65_536,
    "bootstrap_timeout_ms": 5_000,
    "max_block_ms": 10_000,
    "request_timeout_ms": 10_000,
    "delivery_timeout_ms": 30_000,
    "allow_auto_create_topics": False,
}


def produce(
    connection: KafkaConnection,
    topic: str,
    events: Iterable[Event],
    rate: float | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> ProducerReport:
    """Send `events` in their order, `rate` a second (None: as fast as the broker takes them), until they end.

    `on_progress` is told the number sent so far, about ten times a second.

    Raises:
        ProduceError: the broker is away, does not know the topic, or refuses a message; the first fault ends it.
        ValueError: a rate of zero or less.
    """
    from kafka.errors import KafkaError

    check_rate(rate)
    delivery = _Delivery(topic, connection.bootstrap_servers)
    try:
        with _connected(connection) as producer:
            producer.partitions_for(topic)  # who leads them is known before the clock starts
            for event in paced(events, rate, on_progress):
                delivery.send(producer, event)
            delivery.wait(at_most=0)
            seconds = time.perf_counter() - delivery.started
    except KafkaError as error:
        raise delivery.fault(error) from error
    on_progress(delivery.sent)
    return delivery.report(seconds)


@contextmanager
def _connected(connection: KafkaConnection) -> Iterator[KafkaProducer]:
    """A producer that waits for what it has sent, unless something went wrong."""
    from kafka import KafkaProducer
    from kafka.errors import KafkaError

    producer = connect(KafkaProducer, connection, **_OPTIONS)
    try:
        yield producer
    except BaseException:
        with suppress(KafkaError):  # what could not be sent is known; the first fault is what the caller must see
            producer.close(timeout=1)
        raise
    producer.close(timeout=WAIT_SECONDS)


class _Delivery(Tally):
    """The broker's word arrives on the client's own thread."""

    def __init__(self, topic: str, where: str) -> None:
        super().__init__(topic)
        self.where = where
        self.failures: list[Exception] = []
        self._lock = threading.Lock()

    def send(self, producer: KafkaProducer, event: Event) -> None:
        self.count(event)
        future = producer.send(self.topic, key=event.key, value=event.value)
        future.add_callback(self._confirm)
        future.add_errback(self.failures.append)
        self.wait(at_most=UNCONFIRMED)

    def _confirm(self, metadata: Any) -> None:
        with self._lock:
            self.partitions[metadata.partition] += 1
            self.confirmed += 1

    def wait(self, at_most: int) -> None:
        """Until at most so many messages are unconfirmed. Ends: the client gives up on each after its own time."""
        while not self.failures and self.sent - self.confirmed > at_most:
            time.sleep(0.001)
        if self.failures:
            raise self.failures[0]

    def fault(self, error: Exception) -> ProduceError:
        from kafka import errors

        sizes = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError)
        if isinstance(error, sizes):
            step = (
                "Make the message smaller, or raise max.message.bytes of the topic; the platform reads up to 256 KiB."
            )
        elif isinstance(error, errors.AuthorizationError):
            step = f"Ask for the right to write to {self.topic}, or set KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD."
        elif isinstance(error, errors.UnknownTopicOrPartitionError):
            step = "Make the topic: crp kafka up does."
        else:
            step = "Start a broker and its topics with crp kafka up, or name yours: KAFKA_BOOTSTRAP_SERVERS=host:9092."
        return ProduceError(
            f"{self.confirmed:,} messages reached {self.topic} on {self.where}, then it stopped: {error}. {step}"
        )
