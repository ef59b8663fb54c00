"""The records of one shard, page by page, no faster than Kinesis bears: five calls a second for all readers of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from credit_risk_platform.adapters.kinesis_connection import BUSY, asking, code_of
from credit_risk_platform.domain.contracts.messages import MAX_MESSAGE_BYTES

PAGE_SECONDS = 0.2
PAGE_RECORDS = 10_000
STALL_SECONDS = 30.0
"""How long other readers of the shard may keep us waiting."""
BUSY_SECONDS = 1.0


class Entry(NamedTuple):
    """One record. `value` is null for a tombstone (no bytes), for one above the size limit, and when not `kept`."""

    sequence: int
    arrived: datetime
    """Naive UTC."""
    key: bytes
    value: bytes | None
    size: int
    kept: bool = True


@dataclass(frozen=True)
class Page:
    """`tip`: at `asked_at` the shard held nothing beyond it. `over`: the shard is closed, and this was its end."""

    entries: Sequence[Entry]
    behind_ms: int
    tip: bool
    over: bool
    asked_at: datetime


class Pages:
    """A place in one shard of a stream. `seek` before `next`."""

    def __init__(self, client: Any, where: str, stream: str, shard_id: str) -> None:
        self.client, self.where, self.stream, self.shard_id = client, where, stream, shard_id
        self.closed = False
        """No record will be added. Whoever lists the shards says so."""
        self._iterator: str | None = None
        self._asked = -PAGE_SECONDS

    def seek(self, kind: str, sequence: int | None = None) -> None:
        """Go to `TRIM_HORIZON`, or `AT_SEQUENCE_NUMBER`.

        Raises botocore's `ClientError`, with `InvalidArgumentException` where that number is no longer known.
        """
        named = {} if sequence is None else {"StartingSequenceNumber": str(sequence)}
        found = self.client.get_shard_iterator(
            StreamName=self.stream, ShardId=self.shard_id, ShardIteratorType=kind, **named
        )
        self._iterator = found["ShardIterator"]

    def next(self, at_most: int = PAGE_RECORDS) -> Page:
        """The next page, of `at_most` records. Waits its turn.

        Raises `ClientError` where the place has expired (five minutes without a call) or the stream is gone, and
        `NotReadyError` where other readers leave no room for half a minute.
        """
        limit = min(max(at_most, 1), PAGE_RECORDS)
        closed, asked_at = self.closed, datetime.now(UTC).replace(tzinfo=None)
        found = self._get(limit)
        self._iterator = found.get("NextShardIterator")
        entries = [_entry(record) for record in found["Records"]]
        behind = int(found.get("MillisBehindLatest") or 0)
        # A full page may end anywhere; and a stand-in rounds less than a millisecond down to nothing.
        tip = self._iterator is None or (behind == 0 and len(entries) < limit)
        return Page(entries, behind, tip, tip and (closed or self._iterator is None), asked_at)

    def _get(self, limit: int) -> dict[str, Any]:
        from botocore.exceptions import ClientError

        started = time.monotonic()
        while True:
            time.sleep(max(0.0, self._asked + PAGE_SECONDS - time.monotonic()))
            self._asked = time.monotonic()
            try:
                found: dict[str, Any] = self.client.get_records(ShardIterator=self._iterator, Limit=limit)
                return found
            except ClientError as error:
                if code_of(error) not in BUSY:
                    raise
                if time.monotonic() - started > STALL_SECONDS:
                    with asking(self.where, self.stream):
                        raise
            time.sleep(BUSY_SECONDS)


def _entry(record: dict[str, Any]) -> Entry:
    data = record["Data"]
    return Entry(
        int(record["SequenceNumber"]),
        record["ApproximateArrivalTimestamp"].astimezone(UTC).replace(tzinfo=None),
        record["PartitionKey"].encode(),
        data if 0 < len(data) <= MAX_MESSAGE_BYTES else None,
        len(data),
    )
