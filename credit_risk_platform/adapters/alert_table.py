"""Incidents of the alert book as rows of the lake."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from credit_risk_platform.adapters.warehouse.base import Warehouse

TABLE = "monitoring.alerts"
SCHEMA = pa.schema(
    [
        ("incident", pa.string()),
        ("alert", pa.string()),
        ("severity", pa.string()),
        ("title", pa.string()),
        ("opened_at", pa.timestamp("us")),
        ("updated_at", pa.timestamp("us")),
        ("cleared_at", pa.timestamp("us")),
        ("facts", pa.string()),
        ("link", pa.string()),
    ]
)
"""`alert`: the finding's key; `facts`: a JSON object. An alert that is told once (an application) clears at once."""


def rows_of(history: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows of `SCHEMA` of what `AlertBook.history` gives."""
    return pa.Table.from_pylist([_row(incident) for incident in history], SCHEMA)


def open_now(warehouse: Warehouse) -> pa.Table:
    """What is wrong now, the worst and oldest first."""
    sql = f"""
        select severity, alert, title, opened_at from {TABLE} where cleared_at is null
        order by case severity when 'critical' then 0 when 'warning' then 1 else 2 end, opened_at
    """
    return warehouse.query(sql)


def _row(incident: Mapping[str, Any]) -> dict[str, Any]:
    times = {name: _utc(incident[name]) for name in ("opened_at", "updated_at", "cleared_at")}
    told = {name: incident[name] for name in ("incident", "severity", "title", "link")}
    return {**told, **times, "alert": incident["key"], "facts": json.dumps(incident["facts"], sort_keys=True)}


def _utc(moment: datetime | str | None) -> datetime | None:
    """As the lake's timestamps: UTC without saying so."""
    found = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return found.astimezone(UTC).replace(tzinfo=None) if found is not None else None
