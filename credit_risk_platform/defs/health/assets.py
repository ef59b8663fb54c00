"""Assets, streams, API, and the one page over all of them. Every hour, and after a pipeline's last step."""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import pyarrow as pa

from credit_risk_platform.adapters import api_health as api
from credit_risk_platform.adapters import markdown
from credit_risk_platform.adapters import platform_health as page
from credit_risk_platform.adapters import stream_health as stream
from credit_risk_platform.adapters.alerting.book import AlertBook
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import Bronze, Gold, Group, Monitoring, Owner
from credit_risk_platform.defs.health import records
from credit_risk_platform.defs.health.graph import WatchedGraph
from credit_risk_platform.domain.health import Area, Freshness, Result, all_green
from credit_risk_platform.resources import stream_transport
from credit_risk_platform.settings import Settings

TOPIC_COLUMNS = (
    "topic", "lag", "messages_last_hour", "messages_last_day", "dead_letters_last_day", "event_to_result_p50_ms",
    "event_to_result_p95_ms", "last_batch_at", "note",
)  # fmt: skip
WORDS = {
    "hour": "Hour of the look; the hours before are the history.",
    "place": "Line on the page.",
    "area": "What was looked at.",
    "state": "ok, not yet (never happened here, no fault), look (today), act (now).",
    "finding": "What was found.",
    "next_step": "What to do about it; empty where nothing is to be done.",
    "link": "Path of the Dagster page behind it.",
    "checked_at": "When it was looked at (UTC).",
    "asset": "Key of the asset.",
    "asset_group": "Group of the asset.",
    "topic": "Kafka topic.",
    "lag": "Messages that no batch has taken; empty where no broker answered.",
    "note": "Why the lag is not known.",
    "endpoint": "Path of the API.",
}
"""Of columns whose name does not say it all, in all four tables."""
FRESH = dg.FreshnessPolicy.time_window(fail_window=dt.timedelta(hours=4), warn_window=dt.timedelta(hours=2))
COMMON: dict[str, Any] = {
    "group_name": Group.HEALTH,
    "owners": [Owner.DATA],
    "kinds": {"python", "duckdb"},
    "code_version": "1",
    "freshness_policy": FRESH,
}


@dg.asset(
    key=Monitoring.ASSET_HEALTH,
    # What a day ends with, so that a whole pipeline looks at itself last.
    deps=[Monitoring.FEATURE_DRIFT, Monitoring.SCORE_DRIFT, Gold.PUBLISHED_MARTS, Gold.DECISIONS],
    description=(
        "Every asset of the platform: when it was last made, whether that is late by its freshness policy, how its "
        "last run ended, and how its checks stand. Beside it, monitoring.check_health has every check with its last "
        "fourteen results."
    ),
    **COMMON,
)
def asset_health(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[DuckLakeWarehouse],
    watched_graph: dg.ResourceParam[WatchedGraph],
) -> dg.MaterializeResult:
    now = dt.datetime.now(dt.UTC)
    checks = records.check_rows(context.instance, watched_graph, now)
    assets = records.asset_rows(context.instance, watched_graph, checks, now)
    warehouse.replace_table(page.CHECK_HEALTH, pa.Table.from_pylist(checks, records.CHECKS))
    warehouse.replace_table(page.ASSET_HEALTH, assets)
    found = assets.to_pylist()
    late = [row for row in found if row["freshness"] in (Freshness.OVERDUE, Freshness.WARN)]
    red = [row for row in checks if row["result"] in (Result.FAILED, Result.WARNED)]
    return dg.MaterializeResult(
        data_version=_version([_told(row, "age_hours") for row in (*found, *checks)]),
        metadata={
            "late": _shown(late, "asset", "freshness", "last_made_at", "age_hours"),
            "red_checks": _shown(red, "asset", "check_name", "result", "passes", "evaluations", "trail"),
            "trails": "the last 14 results of a check, oldest first: + passed, w warned, F failed",
            **{f"assets_{state.name.lower()}": sum(row["freshness"] == state for row in found) for state in Freshness},
            **{f"checks_{result.name.lower()}": sum(row["result"] == result for row in checks) for result in Result},
            "assets": _shown(found, "asset", "freshness", "last_made_at", "checks_passed", "last_run_status"),
            **_table(warehouse, page.ASSET_HEALTH),
        },
    )


@dg.asset(
    key=Monitoring.STREAM_HEALTH,
    deps=[Gold.MESSAGE_TRACE, Bronze.DEAD_LETTERS],
    description=(
        "Each Kafka topic: messages in all, of the last hour and day, what waits unread, what could not be used, how "
        "long an event waited for its result, and when the last batch was. Without a broker it says so and goes on."
    ),
    **COMMON,
)
def stream_health(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[DuckLakeWarehouse],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    lag = stream.waiting(stream_transport(settings, warehouse), settings.kafka_group)
    rows = stream.stream_health(warehouse, lag, _now())
    warehouse.replace_table(stream.STREAM_HEALTH, rows)
    found = rows.to_pylist()
    return dg.MaterializeResult(
        data_version=_version([_told(row, "last_batch_age_minutes") for row in found]),
        metadata={
            "topics": _lines([{name: row[name] for name in TOPIC_COLUMNS} for row in found]),
            "messages_last_day": sum(row["messages_last_day"] for row in found),
            "dead_letters_last_day": sum(row["dead_letters_last_day"] for row in found),
            **_table(warehouse, stream.STREAM_HEALTH),
        },
    )


@dg.asset(
    key=Monitoring.API_HEALTH,
    description=(
        "The scoring API hour by hour and endpoint by endpoint: calls, errors, refusals, scores and response times "
        "(p50, p95, p99), counted from its audit log. Hours that have been counted are kept."
    ),
    **COMMON,
)
def api_health(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[DuckLakeWarehouse],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    written = api.update(warehouse, settings.paths.api)
    lately = api.recent(warehouse, _now())
    _, said = api.readiness(_api_url(settings))
    return dg.MaterializeResult(
        data_version=_version(lately.to_pylist()),
        metadata={
            "last_24_hours": dg.MetadataValue.md(markdown.records(lately)),
            "api": said,
            "rows_written": written,
            **_table(warehouse, api.API_HEALTH),
        },
    )


@dg.asset(
    key=Monitoring.PLATFORM_HEALTH,
    deps=[Monitoring.ASSET_HEALTH, Monitoring.STREAM_HEALTH, Monitoring.API_HEALTH,
          Monitoring.FEATURE_DRIFT, Monitoring.SCORE_DRIFT, Monitoring.ALERTS],
    check_specs=[
        dg.AssetCheckSpec("all_green", asset=Monitoring.PLATFORM_HEALTH,
            description="No area of the page asks for a look. What never happened is not yet, and not red."),
    ],
    description=(
        "The morning's one page: sources, runs, checks, streams, API, drift, performance, alerts, retraining, disk and "
        "archive, each with a state (ok, not yet, look, act), what was found, and the next step."
    ),
    **COMMON,
)  # fmt: skip
def platform_health(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[DuckLakeWarehouse],
    settings: dg.ResourceParam[Settings],
    alert_book: dg.ResourceParam[AlertBook],
) -> dg.MaterializeResult:
    now, paths = _now(), settings.paths
    home = page.Home(paths.home, (paths.lake, paths.warehouse), settings.files("models"), _api_url(settings))
    found = page.areas(warehouse, home, alert_book.open_incidents(), now)
    page.keep(warehouse, found, now)
    told = [(area.name, str(area.state), area.finding) for area in found]
    return dg.MaterializeResult(
        data_version=_version(told),
        check_results=[_all_green(found)],
        metadata={
            "page": _lines(page.lines(found)),
            **_table(warehouse, page.PLATFORM_HEALTH),
        },
    )


def _all_green(found: list[Area]) -> dg.AssetCheckResult:
    open_areas = [area for area in found if not area.state.green]
    steps = {area.name.replace(" ", "_"): f"{area.state}: {area.finding}. {area.next_step}" for area in open_areas}
    return dg.AssetCheckResult(
        check_name="all_green",
        asset_key=Monitoring.PLATFORM_HEALTH,
        passed=all_green(found),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"areas": len(found), "open": len(open_areas), **steps},
    )


def _api_url(settings: Settings) -> str:
    return f"http://{settings.host}:{settings.api_port}"


def _table(warehouse: Warehouse, name: str) -> dict[str, Any]:
    columns = [dg.TableColumn(column, kind, WORDS.get(column)) for column, kind in warehouse.columns(name).items()]
    return {
        "dagster/row_count": warehouse.count(name),
        "dagster/table_name": f"lake.{name}",
        "dagster/column_schema": dg.TableSchema(columns),
    }


def _shown(rows: list[dict[str, Any]], *columns: str) -> dg.MetadataValue:
    """Behind a link: there may be many."""
    return dg.MetadataValue.md(markdown.records([{name: row[name] for name in columns} for row in rows]))


def _lines(rows: Sequence[Mapping[str, Any]]) -> dg.MetadataValue:
    """Open on the asset's page, where markdown stands behind a link: for the few lines one comes for."""
    records = [
        dg.TableRecord({name: "" if value is None else str(value) for name, value in row.items()}) for row in rows
    ]
    return dg.MetadataValue.table(records, schema=dg.TableSchema([dg.TableColumn(name) for name in rows[0]]))


def _told(row: dict[str, Any], *moving: str) -> dict[str, Any]:
    """The row without what changes by the minute."""
    return {name: value for name, value in row.items() if name not in (*moving, "checked_at")}


def _version(content: object) -> dg.DataVersion:
    return dg.DataVersion(hashlib.sha256(json.dumps(content, default=str, sort_keys=True).encode()).hexdigest())


def _now() -> dt.datetime:
    """Naive UTC, as the tables keep times."""
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
