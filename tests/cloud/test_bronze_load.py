"""Bronze on Snowflake: the lake's batches in tables, once each, and no row more or less than their receipts tell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from credit_risk_platform.adapters.landing import BronzeLake
from credit_risk_platform.adapters.snowflake_load import LOADED, BronzeLoadError
from credit_risk_platform.adapters.warehouse.snowflake import SnowflakeWarehouse
from tests.cloud.snowflake_server import Fakesnow
from tests.loan_files import KEY, Lake, loan, make_lake, write


@pytest.fixture
def snowflake(fakesnow: Fakesnow, tmp_path: Path) -> Iterator[SnowflakeWarehouse]:
    warehouse = fakesnow.warehouse(fakesnow.settings(tmp_path))
    yield warehouse
    warehouse.close()


def beside(lake: Lake, warehouse: SnowflakeWarehouse) -> BronzeLake:
    """The same lake, shown in Snowflake."""
    return BronzeLake(lake.root, warehouse, KEY)


def same(lake: Lake, snowflake: SnowflakeWarehouse, table: str, order: str, columns: str = "*") -> None:
    sql = f"select {columns} from bronze.{table} order by {order}"
    assert snowflake.query(sql).to_pylist() == lake.warehouse.query(sql).to_pylist()


@pytest.mark.slow
def test_what_is_landed_stands_in_snowflake_as_in_the_lake_and_is_loaded_once(
    tmp_path: Path, snowflake: SnowflakeWarehouse
) -> None:
    lake = make_lake(tmp_path)
    lake.land(write(tmp_path / "a.csv", [loan(1), loan(2), loan(3, loan_amnt="much")]))
    bronze = beside(lake, snowflake)
    bronze.ensure_views()
    same(lake, snowflake, "landing_loans", "loan_id")
    assert snowflake.count("bronze.landing_loans") == 2
    assert snowflake.count("bronze.synthetic_repayments") == 0  # nothing landed, and dbt finds its columns

    # L2 is stated anew by the second file: the first one's row counts no more.
    lake.land(write(tmp_path / "b.csv", [loan(2, loan_amnt="7000"), loan(4)]))
    bronze.ensure_views()
    same(lake, snowflake, "landing_loans", "loan_id")
    same(lake, snowflake, "quarantine", "file, row", 'source, batch, file, row, "column", value, reason, next_step')
    assert snowflake.query("select count(raw_line) as kept from bronze.quarantine").to_pylist() == [{"kept": 0}]
    assert snowflake.count("bronze.landings") == 2

    before = snowflake.snapshot(), snowflake.query(f"select * from {LOADED} order by dataset, batch").to_pylist()
    beside(lake, snowflake).ensure_views()
    after = snowflake.snapshot(), snowflake.query(f"select * from {LOADED} order by dataset, batch").to_pylist()
    assert after == before


@pytest.mark.slow
def test_a_file_that_lost_rows_since_its_receipt_is_refused_by_name_and_nothing_of_it_is_loaded(
    tmp_path: Path, snowflake: SnowflakeWarehouse
) -> None:
    lake = make_lake(tmp_path)
    first = lake.land(write(tmp_path / "a.csv", [loan(1)]))
    bronze = beside(lake, snowflake)
    bronze.ensure_views()
    second = lake.land(write(tmp_path / "b.csv", [loan(2), loan(3)]))
    receipt = lake.root / "bronze" / "landing" / f"batch={second.batch}" / "manifest.json"
    receipt.write_text(json.dumps({**json.loads(receipt.read_text()), "rows_landed": 3}))
    with pytest.raises(BronzeLoadError, match=f"Batch {second.batch} of bronze.landing_loans_batches: .* 3 rows and 2"):
        bronze.ensure_views()
    rows = snowflake.query("select distinct _batch from bronze.landing_loans").to_pylist()
    assert rows == [{"_batch": first.batch}]
    # Mended, it is loaded with the next look.
    receipt.write_text(json.dumps({**json.loads(receipt.read_text()), "rows_landed": 2}))
    bronze.ensure_views()
    assert snowflake.count("bronze.landing_loans") == 3
