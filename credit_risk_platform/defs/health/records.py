"""What Dagster's instance knows of the watched assets: a handful of queries, however many assets and checks there are.

The history of checks is read from its table: the public ways ask once or twice per check, two hundred queries here.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import dagster as dg
import pyarrow as pa
import sqlalchemy as sa
from dagster._core.storage.asset_check_execution_record import (
    COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES as COMPLETED,
)
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from credit_risk_platform.defs.health.graph import WatchedGraph, deadline
from credit_risk_platform.domain.health import TRAIL, Result, freshness

PLATFORM, ELSEWHERE = "platform", "streaming"
"""Code locations. What the event log knows and this graph does not make is made by the other one."""
RECENT = 100_000
"""Evaluations read at once: some weeks of a busy platform, about a second. Rarer checks are asked for by name."""
MARKS = {Result.PASSED: "+", Result.WARNED: "w", Result.FAILED: "F"}


class Evaluation(NamedTuple):
    """One result of a check, with the time it was made (UTC without a zone)."""

    result: Result
    at: dt.datetime | None


Trail: TypeAlias = list[Evaluation]


def asset_rows(
    instance: dg.DagsterInstance, graph: WatchedGraph, checks: Sequence[Mapping[str, Any]], now: dt.datetime
) -> pa.Table:
    """One row per asset (`ASSETS`): age, freshness, last run, and how its checks stand."""
    records = {record.asset_entry.asset_key: record.asset_entry for record in instance.get_asset_records()}
    made = {key for key, entry in records.items() if entry.last_materialization is not None}
    runs = _statuses(instance, {entry.last_run_id for entry in records.values() if entry.last_run_id})
    standing: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for check in checks:
        standing[check["asset"]][check["result"]].append(check["check_name"])
    rows = []
    for key in sorted({*graph.groups, *made}):
        entry = records.get(key)
        event = entry.last_materialization if entry else None
        at = _moment(event.timestamp) if event else None
        found = standing[key.to_user_string()]
        rows.append({
            "asset": key.to_user_string(),
            "asset_group": graph.groups.get(key),
            "location": PLATFORM if key in graph.groups else ELSEWHERE,
            "freshness": str(freshness(at, deadline(graph.policies.get(key), now))),
            "last_made_at": _naive(at),
            "age_hours": (now - at).total_seconds() / 3600 if at else None,
            "last_partition": event.dagster_event.partition if event and event.dagster_event else None,
            "checks_passed": len(found[Result.PASSED]),
            "checks_warned": len(found[Result.WARNED]),
            "checks_failed": len(found[Result.FAILED]),
            "red_checks": [*found[Result.FAILED], *found[Result.WARNED]],
            "last_run_id": entry.last_run_id if entry else None,
            "last_run_status": runs.get(entry.last_run_id) if entry and entry.last_run_id else None,
            "checked_at": _naive(now),
        })  # fmt: skip
    return pa.Table.from_pylist(rows, ASSETS)


def check_rows(instance: dg.DagsterInstance, graph: WatchedGraph, now: dt.datetime) -> list[dict[str, Any]]:
    """One row per check (`CHECKS`), of this location and of what ran elsewhere."""
    history = _history(instance, graph.blocking)
    rows = []
    for key in sorted({*graph.blocking, *history}, key=lambda one: (one.asset_key, one.name)):
        trail = history.get(key, [])
        last = trail[-1] if trail else None
        rows.append({
            "asset": key.asset_key.to_user_string(),
            "check_name": key.name,
            "blocking": graph.blocking.get(key),
            "result": str(last.result if last else Result.NEVER),
            "last_at": last.at if last else None,
            "evaluations": len(trail),
            "passes": sum(one.result is Result.PASSED for one in trail),
            "trail": "".join(MARKS[one.result] for one in trail),
            "checked_at": _naive(now),
        })  # fmt: skip
    return rows


def _history(instance: dg.DagsterInstance, known: Iterable[dg.AssetCheckKey]) -> dict[dg.AssetCheckKey, Trail]:
    """Check -> its last evaluations, oldest first."""
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise TypeError(f"{type(storage).__name__} keeps no table of checks; health reads SQLite and Postgres storage")
    with storage.index_connection() as connection:
        newest = connection.execute(sa.select(sa.func.max(AssetCheckExecutionsTable.c.id))).scalar() or 0
        found = connection.execute(_recent(newest - RECENT)).all()
    history: dict[dg.AssetCheckKey, Trail] = defaultdict(list)
    for row in found:
        if (key := dg.AssetKey.from_db_string(row.asset_key)) is not None:
            result = _result(row.execution_status, row.event)
            history[dg.AssetCheckKey(key, row.check_name)].append(Evaluation(result, row.evaluation_event_timestamp))
    if newest > RECENT:
        history |= {key: _rare(storage, key) for key in known if key not in history}
    return history


def _recent(after: int) -> sa.Select[Any]:
    """The last evaluations of each check among those with a higher id than `after`."""
    table = AssetCheckExecutionsTable.c
    ended = (
        sa.select(
            table.id, table.asset_key, table.check_name, table.execution_status, table.evaluation_event_timestamp,
            # Only a red one is looked into: it says whether it warns or fails.
            sa.case((table.execution_status == "FAILED", table.evaluation_event)).label("event"),
            sa.func.row_number()
            .over(partition_by=(table.asset_key, table.check_name), order_by=table.id.desc())
            .label("nth"),
        )
        .where(table.execution_status.in_(("SUCCEEDED", "FAILED")), table.id > after)
        .subquery()
    )  # fmt: skip
    return sa.select(ended).where(ended.c.nth <= TRAIL).order_by(ended.c.id)


def _rare(storage: SqlEventLogStorage, key: dg.AssetCheckKey) -> Trail:
    records = storage.get_asset_check_execution_history(key, TRAIL, status=COMPLETED)
    return [
        Evaluation(_judged(record.status.value, record.event), _naive(_moment(record.event.timestamp)))
        for record in reversed(records)
        if record.event is not None
    ]


def _result(status: str, event: str | None) -> Result:
    return _judged(status, dg.deserialize_value(event, dg.EventLogEntry) if event else None)


def _judged(status: str, entry: dg.EventLogEntry | None) -> Result:
    if status == "SUCCEEDED":
        return Result.PASSED
    evaluated = entry.dagster_event.asset_check_evaluation_data if entry and entry.dagster_event else None
    mild = evaluated is not None and evaluated.severity is dg.AssetCheckSeverity.WARN
    return Result.WARNED if mild else Result.FAILED


def _statuses(instance: dg.DagsterInstance, run_ids: Iterable[str]) -> dict[str, str]:
    wanted = dg.RunsFilter(run_ids=sorted(run_ids))
    return {record.dagster_run.run_id: record.dagster_run.status.value for record in instance.get_run_records(wanted)}


def _moment(timestamp: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(timestamp, dt.UTC)


def _naive(moment: dt.datetime | None) -> dt.datetime | None:
    """UTC without a zone, as the tables keep times."""
    return moment.astimezone(dt.UTC).replace(tzinfo=None) if moment else None


_WHEN = pa.timestamp("us")
ASSETS = pa.schema({
    "asset": pa.string(), "asset_group": pa.string(), "location": pa.string(), "freshness": pa.string(),
    "last_made_at": _WHEN, "age_hours": pa.float64(), "last_partition": pa.string(), "checks_passed": pa.int32(),
    "checks_warned": pa.int32(), "checks_failed": pa.int32(), "red_checks": pa.list_(pa.string()),
    "last_run_id": pa.string(), "last_run_status": pa.string(), "checked_at": _WHEN,
})  # fmt: skip
CHECKS = pa.schema({
    "asset": pa.string(), "check_name": pa.string(), "blocking": pa.bool_(), "result": pa.string(), "last_at": _WHEN,
    "evaluations": pa.int32(), "passes": pa.int32(), "trail": pa.string(), "checked_at": _WHEN,
})  # fmt: skip
