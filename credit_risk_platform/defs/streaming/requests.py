"""A micro-batch as Dagster knows it: run config with offsets and never messages, and tags to find its attempts by."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from credit_risk_platform.adapters.streaming.batch import OffsetRange
from credit_risk_platform.defs.streaming.lanes import Lane
from credit_risk_platform.settings import Settings

TOPIC, RANGE, ATTEMPT, NOT_READY = "crp/topic", "crp/range", "crp/attempt", "crp/not_ready"
TAG_LENGTH = 200
"""Longer ranges (many partitions) are cut and get a hash: databases index tags by value."""


class Slice(dg.Config):
    """Messages [start, end) of one partition."""

    partition: int
    start: int
    end: int


class BatchConfig(dg.Config):
    """What one run reads. Left empty, as by *Materialize* in the UI, it takes all that waits."""

    topic_id: str = Field("", description="Id of the topic whose offsets these are; another one is refused.")
    ranges: list[Slice] = Field([], description="Exact offsets. Empty: what waits now, up to stream_batch_messages.")
    isolate: bool = Field(False, description="Try messages one by one; what fails alone becomes a dead letter.")


def ranges_in(config: BatchConfig, topic: str) -> list[OffsetRange]:
    return [OffsetRange(topic, one.partition, one.start, one.end) for one in config.ranges]


def ranges_of(run: dg.DagsterRun, lane: Lane) -> list[OffsetRange]:
    """The ranges a run of the lane was asked for; empty for one that was started by hand without any."""
    # Dagster types a run's config as read-only objects; what stands there is the JSON that `run_request` wrote.
    ops: Mapping[str, Any] = run.run_config.get("ops", {})  # type: ignore[assignment]
    found = ops.get(lane.topic, {}).get("config", {}).get("ranges", [])
    return [OffsetRange(lane.topic, int(one["partition"]), int(one["start"]), int(one["end"])) for one in found]


def range_text(topic_id: str, ranges: Sequence[OffsetRange]) -> str:
    """`9Tk2bQxw:p0:0-500,p1:0-480`: names one batch of one topic; the value of tag `crp/range`."""
    text = f"{topic_id[:8]}:" + ",".join(str(found) for found in sorted(ranges))
    if len(text) <= TAG_LENGTH:
        return text
    return f"{text[: TAG_LENGTH - 20]}...{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def run_request(
    lane: Lane, topic_id: str, ranges: Sequence[OffsetRange], settings: Settings, *, attempt: int, isolate: bool
) -> dg.RunRequest:
    """One run for exactly these messages.

    Dagster starts a run key once and never again, also when that run failed: so the attempt is part of it.
    """
    text = range_text(topic_id, ranges)
    config = {
        "topic_id": topic_id,
        "ranges": [{"partition": one.partition, "start": one.start, "end": one.end} for one in ranges],
        "isolate": isolate,
    }
    return dg.RunRequest(
        run_key=f"{lane.topic}:{text}#{attempt}",
        run_config={"ops": {lane.topic: {"config": config}}},
        tags={
            TOPIC: lane.topic,
            RANGE: text,
            ATTEMPT: str(attempt),
            "dagster/max_runtime": str(settings.stream_lease_seconds),
        },
    )
