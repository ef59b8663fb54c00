"""`check_failure_alert`: a check that turns red is told once, whichever code location it belongs to, until it is green.

Reads the event log of the instance from a cursor on: one query a tick, however many assets there are.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import dagster as dg
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from credit_risk_platform.adapters.alerting.book import AlertBook
from credit_risk_platform.catalog import Monitoring
from credit_risk_platform.defs.alerts.tell import LOOK_EVERY_SECONDS, Desk, asset_page, run_page, status
from credit_risk_platform.domain.alerts import Fact, Finding, Severity
from credit_risk_platform.domain.privacy import is_personal
from credit_risk_platform.settings import Settings

PARTITION_TAG = "dagster/partition"
FIRST_LOOK = dt.timedelta(days=1)
"""A sensor that has never looked begins with what was checked within it: what is red still, is told."""
AT_MOST = 1_000
"""Evaluations of one tick; the next one goes on."""

NOT_TOLD = frozenset({Monitoring.PLATFORM_HEALTH})
"""Its check sums up everything else, open alerts among it: as an alert of its own it would keep itself red for ever."""
TEXTS_TOLD = frozenset({"moved", "moved_most", "column", "kinds"})
"""Of a check's metadata; other texts may quote what the data held."""


def build_check_sensor(settings: Settings) -> dg.SensorDefinition:
    @dg.sensor(
        name="check_failure_alert",
        minimum_interval_seconds=LOOK_EVERY_SECONDS,
        default_status=status(settings),
        description=(
            "Tells of every asset check that turns red, in any code location: once, with partition, run and next step; "
            "and once more when it is green again. Blocking checks are critical, warnings are warnings."
        ),
    )
    def check_failure_alert(
        context: dg.SensorEvaluationContext,
        alert_book: dg.ResourceParam[AlertBook],
        alert_channels: dg.ResourceParam[Any],
    ) -> dg.SkipReason:
        desk = Desk(alert_book, alert_channels, dt.datetime.now(dt.UTC))
        answer, cursor = look(context.instance, context.cursor, desk, settings.dagster_url)
        context.update_cursor(cursor)
        return answer

    return check_failure_alert


def look(instance: dg.DagsterInstance, cursor: str | None, desk: Desk, dagster_url: str) -> tuple[dg.SkipReason, str]:
    """One tick: its answer, and the cursor of the next one."""
    records = _evaluations(instance, cursor, desk.now)
    last: dict[str, dg.EventLogEntry] = {}
    red: dict[str, dg.EventLogEntry] = {}
    for entry in (record.event_log_entry for record in records):
        if _evaluation(entry).asset_key in NOT_TOLD:
            continue
        last[_key(entry)] = entry
        if not _evaluation(entry).passed:
            red[_key(entry)] = entry
    if not cursor:  # what was mended before anybody watched is no news
        red = {key: entry for key, entry in red.items() if last[key] is entry}
    desk.report([_finding(instance, entry, dagster_url) for entry in red.values()])
    desk.report(healthy=_mended(instance, desk.book, last))
    after = str(records[-1].storage_id) if records else (cursor or "")
    green = sum(_evaluation(entry).passed for entry in last.values())
    return desk.send(f"{len(records)} new check results: {green} checks green, {len(last) - green} red."), after


def _evaluations(instance: dg.DagsterInstance, cursor: str | None, now: dt.datetime) -> Sequence[dg.EventLogRecord]:
    """Evaluations after `cursor`, oldest first, at most `AT_MOST`.

    `instance.get_event_records` would open the file of each run on SQLite; its cross-run index holds check events as
    well, and Dagster reads run events from it in just this way (`SqliteEventLogStorage.fetch_run_status_changes`).
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise dg.DagsterInvariantViolationError(
            f"{type(storage).__name__} cannot be asked for check results; use SQLite or Postgres (dagster.yaml)"
        )
    wanted = dg.EventRecordsFilter(
        dg.DagsterEventType.ASSET_CHECK_EVALUATION,
        after_cursor=int(cursor) if cursor else None,
        after_timestamp=None if cursor else (now - FIRST_LOOK).timestamp(),
    )
    return SqlEventLogStorage.get_event_records(storage, wanted, limit=AT_MOST, ascending=True)


def _mended(instance: dg.DagsterInstance, book: AlertBook, last: dict[str, dg.EventLogEntry]) -> list[str]:
    """Open incidents whose check is green now; the green of an earlier day does not mend the red of a later one."""
    is_red = {one["key"]: one["facts"].get("partition") for one in book.open_incidents()}
    mended = []
    for key, entry in last.items():
        if key not in is_red or not _evaluation(entry).passed:
            continue
        now, then = _partition(instance, entry), is_red[key]
        if not (now and then and str(now) < str(then)):
            mended.append(key)
    return mended


def _finding(instance: dg.DagsterInstance, entry: dg.EventLogEntry, dagster_url: str) -> Finding:
    found = _evaluation(entry)
    asset, warns = found.asset_key.to_user_string(), found.severity is dg.AssetCheckSeverity.WARN
    step = found.metadata.get("next_step")
    page = asset_page(dagster_url, asset, "checks")
    facts: dict[str, Fact | None] = {
        **_figures(found),
        "asset": asset,
        "check": found.check_name,
        "partition": _partition(instance, entry),
        "stops_what_follows": "yes" if found.blocking and not warns else "no",
        "next_step": str(step.value) if step is not None else found.description,
        "asset_page": page,
    }
    return Finding(
        key=_key(entry),
        severity=Severity.WARNING if warns and not found.blocking else Severity.CRITICAL,
        title=f"Check {found.check_name} of {asset} is red",
        facts={name: value for name, value in facts.items() if value is not None},
        link=run_page(dagster_url, entry.run_id) if entry.run_id else page,
    )


def _figures(found: dg.AssetCheckEvaluation) -> dict[str, Fact]:
    """What the check counted: its numbers, and the texts that are known to name columns only."""
    return {
        name: shown.value
        for name, shown in found.metadata.items()
        if not is_personal(name)
        if isinstance(shown, dg.IntMetadataValue | dg.FloatMetadataValue) or name in TEXTS_TOLD
        if isinstance(shown.value, str | int | float)
    }


def _evaluation(entry: dg.EventLogEntry) -> dg.AssetCheckEvaluation:
    found = entry.asset_check_evaluation
    assert found is not None, "asked for evaluations only"
    return found


def _key(entry: dg.EventLogEntry) -> str:
    found = _evaluation(entry)
    return f"check/{found.asset_key.to_user_string()}/{found.check_name}"


def _partition(instance: dg.DagsterInstance, entry: dg.EventLogEntry) -> str | None:
    """The check's own, or that of the run it was made in."""
    if partition := _evaluation(entry).partition:
        return partition
    run = instance.get_run_by_id(entry.run_id) if entry.run_id else None
    return run.tags.get(PARTITION_TAG) if run else None
