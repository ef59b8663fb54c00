"""The health page as a table: an hour is replaced, the hours before stay, and its lines lead to what they tell of."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from credit_risk_platform.adapters import platform_health as page
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.domain.health import Area, State


def test_a_look_replaces_its_hour_and_keeps_the_hours_before(tmp_path: Path) -> None:
    warehouse = DuckLakeWarehouse(tmp_path, threads=1)
    for at, state in ((datetime(2026, 6, 30, 6, 5), State.ACT), (datetime(2026, 6, 30, 6, 30), State.LOOK),
                      (datetime(2026, 6, 30, 7, 5), State.OK)):  # fmt: skip
        page.keep(warehouse, [Area("drift", state, "found")], at)
    rows = warehouse.query(f"select hour, state, checked_at, next_step from {page.PLATFORM_HEALTH} order by hour")
    warehouse.close()
    assert rows.to_pylist() == [
        {"hour": datetime(2026, 6, 30, 6), "state": "look", "checked_at": datetime(2026, 6, 30, 6, 30),
         "next_step": None},
        {"hour": datetime(2026, 6, 30, 7), "state": "ok", "checked_at": datetime(2026, 6, 30, 7, 5),
         "next_step": None},
    ]  # fmt: skip


def test_a_line_shows_its_state_and_leads_to_its_asset() -> None:
    told = page.lines([Area("drift", State.LOOK, "moved", "train", "/assets/x"), Area("alerts", State.OK, "none")])
    assert [tuple(line.values()) for line in told] == [
        ("drift", "🟡 look", "moved", "train", "x"),
        ("alerts", "🟢 ok", "none", "", ""),
    ]
