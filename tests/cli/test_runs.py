"""Jobs that follow each other in one process: what a user of `crp demo` waits for, and what stops it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from credit_risk_platform.cli import worker
from credit_risk_platform.cli.home import prepare_home
from credit_risk_platform.cli.runs import Request, worker_arguments
from credit_risk_platform.settings import Settings

FIRST, SECOND = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
DAYS = dg.StaticPartitionsDefinition(["2026-06-29", "2026-06-30"])
Runs = dict[str, dg.DagsterRun]


@dg.asset(key=["gold", "scores"], partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
def scores() -> None: ...


@dg.asset(key=["gold", "shown"])
def shown() -> None: ...


@dg.asset(key=["gold", "hidden"])
def hidden() -> None: ...


@dg.asset(key=["gold", "broken"])
def broken() -> None:
    raise ValueError("no such month")


GRAPH = dg.Definitions(
    assets=[scores, shown, hidden, broken],
    jobs=[
        dg.define_asset_job("scoring", [scores]),
        dg.define_asset_job("showing", [shown, hidden]),
        dg.define_asset_job("breaking", [broken]),
    ],
)


@pytest.fixture
def instance(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """A home whose graph is `GRAPH`, and the books that Dagster keeps there."""
    prepare_home(settings)
    loaded: list[bool] = []

    def load(_: Settings, *, streamed: bool) -> tuple[dg.Definitions, str]:
        assert not loaded, "the graph is loaded once for all runs of a process"
        loaded.append(streamed)
        return GRAPH, "platform"

    monkeypatch.setenv("CRP_HOME", str(settings.home))
    monkeypatch.setattr(worker, "_location", load)
    monkeypatch.setattr(worker, "install", lambda _: None)
    with dg.DagsterInstance.from_config(str(settings.paths.dagster)) as instance:
        yield instance


def made(instance: dg.DagsterInstance, run_id: str) -> set[tuple[str, str | None]]:
    events = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    found = [event.asset_materialization for event in events]
    return {(one.asset_key.to_user_string(), one.partition) for one in found if one is not None}


def test_each_job_is_a_run_of_its_own_with_its_own_days_and_assets(instance: dg.DagsterInstance) -> None:
    asked = {
        FIRST: Request("scoring", "2026-06-29...2026-06-30"),
        SECOND: Request("showing", assets=["gold/shown"]),
    }
    assert worker.main(*worker_arguments(asked)) == 0
    assert made(instance, FIRST) == {("gold/scores", "2026-06-29"), ("gold/scores", "2026-06-30")}
    assert made(instance, SECOND) == {("gold/shown", None)}
    assert {run.run_id: run.status.value for run in instance.get_runs()} == {FIRST: "SUCCESS", SECOND: "SUCCESS"}


def test_a_job_that_fails_keeps_the_next_one_from_starting(instance: dg.DagsterInstance) -> None:
    assert worker.main(*worker_arguments({FIRST: Request("breaking"), SECOND: Request("showing")})) == 1
    assert {run.run_id: run.status.value for run in instance.get_runs()} == {FIRST: "FAILURE"}


def test_a_process_that_dies_before_its_run_began_is_told_by_its_last_words(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from credit_risk_platform.cli import runs

    prepare_home(settings)
    monkeypatch.setattr(runs.sys, "executable", _dies(settings.home))
    outcome = runs.run_jobs(settings, [Request("scoring"), Request("showing")], lambda entry: None)
    assert (outcome.job, outcome.succeeded) == ("scoring", False)
    assert outcome.last_words() == "ImportError: no module named rain"


def _dies(folder: Path) -> str:
    program = folder / "dies"
    program.write_text("#!/bin/sh\necho 'ImportError: no module named rain'\nexit 1\n")
    program.chmod(0o755)
    return str(program)
