"""Vintage curves, moves between buckets, roll rates and default rates of the dozen loans of tests/risk_book.py."""

from __future__ import annotations

from datetime import date
from math import sqrt
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from credit_risk_platform.adapters.roll_forecast import TABLE
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import Gold
from credit_risk_platform.defs.risk import roll_forecast
from tests.dbt_book import Row
from tests.risk_book import AS_OF, risk_book

FEBRUARY, MARCH, APRIL, MAY = date(2023, 2, 28), date(2023, 3, 31), date(2023, 4, 30), date(2023, 5, 31)
A_YEAR_AGO = date(2022, 6, 30)


@pytest.fixture(scope="module")
def warehouse() -> DuckLakeWarehouse:
    return risk_book().warehouse


def rows(warehouse: DuckLakeWarehouse, sql: str) -> list[Row]:
    return list(warehouse.query(sql).to_pylist())


def curve(warehouse: DuckLakeWarehouse, kind: str, cohort: date) -> list[float | None]:
    sql = "select default_rate from gold.vintage_curves where cohort_kind = ? and cohort = ? order by months_on_book"
    return list(warehouse.query(sql, [kind, cohort])["default_rate"].to_pylist())


def test_a_seasoned_vintage_shows_its_whole_curve(warehouse: DuckLakeWarehouse) -> None:
    # Two loans of January 2022; one defaulted on 9 July, six months later. Six months' term and five of recognition.
    assert curve(warehouse, "month", date(2022, 1, 1)) == [0.0] * 6 + [0.5] * 6


def test_a_young_vintage_is_empty_even_where_its_defaults_are_known(warehouse: DuckLakeWarehouse) -> None:
    # June 2023 is six months after December 2022: less five of recognition, months 0 and 1 are known. The one loan
    # defaulted in month 4, which would be a rate of 100 % among the loans that came to an end.
    assert curve(warehouse, "month", date(2022, 12, 1)) == [0.0] * 2 + [None] * 10
    # The quarter of January is as young as its loans of March, of which not one month is known.
    assert curve(warehouse, "month", date(2023, 1, 1)) == [0.0] + [None] * 11
    assert curve(warehouse, "quarter", date(2023, 1, 1)) == [None] * 12


def test_no_curve_falls_and_no_denominator_shrinks(warehouse: DuckLakeWarehouse) -> None:
    whole = "partition by cohort_kind, cohort order by months_on_book"
    broken = f"""
        select *,
            lag(loans) over ({whole}) <> loans as shrunk,
            lag(defaulted_loans) over ({whole}) > defaulted_loans as fallen,
            matured <> (default_rate is not null) or matured <> (defaulted_loans is not null) as shown_too_early
        from gold.vintage_curves qualify shrunk or fallen or shown_too_early
    """
    assert rows(warehouse, broken) == []


def moves(warehouse: DuckLakeWarehouse, **of: Any) -> list[tuple[Any, ...]]:
    where = " and ".join(f"{name} = ?" for name in of)
    sql = f"select month_end, from_state, to_state, loans, balance from gold.loan_transitions where {where} order by 1"
    return [tuple(row.values()) for row in warehouse.query(sql, list(of.values())).to_pylist()]


def test_a_loan_that_is_cured_moves_back(warehouse: DuckLakeWarehouse) -> None:
    # `cured` is alone with its purpose and vintage: 21 days at the end of March, 51 in April, paid up in May.
    assert moves(warehouse, purpose="debt_consolidation", issue_month=date(2023, 1, 1)) == [
        (MARCH, "Current", "1-29", 1, 500),
        (APRIL, "1-29", "30-59", 1, 500),
        (MAY, "30-59", "Current", 1, 500),
        (AS_OF, "Current", "Current", 1, 200),
    ]


def test_loans_that_leave_the_book_move_once_and_no_more(warehouse: DuckLakeWarehouse) -> None:
    january = date(2023, 1, 1)
    prepaid = [(MARCH, "Current", "Current", 1, 500), (APRIL, "Current", "Prepaid/Closed", 1, 400)]
    assert moves(warehouse, purpose="car", issue_month=january, status="Closed") == prepaid
    assert moves(warehouse, purpose="small_business") == [
        (FEBRUARY, "1-29", "30-59", 1, 600),
        (MARCH, "30-59", "60-89", 1, 600),
        (APRIL, "60-89", "90-119", 1, 600),
        (MAY, "90-119", "Charged Off", 1, 600),
    ]


def test_roll_rates_of_june_have_their_golden_values(warehouse: DuckLakeWarehouse) -> None:
    # Current on 31 May: `paid up` and `cured` (200 each), `29 days` (400) and `30 days` (500): 1,300 in all.
    # Half of four: (0.5 + 3.8415 / 8 -+ 1.96 * sqrt(0.25 / 4 + 3.8415 / 64)) / (1 + 3.8415 / 4).
    found = rows(
        warehouse,
        "select to_state, loans, rate, rate_by_balance, low, high, direction from gold.roll_rates "
        "where period = 'latest month' and from_state = 'Current' and loans > 0 order by to_state",
    )
    assert [(row["to_state"], row["loans"], row["rate"], row["direction"]) for row in found] == [
        ("1-29", 1, 0.25, "forward"),
        ("30-59", 1, 0.25, "forward"),
        ("Current", 2, 0.5, "stable"),
    ]
    assert [row["rate_by_balance"] for row in found] == [400 / 1300, 500 / 1300, 400 / 1300]
    z = 1.959964
    middle, half = 0.5 + z**2 / 8, z * sqrt(0.25 / 4 + z**2 / 64)
    expected = [(middle - half) / (1 + z**2 / 4), (middle + half) / (1 + z**2 / 4)]
    assert [found[2]["low"], found[2]["high"]] == pytest.approx(expected, abs=1e-6)


def test_every_row_of_every_matrix_is_whole(warehouse: DuckLakeWarehouse) -> None:
    found = rows(
        warehouse,
        "select count(*) as states, sum(rate) as rates, sum(rate_by_balance) as balances, sum(loans) as loans, "
        "min(loans_at_start) as started, min(low <= rate and rate <= high) as within "
        "from gold.roll_rates group by period, last_month, from_state",
    )
    assert len(found) > 30
    for row in found:
        assert (row["states"], row["loans"], row["within"]) == (8, row["started"], True)
        assert (row["rates"], row["balances"]) == pytest.approx((1, 1))


def test_twelve_months_are_pooled_and_directions_named(warehouse: DuckLakeWarehouse) -> None:
    # From 30-59 days in the year to June 2023: `charged off` (49 to 80), `119 days` (58 to 89), `60 days` (30 to 60)
    # and `89 days` (59 to 89) rolled to 60-89, `120 days` (59 to 90) beyond, `cured` paid up. `matured bad` was before.
    found = rows(
        warehouse,
        "select from_state, to_state, loans, loans_at_start, direction from gold.roll_rates "
        "where period = 'latest 12 months' and (from_state = '30-59' and loans > 0 or from_state = '90-119' "
        "and to_state in ('Charged Off', '60-89', 'Prepaid/Closed')) order by from_state, to_state",
    )
    assert [tuple(row.values()) for row in found] == [
        ("30-59", "60-89", 4, 6, "forward"),
        ("30-59", "90-119", 1, 6, "forward"),
        ("30-59", "Current", 1, 6, "cure"),
        ("90-119", "60-89", 0, 3, "back"),
        ("90-119", "Charged Off", 1, 3, "forward"),
        ("90-119", "Prepaid/Closed", 0, 3, "exit"),
    ]


def test_the_default_rate_is_that_of_the_loans_of_a_year_ago(warehouse: DuckLakeWarehouse) -> None:
    # Two loans were open on 30 June 2022 and one of them has defaulted since; the four younger ones that defaulted in
    # 2023 were not there. In June `90 days` and `119 days` defaulted, of the nine of ten that were not in default.
    june = rows(warehouse, f"select * from gold.default_trend where month_end = date '{AS_OF}'")
    assert june == [
        {
            "month_end": AS_OF, "open_loans": 11, "performing_loans": 8, "new_defaults": 2,
            "monthly_default_rate": 2 / 9, "performing_loans_12m_ago": 2, "defaults_12m": 1, "default_rate_12m": 0.5,
            "complete": True,
        }
    ]  # fmt: skip


def test_the_forecast_is_shown_beside_what_came_true(warehouse: DuckLakeWarehouse) -> None:
    first, again = materialize(warehouse), materialize(warehouse)
    found = {row["from_state"]: row for row in rows(warehouse, f"select * from {TABLE}")}
    # On 30 June 2022 `matured good` was Current and repaid in July, `matured bad` 81 days late and in default in July.
    current, late = found["Current"], found["60-89"]
    assert (current["known_on"], current["realised_on"]) == (A_YEAR_AGO, AS_OF)
    assert [(row["loans"], row["defaulted_loans"], row["realised"]) for row in (current, late)] == [
        (1, 0, 0),
        (1, 1, 1),
    ]
    assert current["forecast"] is None, "until June 2022 nobody had left 60-89: what comes after it was not known"
    # All four that left 60-89 since are in default; `29 days` is the only one of 1-29 today.
    assert (late["next_forecast"], found["1-29"]["next_loans"]) == (pytest.approx(1), 1)
    assert first.tags["dagster/data_version"] == again.tags["dagster/data_version"]
    assert first.metadata["dagster/row_count"].value == 4
    assert set(found["Current"]) == {column.name for column in first.metadata["dagster/column_schema"].value.columns}


def test_a_book_without_a_repayment_record_has_no_forecast_and_says_so(tmp_path: Path) -> None:
    warehouse = DuckLakeWarehouse(tmp_path / "warehouse")
    with pytest.raises(dg.Failure, match="materialise gold/loan_transitions, silver/int_loan_month_panel"):
        materialize(warehouse)
    nothing = pa.table({"month_end": pa.array([], pa.date32()), "loan_id": pa.array([], pa.string())})
    warehouse.replace_table("gold.loan_transitions", nothing)
    warehouse.replace_table("silver.int_loan_month_panel", nothing)
    found = materialize(warehouse)
    assert found.metadata["dagster/row_count"].value == 0
    assert "no repayment record" in str(found.metadata["verdict"].value)


def materialize(warehouse: DuckLakeWarehouse) -> dg.AssetMaterialization:
    run = dg.materialize([roll_forecast], resources={"warehouse": warehouse})
    return run.asset_materializations_for_node(Gold.ROLL_FORECAST.to_python_identifier())[0]
