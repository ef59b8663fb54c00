"""The health page: figures of every area read from where they are kept, one line each, and the hours before."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from credit_risk_platform.adapters import api_health
from credit_risk_platform.adapters.drift_report import FEATURE_DRIFT, NEW, SCORE_DRIFT
from credit_risk_platform.adapters.files import Place
from credit_risk_platform.adapters.retraining_record import RetrainingRecord
from credit_risk_platform.adapters.stream_health import STREAM_HEALTH
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain import health_areas
from credit_risk_platform.domain.health import Area, State

ASSET_HEALTH = "monitoring.asset_health"
CHECK_HEALTH = "monitoring.check_health"
PLATFORM_HEALTH = "monitoring.platform_health"
MARKS = {State.OK: "🟢", State.NOT_YET: "⚪", State.LOOK: "🟡", State.ACT: "🔴"}


@dataclass(frozen=True)
class Home:
    """Folders of a home that the page looks at, and where its API answers."""

    root: Path
    data: tuple[Path, ...]
    models: Place
    api_url: str


def areas(warehouse: Warehouse, home: Home, incidents: Sequence[dict[str, Any]], now: datetime) -> list[Area]:
    """Every line of the page. `incidents` are the open ones of the alert book; `now` is UTC without a zone.

    Works on an empty home: what never happened is said to be not yet.
    """
    assets, checks = rows(warehouse, ASSET_HEALTH), rows(warehouse, CHECK_HEALTH)
    calls = api_health.recent(warehouse, now).to_pylist() if warehouse.exists(api_health.API_HEALTH) else []
    triggered = RetrainingRecord(home.models).last()
    usage = shutil.disk_usage(home.root)
    return [
        health_areas.freshness(assets),
        health_areas.runs(assets),
        health_areas.checks(checks),
        health_areas.streams(rows(warehouse, STREAM_HEALTH)),
        health_areas.api(calls, *api_health.readiness(home.api_url)),
        health_areas.drift(_drift(warehouse)),
        health_areas.performance(checks),
        health_areas.alerts(incidents),
        health_areas.retraining(assets, triggered.at if triggered else None),
        health_areas.disk(usage.free, usage.total, sum(_size(folder) for folder in home.data)),
        health_areas.archive(assets),
    ]


def rows(warehouse: Warehouse, table: str) -> list[dict[str, Any]]:
    """All of a table; nothing where it was never made."""
    return warehouse.query(f"select * from {table}").to_pylist() if warehouse.exists(table) else []


def keep(warehouse: Warehouse, found: Sequence[Area], now: datetime) -> int:
    """Replace the rows of this hour; the hours before are the history."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    lines = [
        {"hour": hour, "place": place, "area": area.name, "state": str(area.state), "finding": area.finding,
         "next_step": area.next_step or None, "link": area.link or None, "checked_at": now}
        for place, area in enumerate(found, 1)
    ]  # fmt: skip
    return warehouse.replace(PLATFORM_HEALTH, pa.Table.from_pylist(lines, _SCHEMA), "hour = ?", [hour])


def lines(found: Sequence[Area]) -> list[dict[str, str]]:
    """The page as people see it. `page` is what to open in Dagster's UI: an asset, or the list of runs."""
    return [
        {"area": area.name, "state": f"{MARKS[area.state]} {area.state}", "finding": area.finding,
         "next step": area.next_step, "page": area.link.removeprefix("/").removeprefix("assets/")}
        for area in found
    ]  # fmt: skip


def _drift(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Features and PD of new applications, of the last day watched."""
    found: list[dict[str, Any]] = []
    for table in (FEATURE_DRIFT, SCORE_DRIFT):
        if warehouse.exists(table):
            sql = f"""
                select as_of, feature, psi, verdict from {table}
                where population = ? and as_of = (select max(as_of) from {table})
            """
            found += warehouse.query(sql, [NEW]).to_pylist()
    return found


def _size(folder: Path) -> int:
    """Bytes of all files below `folder`."""
    found = 0
    for path in folder.rglob("*"):
        try:
            found += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # lake upkeep deletes while we count
            continue
    return found


_SCHEMA = pa.schema(
    [
        ("hour", pa.timestamp("us")),
        ("place", pa.int32()),
        ("area", pa.string()),
        ("state", pa.string()),
        ("finding", pa.string()),
        ("next_step", pa.string()),
        ("link", pa.string()),
        ("checked_at", pa.timestamp("us")),
    ]
)
