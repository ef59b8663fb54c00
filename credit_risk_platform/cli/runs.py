"""Run named jobs and follow them event by event. A run is a normal Dagster run: it is in the UI and in the history."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from credit_risk_platform.cli.home import logs
from credit_risk_platform.settings import PROJECT_ROOT, Settings

if TYPE_CHECKING:
    from dagster import DagsterInstance, EventLogEntry

POLL_SECONDS = 0.3
INTERRUPT_GRACE_SECONDS = 30.0
RAISED = re.compile(r"^[A-Za-z_][\w.]*(Error|Exception|Interrupt)\b")


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended. `log` holds everything its process printed."""

    run_id: str
    job: str
    exit_code: int
    seconds: float
    log: Path

    @property
    def succeeded(self) -> bool:
        return self.exit_code == 0

    def last_words(self) -> str:
        """Why the process ended, for a run that could not record it: the last error it printed, or the signal."""
        if self.exit_code < 0:
            reason = " (most likely out of memory)" if -self.exit_code == signal.SIGKILL else ""
            return f"the run's process was ended by {signal.Signals(-self.exit_code).name}{reason}"
        printed = self.log.read_text(errors="replace").splitlines()
        raised = [number for number, line in enumerate(printed) if RAISED.match(line)]
        return "\n".join(printed[raised[-1] :] if raised else printed[-5:])


@dataclass(frozen=True)
class Request:
    """A job to run, or only some `assets` of it ("layer/name"). `partition` is one key or `first...last`."""

    job: str
    partition: str = ""
    assets: Sequence[str] = ()


def run_job(
    settings: Settings,
    job: str,
    listener: Callable[[EventLogEntry], None],
    *,
    partition: str = "",
    assets: Sequence[str] = (),
) -> RunOutcome:
    """`run_jobs` for a single one."""
    return run_jobs(settings, [Request(job, partition, assets)], listener)


def run_jobs(settings: Settings, requests: Sequence[Request], listener: Callable[[EventLogEntry], None]) -> RunOutcome:
    """Run jobs one after the other, in a process of their own, as long as they succeed: how the last of them ended.

    To load the graph costs a process some seconds, which jobs that follow each other need not pay twice. `listener`
    gets each event as it happens. Ctrl-C ends the run that is under way and raises.
    """
    import dagster as dg

    runs = {str(uuid.uuid4()): request for request in requests}
    log = logs(settings) / f"run-{next(iter(runs))}.log"
    started = time.monotonic()
    # Opened before the process starts: two processes that create Dagster's tables at once would race.
    with dg.DagsterInstance.from_config(str(settings.paths.dagster)) as instance, log.open("wb") as output:
        worker = subprocess.Popen(
            [sys.executable, "-m", "credit_risk_platform.cli.worker", *worker_arguments(runs)],
            env=settings.environment(),
            cwd=PROJECT_ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # the terminal's Ctrl-C reaches us alone; we pass it on once
        )
        try:
            for run_id in runs:
                for entry in _events(instance, run_id, worker):
                    listener(entry)
            worker.wait()
        except BaseException:
            _interrupt(worker)
            raise
        finally:
            begun = [run_id for run_id in runs if _settle(instance, run_id)]
    last = begun[-1] if begun else next(iter(runs))
    return RunOutcome(last, runs[last].job, worker.returncode, time.monotonic() - started, log)


def worker_arguments(runs: Mapping[str, Request]) -> list[str]:
    """What `worker.py` is started with; run id -> its request."""
    words: list[str] = []
    for run_id, request in runs.items():
        words += ["--", request.job, run_id, request.partition, *request.assets]
    return words[1:]


def _events(instance: DagsterInstance, run_id: str, worker: subprocess.Popen[bytes]) -> Iterator[EventLogEntry]:
    """A run's events in order, until it, or the worker, has ended and its last event has been given out."""
    cursor: str | None = None
    ended = False
    while not ended:
        ended = worker.poll() is not None
        if run := instance.get_run_by_id(run_id):
            ended = ended or run.is_finished
            page = instance.get_records_for_run(run_id, cursor=cursor)
            cursor = page.cursor
            yield from (record.event_log_entry for record in page.records)
        if not ended:
            time.sleep(POLL_SECONDS)


def _interrupt(worker: subprocess.Popen[bytes]) -> None:
    if worker.poll() is None:
        worker.send_signal(signal.SIGINT)  # Dagster ends the step and marks the run itself
        try:
            worker.wait(INTERRUPT_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def _settle(instance: DagsterInstance, run_id: str) -> bool:
    """A worker that was killed could not say so: leave no run that looks alive for ever. False if it never began."""
    run = instance.get_run_by_id(run_id)
    if run is not None and not run.is_finished:
        instance.report_run_failed(run, "The run's process ended before the run did (killed, or out of memory).")
    return run is not None
