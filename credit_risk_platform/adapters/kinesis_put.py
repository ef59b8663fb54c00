"""Records into a stream, as many at once as Kinesis takes, until every one of them is in.

PutRecords may take some of a call and refuse the others, for a shard that is written to too fast: those are sent again.
So records of one key can change places when a shard is overloaded.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from credit_risk_platform.adapters.streaming.batch import NotReadyError

RECORDS, BYTES = 500, 4_500_000
"""Of one call; Kinesis takes 500 and 5 MiB."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, PATIENCE_SECONDS = 0.1, 2.0, 30.0


def put_all(client: Any, stream: str, records: Sequence[Mapping[str, Any]]) -> list[int]:
    """Send records (`Data`, `PartitionKey`) in calls of their own; the shard number of each.

    Raises botocore's errors, and `NotReadyError` when a shard stays overloaded for half a minute.
    """
    return [number for call in _calls(records) for number in _put(client, stream, call)]


def _put(client: Any, stream: str, records: Sequence[Mapping[str, Any]]) -> list[int]:
    shards = [-1] * len(records)
    left, pause, deadline = list(range(len(records))), FIRST_PAUSE_SECONDS, time.monotonic() + PATIENCE_SECONDS
    while True:
        told = client.put_records(StreamName=stream, Records=[records[at] for at in left])["Records"]
        for at, answer in zip(left, told, strict=True):
            if "ErrorCode" not in answer:
                shards[at] = int(answer["ShardId"].rpartition("-")[2])
        refused = {answer["ErrorCode"] for answer in told if "ErrorCode" in answer}
        left = [at for at in left if shards[at] < 0]
        if not left:
            return shards
        if time.monotonic() > deadline:
            raise NotReadyError(
                f"{len(left)} of {len(records)} records were not taken by stream {stream} for "
                f"{PATIENCE_SECONDS:.0f} s ({', '.join(sorted(refused))}): give it more shards, or send more slowly"
            )
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def _calls(records: Sequence[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    call: list[Mapping[str, Any]] = []
    size = 0
    for record in records:
        more = len(record["Data"]) + len(record["PartitionKey"])
        if call and (len(call) == RECORDS or size + more > BYTES):
            yield call
            call, size = [], 0
        call.append(record)
        size += more
    if call:
        yield call
