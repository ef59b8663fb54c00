"""A run as lines on a terminal: what started, what stands, which checks spoke, and why it stopped."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rich.markup import escape

if TYPE_CHECKING:
    from dagster import AssetCheckEvaluation, DagsterEvent, EventLogEntry
    from dagster_shared.error import SerializableErrorInfo
    from rich.console import Console

ROWS = "dagster/row_count"
REJECTED = "rows_rejected"
SAID_BY_THE_CHECK = ("DagsterAssetCheckFailedError", "Failure")


class ProgressLines:
    """Feed it a run's events in order. `failures` collects what a user must read at the end."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.failures: list[str] = []
        self.step_seconds: dict[str, float] = {}
        self._started: dict[str, float] = {}
        self._passed: Counter[str] = Counter()
        self._red: set[str] = set()
        self._handlers: dict[str, Callable[[EventLogEntry, DagsterEvent], None]] = {
            "STEP_START": self._on_start,
            "ASSET_MATERIALIZATION": self._on_materialised,
            "ASSET_CHECK_EVALUATION": self._on_check,
            "STEP_SUCCESS": self._on_end,
            "STEP_FAILURE": self._on_failure,
            "STEP_SKIPPED": self._on_skipped,
            "PIPELINE_FAILURE": self._on_run_failure,
        }

    def __call__(self, entry: EventLogEntry) -> None:
        event = entry.dagster_event
        if event is not None and event.event_type_value in self._handlers:
            self._handlers[event.event_type_value](entry, event)

    def _on_start(self, entry: EventLogEntry, event: DagsterEvent) -> None:
        self._started[_step(event)] = entry.timestamp
        self._say(entry, f"[cyan]start[/] {_step(event)}")

    def _on_materialised(self, entry: EventLogEntry, event: DagsterEvent) -> None:
        materialisation = event.step_materialization_data.materialization
        name = materialisation.asset_key.to_user_string()
        self._say(entry, f"[green]made [/] {name}{_counts(materialisation.metadata)}")

    def _on_check(self, entry: EventLogEntry, event: DagsterEvent) -> None:
        evaluation = event.asset_check_evaluation_data
        if evaluation.passed:
            self._passed[_step(event)] += 1
            return
        blocking = evaluation.severity.value == "ERROR"
        colour, word = ("red", "RED  ") if blocking else ("yellow", "warn ")
        text = _check_text(evaluation)
        if blocking:
            self.failures.append(text)
            self._red.add(_step(event))
        self._say(entry, f"[{colour}]{word}[/] {escape(text)}")

    def _on_end(self, entry: EventLogEntry, event: DagsterEvent) -> None:
        seconds = self._stop(entry, event)
        passed = self._passed.pop(_step(event), 0)
        checks = f", {passed} check{'s' * (passed > 1)} passed" if passed else ""
        self._say(entry, f"[dim]done  {_step(event)} in {seconds:.1f} s{checks}[/]")

    def _on_failure(self, entry: EventLogEntry, event: DagsterEvent) -> None:
        self._stop(entry, event)
        error = event.step_failure_data.error
        if _step(event) in self._red and error is not None and _cause(error).cls_name in SAID_BY_THE_CHECK:
            self._say(entry, f"[red]STOP [/] {_step(event)}: nothing below a red check is built")
            return  # the check has told its own story
        text = f"{_step(event)}: {_in_words(error)}"
        self.failures.append(text)
        self._say(entry, f"[red]FAIL [/] {escape(text)}")

    def _on_skipped(self, entry: EventLogEntry, event: DagsterEvent) -> None:
        self._say(entry, f"[dim]skip  {_step(event)}: what it needs is missing[/]")

    def _on_run_failure(self, entry: EventLogEntry, event: DagsterEvent) -> None:
        if not self.failures:  # the run failed outside any step: a resource, the configuration, a killed process
            error = event.job_failure_data.error if event.event_specific_data else None
            self.failures.append(_in_words(error) if error else (event.message or entry.user_message))

    def _say(self, entry: EventLogEntry, text: str) -> None:
        clock = time.strftime("%H:%M:%S", time.localtime(entry.timestamp))
        self.console.print(f"[dim]{clock}[/] {text}", soft_wrap=True)

    def _stop(self, entry: EventLogEntry, event: DagsterEvent) -> float:
        seconds = entry.timestamp - self._started.pop(_step(event), entry.timestamp)
        self.step_seconds[_step(event)] = seconds
        return seconds


def number(metadata: Mapping[str, Any], name: str) -> int | None:
    """A count out of asset metadata, where the asset gives one."""
    value = getattr(metadata.get(name), "value", None)
    return int(value) if isinstance(value, (int, float)) else None


def _counts(metadata: Mapping[str, Any]) -> str:
    rows, rejected = number(metadata, ROWS), number(metadata, REJECTED)
    text = f"  {rows:,} rows" if rows is not None else ""
    return text + (f", [yellow]{rejected:,} rejected[/]" if rejected else "")


def _check_text(evaluation: AssetCheckEvaluation) -> str:
    """Which check, on what, what it found and what to do: the short texts of its metadata say the latter."""
    details = [evaluation.description] if evaluation.description else []
    for name, value in sorted(evaluation.metadata.items(), key=lambda item: item[0].startswith("next")):
        plain = getattr(value, "value", None)
        if isinstance(plain, (str, int, float)) and len(str(plain)) <= 300:
            details.append(f"{name}: {plain}")
    return f"{evaluation.asset_key.to_user_string()} {evaluation.check_name}: " + "; ".join(details)


def _cause(error: SerializableErrorInfo) -> SerializableErrorInfo:
    """Our own error: Dagster wraps it in one or two of its own."""
    while error.cause is not None and (error.cls_name or "").startswith("Dagster"):
        error = error.cause
    return error


def _in_words(error: SerializableErrorInfo | None) -> str:
    """What our own error says, after its short name; `Failure` says nothing by its name."""
    if error is None:
        return "no error was recorded"
    name, _, text = _cause(error).message.strip().partition(": ")
    short = name.rsplit(".", 1)[-1]
    return text if short == "Failure" else f"{short}: {text}" if text else name


def _step(event: DagsterEvent) -> str:
    return (event.step_key or "run").replace("__", "/", 1)
