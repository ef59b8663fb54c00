"""`run_failure_alert`: a run that fails is told once, in whichever code location, until a later one succeeds.

A sensor over the event log with a cursor of its own: Dagster's `run_failure_sensor` handles five runs a tick and falls
behind where micro-batches end every few seconds.
"""

import datetime as dt
import hashlib
from collections.abc import Iterable
from typing import Any

import dagster as dg

from credit_risk_platform.adapters.alerting.book import AlertBook
from credit_risk_platform.defs.alerts.tell import LOOK_EVERY_SECONDS, Desk, run_page, status
from credit_risk_platform.domain.alerts import Fact, Finding, Severity
from credit_risk_platform.settings import Settings

PARTITION_TAG = "dagster/partition"
AD_HOC = "__ASSET_JOB"
"""Dagster's name for runs of hand-picked assets and of automation conditions."""
FIRST_LOOK = dt.timedelta(days=1)
AT_MOST = 200
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
_EVENTS = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.ASSET_CHECK_EVALUATION}


def build_run_sensor(settings: Settings) -> dg.SensorDefinition:
    @dg.sensor(
        name="run_failure_alert",
        minimum_interval_seconds=LOOK_EVERY_SECONDS,
        default_status=status(settings),
        description=(
            "Tells of every run that fails, in any code location: once per job, with step, class of the error and a "
            "link; and once more when the same job succeeds on the same partition. What a red check stopped is left "
            "to the alert of the check."
        ),
    )
    def run_failure_alert(
        context: dg.SensorEvaluationContext,
        alert_book: dg.ResourceParam[AlertBook],
        alert_channels: dg.ResourceParam[Any],
    ) -> dg.SkipReason:
        desk = Desk(alert_book, alert_channels, dt.datetime.now(dt.UTC))
        answer, cursor = look(context.instance, context.cursor, desk, settings.dagster_url)
        context.update_cursor(cursor)
        return answer

    return run_failure_alert


def look(instance: dg.DagsterInstance, cursor: str | None, desk: Desk, dagster_url: str) -> tuple[dg.SkipReason, str]:
    """One tick: its answer, and the cursor of the next one."""
    wanted = dg.RunStatusChangeRecordsFilter(
        dg.DagsterEventType.RUN_FAILURE,
        after_storage_id=int(cursor) if cursor else None,
        after_timestamp=None if cursor else (desk.now - FIRST_LOOK).timestamp(),
    )
    records = instance.fetch_run_status_changes(wanted, limit=AT_MOST, ascending=True).records
    failed = [run for record in records if (run := instance.get_run_by_id(record.run_id)) is not None]
    untold = [run for run in failed if not _stopped_by_a_check(instance, run)]
    if not cursor:  # what was mended before anybody watched is no news
        untold = [run for run in untold if not _succeeded_since(instance, run)]
    known = {one["key"]: one["facts"] for one in desk.book.open_incidents()}
    desk.report(_findings(instance, untold, known, dagster_url))
    still = {one["key"]: one for one in desk.book.open_incidents() if one["key"].startswith("run/")}
    desk.report(healthy=[key for key, one in still.items() if _mended(instance, one["facts"])])
    answer = desk.send(
        f"{len(failed)} new failed runs, {len(failed) - len(untold)} of them stopped by a red check; "
        f"{len(still)} jobs with an open alert looked at."
    )
    return answer, str(records[-1].storage_id) if records else (cursor or "")


def _findings(
    instance: dg.DagsterInstance, runs: Iterable[dg.DagsterRun], known: dict[str, Any], dagster_url: str
) -> list[Finding]:
    """One finding per job, of its last failed run; `runs` lists the runs that have to be made good, one a partition."""
    found: dict[str, Finding] = {}
    for run in runs:
        key, ad_hoc = _key(run), run.job_name == AD_HOC
        before = found[key].facts if key in found else known.get(key, {})
        step, error = _cause(instance, run)
        facts: dict[str, Fact | None] = {
            "job": _subject(run),
            "partition": run.tags.get(PARTITION_TAG),
            "step": step,
            "error": error,
            "runs": ", ".join(_runs_to_mend(instance, before, run)),
        }
        found[key] = Finding(
            key=key,
            severity=Severity.WARNING if ad_hoc else Severity.CRITICAL,
            title=f"Run of {_subject(run)} failed",
            facts={name: value for name, value in facts.items() if value is not None},
            link=run_page(dagster_url, run.run_id),
        )
    return list(found.values())


def _key(run: dg.DagsterRun) -> str:
    if run.job_name != AD_HOC:
        return f"run/{run.job_name}"
    return f"run/{AD_HOC}/{hashlib.sha256(_selected(run).encode()).hexdigest()[:8]}"


def _subject(run: dg.DagsterRun) -> str:
    if run.job_name != AD_HOC:
        return run.job_name
    first, *rest = _selected(run).split(", ")
    return f"{first} and {len(rest)} more" if rest else first or "asset checks"


def _selected(run: dg.DagsterRun) -> str:
    return ", ".join(sorted(key.to_user_string() for key in run.asset_selection or ()))


def _runs_to_mend(instance: dg.DagsterInstance, before: Any, run: dg.DagsterRun) -> list[str]:
    """Failed runs that no later one has made good: a backfill fails in many partitions, and is one alert."""
    partition = run.tags.get(PARTITION_TAG)
    earlier = [instance.get_run_by_id(run_id) for run_id in str(before.get("runs", "")).split(", ") if run_id]
    others = [one.run_id for one in earlier if one is not None and one.tags.get(PARTITION_TAG) != partition]
    return [*others, run.run_id]


def _mended(instance: dg.DagsterInstance, facts: Any) -> bool:
    runs = [instance.get_run_by_id(run_id) for run_id in str(facts.get("runs", "")).split(", ") if run_id]
    return all(run is None or _succeeded_since(instance, run) for run in runs)


def _succeeded_since(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the last run of the same job and partition succeeded; of hand-picked assets: whether all were made."""
    partition = run.tags.get(PARTITION_TAG)
    if run.job_name == AD_HOC and run.asset_selection:
        return all(_made_since(instance, key, partition, run) for key in run.asset_selection)
    tags = {PARTITION_TAG: partition} if partition else {}
    wanted = dg.RunsFilter(job_name=run.job_name, statuses=_ENDED, tags=tags)
    return all(last.status is dg.DagsterRunStatus.SUCCESS for last in instance.get_runs(wanted, limit=1))


def _made_since(instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None, run: dg.DagsterRun) -> bool:
    """Whether the asset was made after the run ended: the run's partition of it, if it has partitions."""
    record = instance.get_run_record_by_id(run.run_id)
    wanted = dg.AssetRecordsFilter(key, after_timestamp=record.end_time if record else None)
    made = instance.fetch_materializations(wanted, limit=AT_MOST).records
    return any(one.partition_key in (partition, None) for one in made)


def _cause(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[str | None, str]:
    """(first step that failed, class of what it raised). Never the message: it may hold what the data held."""
    for record in instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE, limit=1).records:
        event = record.event_log_entry.get_dagster_event()
        error = event.step_failure_data.error
        while error is not None and error.cause is not None:
            error = error.cause
        return event.step_key, (error.cls_name if error else None) or "Failure"
    return None, "the run ended without a step that failed: its process was lost"


def _stopped_by_a_check(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether every step that failed had a red blocking check, which has an alert of its own."""
    failed, checked = set(), set()
    for record in instance.get_records_for_run(run.run_id, of_type=_EVENTS).records:
        entry = record.event_log_entry
        if (found := entry.asset_check_evaluation) is None:
            failed.add(entry.step_key)
        elif not found.passed and found.blocking and found.severity is dg.AssetCheckSeverity.ERROR:
            checked.add(entry.step_key)
    return bool(failed) and failed <= checked
