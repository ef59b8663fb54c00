"""May a batch be asked for now, which one, and for the how-manieth time? Decided from Dagster's own run history.

One batch of a topic is in flight at a time. A failed batch is asked for again with the same offsets, so that its
attempts count up; the group's offset has not moved, so nothing is lost however often it fails.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dagster as dg

from credit_risk_platform.adapters.streaming.batch import OffsetRange
from credit_risk_platform.defs.streaming.lanes import Lane
from credit_risk_platform.defs.streaming.requests import (
    ATTEMPT,
    NOT_READY,
    RANGE,
    TOPIC,
    range_text,
    ranges_of,
    run_request,
)
from credit_risk_platform.settings import Settings

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 2.0, 300.0
HISTORY = 50
"""Runs of one range that are looked at: beyond them the pause no longer grows."""

_Status = dg.DagsterRunStatus
UNFINISHED = [_Status.QUEUED, _Status.NOT_STARTED, _Status.STARTING, _Status.STARTED, _Status.CANCELING]
FAILED = (_Status.FAILURE, _Status.CANCELED)


@dataclass(frozen=True)
class Waiting:
    """What stands in the log for the group. `lag` counts all of it, `ranges` one batch.

    `committed` is the group's offset of each partition that has one.
    """

    topic_id: str
    ranges: Sequence[OffsetRange]
    lag: int
    committed: Mapping[int, int] = field(default_factory=dict)


def ask(
    lane: Lane, waiting: Waiting, instance: dg.DagsterInstance, settings: Settings, now: float
) -> dg.RunRequest | dg.SkipReason:
    """A run for what waits, or why none is asked for at `now` (epoch seconds)."""
    for busy in _in_flight(lane, waiting, instance, settings, now):
        return dg.SkipReason(f"{busy} Not yet committed: {waiting.lag:,} messages, safe in the log.")
    ranges = _kept(lane, waiting, instance) or waiting.ranges
    text = range_text(waiting.topic_id, ranges)
    earlier = _records(instance, lane, {RANGE: text}, HISTORY)
    failed = _failed_since_success(earlier)
    if failed and now < (due := _due(failed)):
        return dg.SkipReason(_why_later(text, failed, due, waiting.lag))
    at_fault = sum(NOT_READY not in record.dagster_run.tags for record in failed)
    return run_request(
        lane,
        waiting.topic_id,
        ranges,
        settings,
        attempt=_attempt(earlier) + 1,
        isolate=at_fault >= settings.stream_attempts,
    )


def has_begun(lane: Lane, request: dg.RunRequest, instance: dg.DagsterInstance) -> bool:
    """Whether Dagster has made the run of a request."""
    same = {name: request.tags[name] for name in (RANGE, ATTEMPT)}
    return bool(_records(instance, lane, same, 1))


def pause_after(failures: int) -> float:
    """Seconds between attempts: 2, 6, 18, 54, 162, then 300: a lost worker is replaced at once, a fault waited out."""
    return min(FIRST_PAUSE_SECONDS * 3.0 ** (min(failures, 10) - 1), LONGEST_PAUSE_SECONDS)


def _in_flight(
    lane: Lane, waiting: Waiting, instance: dg.DagsterInstance, settings: Settings, now: float
) -> Iterator[str]:
    """A sentence for each run of the lane whose batch is not committed.

    One that has outlived its lease is ended and reported failed.
    """
    records = instance.get_run_records(dg.RunsFilter(job_name=lane.job, statuses=UNFINISHED))
    for record in records:
        run = record.dagster_run
        age = now - (record.start_time or record.create_timestamp.timestamp())
        if run.status is _Status.QUEUED:
            yield (
                f"Run {run.run_id[:8]} has waited {age:.0f} s in Dagster's queue for a free slot (see Deployment > "
                "Concurrency, and concurrency.runs in dagster.yaml)."
            )
        elif age > settings.stream_lease_seconds:
            _give_up(instance, run, age, settings.stream_lease_seconds)
        elif not _committed(ranges_of(run, lane), run, waiting):  # else it only has to tell Dagster of it
            attempt = run.tags.get(ATTEMPT, "1")
            yield f"Run {run.run_id[:8]} works on {lane.topic} since {age:.0f} s (attempt {attempt})."


def _committed(asked: Sequence[OffsetRange], run: dg.DagsterRun, waiting: Waiting) -> bool:
    """Whether the group has passed all that a run was asked for: the sink holds it, so nothing of it is in flight."""
    if not asked or run.tags.get(RANGE) != range_text(waiting.topic_id, asked):
        return False
    return all(waiting.committed.get(found.partition, -1) >= found.end for found in asked)


def _give_up(instance: dg.DagsterInstance, run: dg.DagsterRun, age: float, lease: int) -> None:
    """End a worker that can still be reached; then the run counts as failed, whoever was to say so.

    A worker that lives on unreached does no harm: the sink writes a message once, whoever comes second.
    """
    try:
        instance.run_launcher.terminate(run.run_id)
    except Exception as error:  # noqa: BLE001  each launcher fails in its own way to reach a worker that is gone
        instance.report_engine_event(f"The run's worker could not be told to end: {error}", run)
    present = instance.get_run_by_id(run.run_id)
    if present is not None and not present.is_finished:
        instance.report_run_failed(
            present,
            f"Not ended after {age:.0f} s, its lease is {lease} s (CRP_STREAM_LEASE_SECONDS): the worker is taken for "
            "dead and the same messages are asked for again. What it may have written is not written twice.",
        )


def _kept(lane: Lane, waiting: Waiting, instance: dg.DagsterInstance) -> list[OffsetRange]:
    """Ranges of the last attempt if it failed and the group still stands at its start, whatever arrived meanwhile."""
    for record in _records(instance, lane, {TOPIC: lane.topic}, 1):
        run, starts = record.dagster_run, {found.partition: found.start for found in waiting.ranges}
        asked = ranges_of(run, lane)
        if run.status not in FAILED or run.tags.get(RANGE) != range_text(waiting.topic_id, asked):
            return []
        common = [found for found in asked if found.partition in starts]
        return asked if common and all(starts[found.partition] == found.start for found in common) else []
    return []


def _records(instance: dg.DagsterInstance, lane: Lane, tags: dict[str, str], limit: int) -> Sequence[dg.RunRecord]:
    """Newest first."""
    return instance.get_run_records(dg.RunsFilter(job_name=lane.job, tags=tags), limit=limit)


def _failed_since_success(earlier: Sequence[dg.RunRecord]) -> list[dg.RunRecord]:
    """A range that succeeded before is here again because somebody set the group's offset back."""
    failed = []
    for record in earlier:
        if record.dagster_run.status not in FAILED:
            break
        failed.append(record)
    return failed


def _attempt(earlier: Sequence[dg.RunRecord]) -> int:
    """The highest attempt so far, also where the history was pruned or a run was started again by hand."""
    return max([len(earlier), *(int(record.dagster_run.tags.get(ATTEMPT, 0)) for record in earlier)])


def _due(failed: Sequence[dg.RunRecord]) -> float:
    ended = failed[0].end_time or failed[0].update_timestamp.timestamp()
    return ended + pause_after(len(failed))


def _why_later(text: str, failed: Sequence[dg.RunRecord], due: float, lag: int) -> str:
    run = failed[0].dagster_run
    why = run.tags.get(NOT_READY)
    reason = f"not ready: {why} No message is given up for that." if why else f"see run {run.run_id} for why."
    return (
        f"{text} failed {len(failed)} times in a row, the last time {reason} It is asked for again at "
        f"{datetime.fromtimestamp(due, UTC):%H:%M:%S} UTC. Not yet committed: {lag:,} messages, safe in the log."
    )
