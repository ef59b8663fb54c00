"""Sends events to a Kinesis stream at a stated rate and says what became of them. Pace and report: `producing`."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from credit_risk_platform.adapters.kinesis_connection import KinesisConnection, asking
from credit_risk_platform.adapters.kinesis_put import RECORDS, put_all
from credit_risk_platform.adapters.producing import ProduceError, ProducerReport, Tally, check_rate, paced
from credit_risk_platform.adapters.streaming.batch import NotReadyError
from credit_risk_platform.domain.synthetic.events import Event

LINGER_SECONDS = 0.1
"""How long a record may wait for others to travel with."""


def produce(
    connection: KinesisConnection,
    topic: str,
    events: Iterable[Event],
    rate: float | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> ProducerReport:
    """Send `events` in their order, `rate` a second (None: as fast as Kinesis takes them), until they end.

    A tombstone is a record of no bytes: Kinesis knows no other.

    Raises:
        ProduceError: Kinesis is away, does not know the stream, or does not take a record; the first fault ends it.
        ValueError: a rate of zero or less.
    """
    check_rate(rate)
    tally = Tally(topic)
    waiting: list[dict[str, Any]] = []
    since = time.perf_counter()
    try:
        client = connection.client()
        try:
            for event in paced(events, rate, on_progress):
                tally.count(event)
                since = since if waiting else time.perf_counter()
                waiting.append({"Data": event.value or b"", "PartitionKey": _key(event.key)})
                if len(waiting) == RECORDS or time.perf_counter() - since > LINGER_SECONDS:
                    _send(connection, client, tally, waiting)
            _send(connection, client, tally, waiting)
        finally:
            client.close()
    except NotReadyError as error:
        raise ProduceError(f"{tally.confirmed:,} messages reached {topic}, then it stopped: {error}") from error
    on_progress(tally.sent)
    return tally.report(time.perf_counter() - tally.started)


def _send(connection: KinesisConnection, client: Any, tally: Tally, waiting: list[dict[str, Any]]) -> None:
    with asking(connection.where, tally.topic):
        shards = put_all(client, tally.topic, waiting)
    tally.partitions.update(shards)
    tally.confirmed += len(shards)
    waiting.clear()


def _key(key: bytes | None) -> str:
    """Kinesis wants one: a message without goes anywhere."""
    return key.decode(errors="replace") if key else uuid.uuid4().hex
