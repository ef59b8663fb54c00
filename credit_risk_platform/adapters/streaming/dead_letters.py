"""Messages nobody could use, sent on to `<topic>.dlq` as they came, with where from and why in their headers.

Sent before the group's offset moves, so none goes missing; a run that dies in between sends some of them again, and the
headers `origin-partition` and `origin-offset` tell them apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from credit_risk_platform.adapters.kafka_client import connect
from credit_risk_platform.adapters.kafka_connection import KafkaConnection
from credit_risk_platform.adapters.streaming.batch import NotReadyError
from credit_risk_platform.domain.contracts.messages import DEAD_LETTER_SUFFIX


class DeadLetterTopic:
    """An idempotent producer, opened when the first dead letter comes."""

    def __init__(self, connection: KafkaConnection) -> None:
        self.connection = connection
        self._producer: Any = None

    def publish(self, records: pa.Table, dead: pa.Table) -> int:
        """Send the `records` whose partition and offset stand in `dead` (partition, offset, reason); returns how many.

        Raises `NotReadyError` when the cluster does not take them.
        """
        if not dead.num_rows:
            return 0
        from kafka.errors import KafkaError

        why = dead.select(["partition", "offset", "reason"])
        found = records.join(why, keys=["partition", "offset"], join_type="inner").to_pylist()
        try:
            sent = [self._send(row) for row in found]
            for future in sent:
                future.get(timeout=30)  # `flush` alone would swallow a refusal
        except (KafkaError, OSError) as error:
            self.close()
            raise NotReadyError(
                f"{len(found)} dead letters could not be sent to {self.connection.bootstrap_servers} ({error}). They "
                "stand in bronze.dead_letters; the group's offset stays, and the next run sends them again."
            ) from error
        return len(found)

    def close(self) -> None:
        if self._producer is not None:
            self._producer.close(timeout=10)
            self._producer = None

    def _send(self, row: dict[str, Any]) -> Any:
        told = [(name, value.encode()) for name, value in headers(row).items()]
        return self._open().send(row["topic"] + DEAD_LETTER_SUFFIX, key=row["key"], value=row["value"], headers=told)

    def _open(self) -> Any:
        if self._producer is None:
            from kafka import KafkaProducer

            self._producer = connect(
                KafkaProducer,
                self.connection,
                request_timeout_ms=10_000,
                bootstrap_timeout_ms=3_000,
                acks="all",
                enable_idempotence=True,
            )
        return self._producer


def headers(row: Mapping[str, Any]) -> dict[str, str]:
    """Where a dead letter came from and why it is one; `row` is a record with its `reason`."""
    told = {
        "origin-topic": row["topic"],
        "origin-topic-id": row["topic_id"],
        "origin-partition": row["partition"],
        "origin-offset": row["offset"],
        "reason": row["reason"],
        "size": row["size"],
    }
    return {name: str(value) for name, value in told.items()}
