"""Where the metrics of alert rules are read from in one tick, and what a metric answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from credit_risk_platform.adapters.api_scrape import Lately
from credit_risk_platform.adapters.stream_health import Waiting
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.alerts import Fact


class NoDataError(Exception):
    """The metric cannot be told; the message says why, and what would make it known."""


@dataclass(frozen=True)
class Reading:
    """`value` in the metric's unit, or `None` with the reason in `note`. `asset`: the page that explains it."""

    value: float | None
    facts: Mapping[str, Fact] = field(default_factory=dict)
    asset: str | None = None
    note: str = ""


@dataclass(frozen=True)
class Gauges:
    """Where one tick looks. `calls` raises `NotScrapedError`; `lags` tells by topic what waits or why it is unknown."""

    warehouse: Warehouse
    now: datetime
    calls: Callable[[], Lately | None]
    lags: Callable[[], Mapping[str, Waiting]]
    home: Path

    @cached_property
    def api(self) -> Lately:
        """One scrape serves every metric of the API."""
        found = self.calls()
        if found is None:
            raise NoDataError("the API was looked at once so far; two looks make a difference")
        return found

    @property
    def utc(self) -> datetime:
        """As the lake's timestamps: UTC without saying so."""
        return self.now.replace(tzinfo=None)

    def row(self, table: str, sql: str, *params: Any) -> dict[str, Any]:
        """The first row of `sql` over `table`. Raises `NoDataError` when there is no such table, or no row."""
        if not self.warehouse.exists(table):
            raise NoDataError(f"{table} is not there yet")
        rows = self.warehouse.query(sql, list(params)).to_pylist()
        if not rows:
            raise NoDataError(f"{table} holds nothing of it yet")
        return dict(rows[0])
