"""Runs of streams start when they are asked for; all others queue, as the limits of `dagster.yaml` demand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from credit_risk_platform.catalog import BATCH_RUN, LANE, STREAM_RUN
from credit_risk_platform.run_queue import StreamsFirst
from credit_risk_platform.settings import PROJECT_ROOT

Status = dg.DagsterRunStatus


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster.yaml").write_bytes((PROJECT_ROOT / "dagster.yaml").read_bytes())
    with dg.DagsterInstance.from_config(str(tmp_path)) as made:
        made.launched = []  # type: ignore[attr-defined]
        monkeypatch.setattr(made.run_launcher, "launch_run", made.launched.append)  # type: ignore[attr-defined]
        yield made


def submitted(instance: Any, status: Status = Status.NOT_STARTED, **tags: str) -> dg.DagsterRun:
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "__repository__"), "a_job")
    run = instance.add_run(dg.DagsterRun(job_name="a_job", tags=tags, status=status, remote_job_origin=origin))
    return instance.run_coordinator.submit_run(dg.SubmitRunContext(run, workspace=None))


def test_a_micro_batch_never_waits_for_the_queue(instance: Any) -> None:
    assert isinstance(instance.run_coordinator, StreamsFirst)
    run = submitted(instance, **STREAM_RUN)
    assert run.status is Status.STARTING
    assert [context.dagster_run.run_id for context in instance.launched] == [run.run_id]


@pytest.mark.parametrize("tags", [{}, BATCH_RUN, {LANE: "other"}])
def test_every_other_run_queues(instance: Any, tags: dict[str, str]) -> None:
    assert submitted(instance, **tags).status is Status.QUEUED
    assert instance.launched == []


def test_a_run_that_was_submitted_before_is_not_started_twice(instance: Any) -> None:
    assert submitted(instance, Status.STARTED, **STREAM_RUN).status is Status.STARTED
    assert instance.launched == []
