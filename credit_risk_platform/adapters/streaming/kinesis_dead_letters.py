"""Messages nobody could use, sent on to the stream `<topic>.dlq`, with where from and why.

Kinesis knows no headers, so a record there is one JSON object: `headers` with the names that Kafka's dead letters bear,
`key`, and `value` in base64 (null for a tombstone, and for one too large to be read).
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pyarrow as pa

from credit_risk_platform.adapters.kinesis_connection import KinesisConnection, asking
from credit_risk_platform.adapters.kinesis_put import put_all
from credit_risk_platform.adapters.streaming.batch import NotReadyError
from credit_risk_platform.adapters.streaming.dead_letters import headers
from credit_risk_platform.domain.contracts.messages import DEAD_LETTER_SUFFIX


class DeadLetterStream:
    """The `DeadLetters` of Kinesis. Sent before the bookmark moves, so none goes missing; some may come twice."""

    def __init__(self, connection: KinesisConnection) -> None:
        self.connection = connection
        self._client: Any = None

    def publish(self, records: pa.Table, dead: pa.Table) -> int:
        """Send the `records` whose partition and offset stand in `dead` (partition, offset, reason); returns how many.

        Raises `NotReadyError` when Kinesis does not take them.
        """
        if not dead.num_rows:
            return 0
        why = dead.select(["partition", "offset", "reason"])
        found = records.join(why, keys=["partition", "offset"], join_type="inner").to_pylist()
        if not found:
            return 0
        stream = found[0]["topic"] + DEAD_LETTER_SUFFIX
        try:
            self._client = self._client or self.connection.client()
            with asking(self.connection.where, stream):
                put_all(self._client, stream, [_envelope(row) for row in found])
        except NotReadyError as error:
            raise NotReadyError(
                f"{len(found)} dead letters could not be sent: {error} They stand in bronze.dead_letters; the group's "
                "bookmark stays, and the next run sends them again."
            ) from error
        return len(found)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def _envelope(row: dict[str, Any]) -> dict[str, Any]:
    key = (row["key"] or b"").decode(errors="replace")
    told = {
        "headers": headers(row),
        "key": key,
        "value": None if row["value"] is None else base64.b64encode(row["value"]).decode(),
    }
    return {"Data": json.dumps(told).encode(), "PartitionKey": key or "none"}
