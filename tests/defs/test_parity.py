"""The parity asset: green while both warehouses hold the same marts, else red with table, key and column."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from credit_risk_platform.adapters.parity import Mart
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import Monitoring
from credit_risk_platform.defs.parity import CHECK
from credit_risk_platform.defs.parity.assets import warehouse_parity_of
from credit_risk_platform.settings import Settings

MARTS = (Mart("gold.roll_rates", ("month", "bucket")), Mart("gold.kpi_summary", ()))
ROWS = {
    "gold.roll_rates": [
        {"month": "2026-05", "bucket": "30-59", "rate": 0.25},
        {"month": "2026-05", "bucket": "Current"},
    ],
    "gold.kpi_summary": [{"kpi": "open loans", "value": 12}],
}
Sides = tuple[DuckLakeWarehouse, DuckLakeWarehouse]


@pytest.fixture
def sides(tmp_path: Path) -> Iterator[Sides]:
    both = DuckLakeWarehouse(tmp_path / "one"), DuckLakeWarehouse(tmp_path / "other")
    for side in both:
        for table, rows in ROWS.items():
            side.replace_table(table, pa.Table.from_pylist(rows))
    yield both
    for side in both:
        side.close()


def compared(warehouse: DuckLakeWarehouse, twin: DuckLakeWarehouse | None, home: Path) -> dg.ExecuteInProcessResult:
    resources: dict[str, Any] = {"settings": Settings(home=home), "warehouse": warehouse, "twin": twin}
    return dg.materialize([warehouse_parity_of(MARTS)], resources=resources, raise_on_error=False)


def test_equal_marts_are_green_and_the_page_lists_every_one(sides: Sides, tmp_path: Path) -> None:
    result = compared(*sides, tmp_path)
    (check,) = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == (CHECK, True)
    (made,) = result.asset_materializations_for_node(Monitoring.WAREHOUSE_PARITY.to_python_identifier())
    assert made.metadata["tables"].value == len(MARTS)
    assert made.metadata["tables_that_differ"].value == 0
    shown = str(made.metadata["comparison"].value)
    assert all(mart.table in shown for mart in MARTS)


def test_one_flipped_value_turns_the_check_red_and_is_named_by_table_key_and_column(
    sides: Sides, tmp_path: Path
) -> None:
    flipped = [{**ROWS["gold.roll_rates"][0], "rate": 0.5}, ROWS["gold.roll_rates"][1]]
    sides[1].replace_table("gold.roll_rates", pa.Table.from_pylist(flipped))
    (check,) = compared(*sides, tmp_path).get_asset_check_evaluations()
    assert not check.passed
    told = "gold.roll_rates: 2026-05 | 30-59: rate is 0.25 in DuckDB and 0.5 in Snowflake"
    assert told in str(check.metadata["differences"].value)


def test_with_one_warehouse_only_the_asset_says_how_to_get_the_other(sides: Sides, tmp_path: Path) -> None:
    result = compared(sides[0], None, tmp_path)
    assert not result.success
    (failure,) = (event for event in result.all_events if event.is_step_failure)
    assert "CRP_TARGET=snowflake" in str(failure.step_failure_data.user_failure_data)
