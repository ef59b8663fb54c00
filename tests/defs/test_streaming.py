"""When a micro-batch is asked for, what is asked for after a failure, and what a user reads while it waits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from credit_risk_platform.adapters.streaming.batch import OffsetRange
from credit_risk_platform.definitions_streaming import build_streaming_definitions
from credit_risk_platform.defs.streaming.attempts import Waiting, ask, pause_after
from credit_risk_platform.defs.streaming.lanes import WINDOWS
from credit_risk_platform.defs.streaming.requests import (
    ATTEMPT,
    NOT_READY,
    RANGE,
    TAG_LENGTH,
    range_text,
    ranges_of,
)
from credit_risk_platform.settings import Settings

TOPIC_ID = "9Tk2bQxwR0aVtyPqLkJ7Xg"
LATER = 3_600.0
Status = dg.DagsterRunStatus


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def stream(tmp_path: Path, instance: dg.DagsterInstance) -> Stream:
    return Stream(Settings(home=tmp_path, stream_attempts=2, stream_lease_seconds=60), instance)


class Stream:
    """The sensor's decision on one side, Dagster's run history on the other; the daemon's part is played by hand."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.settings, self.instance = settings, instance
        self.job = build_streaming_definitions(settings).resolve_job_def(WINDOWS.job)

    def ask(self, end: int = 10, *, start: int = 0, after: float = 0.0, topic_id: str = TOPIC_ID, committed=None):
        ranges = [OffsetRange(WINDOWS.topic, 0, start, end), OffsetRange(WINDOWS.topic, 2, start, end)]
        waiting = Waiting(topic_id, ranges, lag=2 * (end - start), committed=committed or {})
        return ask(WINDOWS, waiting, self.instance, self.settings, time.time() + after)

    def requested(self, end: int = 10, **more) -> dg.RunRequest:
        answer = self.ask(end, **more)
        assert isinstance(answer, dg.RunRequest), answer
        return answer

    def refused(self, end: int = 10, **more) -> str:
        answer = self.ask(end, **more)
        assert isinstance(answer, dg.SkipReason), answer
        return answer.skip_message or ""

    def submit(self, request: dg.RunRequest, status: Status = Status.STARTED) -> dg.DagsterRun:
        origin = RemoteJobOrigin(
            RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("streaming"), "__repository__"), self.job.name
        )
        return self.instance.create_run_for_job(
            self.job,
            run_config=dict(request.run_config),
            tags=dict(request.tags),
            status=status,
            remote_job_origin=origin,
        )

    def fail(self, request: dg.RunRequest, **tags: str) -> dg.DagsterRun:
        run = self.submit(request)
        if tags:
            self.instance.add_run_tags(run.run_id, tags)
        self.instance.report_run_failed(run)
        return run

    def succeed(self, request: dg.RunRequest) -> None:
        run = self.submit(request)
        self.instance.report_dagster_event(DagsterEvent("PIPELINE_SUCCESS", job_name=run.job_name), run.run_id)


# ------------------------------------------------------------------------------------------------ one batch at a time


def test_a_request_carries_offsets_and_no_message(stream: Stream) -> None:
    request = stream.requested()
    assert request.run_config == {
        "ops": {
            "bank_transactions": {
                "config": {
                    "topic_id": TOPIC_ID,
                    "ranges": [{"partition": 0, "start": 0, "end": 10}, {"partition": 2, "start": 0, "end": 10}],
                    "isolate": False,
                }
            }
        }
    }
    assert request.run_key == "bank_transactions:9Tk2bQxw:p0:0-10,p2:0-10#1"
    assert request.tags[RANGE] == "9Tk2bQxw:p0:0-10,p2:0-10"
    assert request.tags["dagster/max_runtime"] == "60"


@pytest.mark.parametrize("status", [Status.NOT_STARTED, Status.STARTING, Status.STARTED, Status.CANCELING])
def test_no_second_batch_is_asked_for_while_one_is_worked_on(stream: Stream, status: Status) -> None:
    run = stream.submit(stream.requested(), status)
    said = stream.refused(25)
    assert run.run_id[:8] in said
    assert "50 messages, safe in the log" in said


def test_the_next_batch_need_not_wait_until_a_run_has_told_dagster_of_what_it_committed(stream: Stream) -> None:
    run = stream.submit(stream.requested())
    for committed in ({}, {0: 10}, {0: 10, 2: 9}):
        assert run.run_id[:8] in stream.refused(25, start=10, committed=committed)
    passed = {0: 10, 2: 10}
    assert stream.requested(25, start=10, committed=passed).run_key == "bank_transactions:9Tk2bQxw:p0:10-25,p2:10-25#1"
    assert run.run_id[:8] in stream.refused(25, start=10, committed=passed, topic_id="another-topic")


def test_a_full_run_queue_loses_nothing_and_says_where_to_look(stream: Stream) -> None:
    run = stream.submit(stream.requested(), Status.QUEUED)
    for after in (0.0, LATER):  # however long it waits, it is not taken for dead
        said = stream.refused(after=after)
        assert "queue for a free slot" in said
        assert "concurrency.runs" in said
    assert stream.instance.get_run_by_id(run.run_id).status is Status.QUEUED


def test_the_next_batch_goes_on_where_the_last_one_ended(stream: Stream) -> None:
    stream.succeed(stream.requested())
    assert stream.requested(25, start=10).run_key == "bank_transactions:9Tk2bQxw:p0:10-25,p2:10-25#1"


# ----------------------------------------------------------------------------------------------------------- failures


def test_a_failed_batch_is_asked_for_again_with_the_same_offsets_whatever_arrived_meanwhile(stream: Stream) -> None:
    stream.fail(stream.requested(10))
    again = stream.requested(99, after=LATER)
    assert again.run_key == "bank_transactions:9Tk2bQxw:p0:0-10,p2:0-10#2"
    assert again.tags[ATTEMPT] == "2"


def test_a_batch_that_failed_after_its_commit_does_not_hold_the_next_one(stream: Stream) -> None:
    stream.fail(stream.requested(10))
    assert stream.requested(25, start=10).run_key.endswith("p0:10-25,p2:10-25#1")


def test_attempts_wait_longer_and_longer_and_the_sensor_says_until_when(stream: Stream) -> None:
    run = stream.fail(stream.requested())
    ended = stream.instance.get_run_record_by_id(run.run_id).end_time
    said = stream.refused()
    assert "failed 1 times in a row" in said
    assert run.run_id in said
    assert f"again at {datetime.fromtimestamp(ended + 2, UTC):%H:%M:%S} UTC" in said
    assert "safe in the log" in said
    assert stream.requested(after=2.5).tags[ATTEMPT] == "2"
    assert [pause_after(n) for n in range(1, 9)] == [2, 6, 18, 54, 162, 300, 300, 300]
    assert pause_after(5_000) == 300


def test_a_message_that_breaks_every_run_is_isolated_after_the_cap(stream: Stream) -> None:
    for _ in range(2):
        request = stream.requested(after=LATER)
        assert request.run_config["ops"]["bank_transactions"]["config"]["isolate"] is False
        stream.fail(request)
    third = stream.requested(after=LATER)
    assert third.run_config["ops"]["bank_transactions"]["config"]["isolate"] is True
    assert third.tags[RANGE] == request.tags[RANGE]


def test_surroundings_that_are_not_ready_never_lead_to_dead_letters(stream: Stream) -> None:
    for _ in range(6):
        stream.fail(stream.requested(after=LATER), **{NOT_READY: "There is no champion. Train one: crp train."})
    said = stream.refused()
    assert "There is no champion. Train one: crp train." in said
    assert "No message is given up" in said
    assert stream.requested(after=LATER).run_config["ops"]["bank_transactions"]["config"]["isolate"] is False


def test_messages_asked_for_again_on_purpose_start_with_a_clean_record(stream: Stream) -> None:
    """Somebody set the group's offset back: what failed before that success is over."""
    stream.fail(stream.requested())
    stream.fail(stream.requested(after=LATER))
    stream.succeed(stream.requested(after=LATER))
    again = stream.requested()
    assert again.run_key.endswith("#4")
    assert again.run_config["ops"]["bank_transactions"]["config"]["isolate"] is False


def test_a_topic_made_anew_is_not_mistaken_for_the_one_that_failed(stream: Stream) -> None:
    stream.fail(stream.requested(10))
    assert stream.requested(4, topic_id="another-topic").run_key == "bank_transactions:another-:p0:0-4,p2:0-4#1"


# -------------------------------------------------------------------------------------------------------------- lease


@pytest.mark.parametrize("launcher", ["that cannot end a run", "of the code server"])
def test_a_run_whose_worker_is_gone_is_reported_failed_after_its_lease_and_asked_for_again(
    stream: Stream, launcher: str
) -> None:
    with dg.instance_for_test() if launcher == "of the code server" else nullcontext(stream.instance) as instance:
        lost_worker(Stream(stream.settings, instance))


def lost_worker(stream: Stream) -> None:
    run = stream.submit(stream.requested())
    assert "works on bank_transactions" in stream.refused(after=50)
    again = stream.requested(25, after=65)
    assert again.tags[ATTEMPT] == "2"
    assert ranges_of(stream.submit(again), WINDOWS) == ranges_of(run, WINDOWS)
    assert stream.instance.get_run_by_id(run.run_id).status is Status.FAILURE
    said = [entry.message for entry in stream.instance.all_logs(run.run_id)]
    assert any("taken for dead" in line and "CRP_STREAM_LEASE_SECONDS" in line for line in said)


def test_a_run_of_another_topic_holds_nobody_up(stream: Stream) -> None:
    other = build_streaming_definitions(stream.settings).resolve_job_def("micro_batch_scoring")
    stream.instance.create_run_for_job(other, status=Status.STARTED)
    assert stream.requested()


def test_a_topic_of_many_partitions_still_fits_into_an_indexed_tag() -> None:
    ranges = [OffsetRange("t", partition, 10**9, 10**9 + 7) for partition in range(200)]
    text = range_text(TOPIC_ID, ranges)
    assert len(text) <= TAG_LENGTH
    assert text != range_text(TOPIC_ID, [*ranges[:-1], replace(ranges[-1], end=10**9 + 8)])
