"""The platform's streams in Kinesis: made where they are absent, never altered, and how they are."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from credit_risk_platform.adapters.kinesis_connection import ABSENT, KinesisConnection, asking, code_of
from credit_risk_platform.adapters.streaming.batch import NotReadyError
from credit_risk_platform.domain.contracts.messages import CONTRACTS

DEAD_LETTER_SHARDS = 1
ACTIVE_SECONDS, LOOK_SECONDS = 180.0, 1.0
_TAKEN = "ResourceInUseException"


@dataclass(frozen=True)
class StreamState:
    """One stream as Kinesis has it; without status it is absent."""

    stream: str
    status: str = ""
    shards: int = 0
    """Open ones."""
    retention_hours: int = 0
    encrypted: bool = False


def platform_streams(shards: int) -> dict[str, int]:
    """Stream -> shards, dead-letter streams with their streams."""
    return {
        name: count
        for contract in CONTRACTS.values()
        for name, count in ((contract.topic, shards), (contract.dead_letter_topic, DEAD_LETTER_SHARDS))
    }


def ensure_streams(connection: KinesisConnection, shards: int) -> list[str]:
    """Make the streams that are absent and wait until all can be used; names of those made.

    One that is there stays as it is: how many shards it has is its owner's affair.
    """
    from botocore.exceptions import ClientError

    made = []
    client = connection.client()
    try:
        for name, count in platform_streams(shards).items():
            with asking(connection.where, name):
                if _described(client, name) is not None:
                    continue
                try:
                    client.create_stream(StreamName=name, ShardCount=count)
                    made.append(name)
                except ClientError as error:
                    if code_of(error) != _TAKEN:  # else someone was faster
                        raise
        deadline = time.monotonic() + ACTIVE_SECONDS
        for name in platform_streams(shards):
            _until_active(connection, client, name, deadline)
    finally:
        client.close()
    return made


def stream_states(connection: KinesisConnection) -> list[StreamState]:
    """Every stream of the platform in the contracts' order; absent ones too."""
    client = connection.client()
    try:
        return [_state(connection, client, name) for name in platform_streams(1)]
    finally:
        client.close()


def _state(connection: KinesisConnection, client: Any, name: str) -> StreamState:
    with asking(connection.where, name):
        found = _described(client, name)
    if found is None:
        return StreamState(name)
    return StreamState(
        name,
        found["StreamStatus"],
        found["OpenShardCount"],
        found["RetentionPeriodHours"],
        found.get("EncryptionType", "NONE") != "NONE",
    )


def _described(client: Any, name: str) -> dict[str, Any] | None:
    from botocore.exceptions import ClientError

    try:
        found: dict[str, Any] = client.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
    except ClientError as error:
        if code_of(error) in ABSENT:
            return None
        raise
    return found


def _until_active(connection: KinesisConnection, client: Any, name: str, deadline: float) -> None:
    while True:
        found = _state(connection, client, name)
        if found.status in ("ACTIVE", "UPDATING"):
            return
        if time.monotonic() > deadline:
            raise NotReadyError(
                f"stream {name} at {connection.where} is {found.status or 'absent'} after {ACTIVE_SECONDS:.0f} s: look "
                "at it in AWS's console, then run `crp kinesis up` again"
            )
        time.sleep(LOOK_SECONDS)
