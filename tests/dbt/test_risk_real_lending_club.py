"""LendingClub's loans of 2007 to 2011, landed and built by the platform: default curves and rates, to the row."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from credit_risk_platform.adapters.landing import BronzeLake
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from tests.dbt_book import DbtBook
from tests.loan_files import KEY, TODAY

BAD_OF_GRADE = {
    "A": (602, 10_085), "B": (1_433, 12_035), "C": (1_356, 8_111), "D": (1_130, 5_325), "E": (725, 2_858),
    "F": (323, 1_054), "G": (101, 318),
}  # fmt: skip
"""Charged off and all loans within the credit policy, counted in the published file."""


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory, datasets: Path) -> Iterator[DuckLakeWarehouse]:
    """The file landed, and the outcomes, offers and curves that dbt makes of it."""
    book = DbtBook.new(tmp_path_factory.mktemp("real"))
    file = datasets / "lendingclub" / "LoanStats3a_rawstyle.csv.gz"
    landed = datetime(2026, 7, 1, 2, tzinfo=UTC)
    lake = BronzeLake(book.root / "lake", book.warehouse, KEY)
    lake.land_loans(file, "lending_club", run_id="run", landed_at=landed, today=TODAY)
    with pytest.MonkeyPatch.context() as environment:
        environment.setitem(os.environ, "CRP_PORTFOLIO_SOURCE", "lending_club")  # type: ignore[arg-type]
        book.dbt("run", "--select", "+vintage_curves", "loan_offers")
    yield book.warehouse
    book.warehouse.close()


def test_charge_off_rate_by_grade_is_that_of_the_published_file(warehouse: DuckLakeWarehouse) -> None:
    found = warehouse.query(
        "select grade, sum(is_bad::bigint)::bigint as bad, count(*) as loans from gold.loan_outcomes "
        "inner join gold.loan_offers using (loan_id) where meets_credit_policy and matured "
        "group by grade order by grade"
    ).to_pylist()
    assert {row["grade"]: (row["bad"], row["loans"]) for row in found} == BAD_OF_GRADE
    rates = [row["bad"] / row["loans"] for row in found]
    assert rates == sorted(rates), "the lender's own grades rank its loans"


def test_the_curves_end_at_the_14_25_per_cent_of_the_whole_book(warehouse: DuckLakeWarehouse) -> None:
    for kind in ("month", "quarter"):
        (end,) = warehouse.query(
            "select sum(defaulted_loans)::bigint as bad, sum(loans)::bigint as loans from ("
            "    select * from gold.vintage_curves where cohort_kind = ? "
            "    qualify months_on_book = max(months_on_book) over (partition by cohort)"
            ")",
            [kind],
        ).to_pylist()
        assert end == {"bad": 5_670, "loans": 39_786}, "34,116 were paid in full"
    assert round(5_670 / 39_786, 4) == 0.1425


def test_curves_by_quarter_of_issue_equal_a_count_over_the_file(warehouse: DuckLakeWarehouse) -> None:
    """Every cell beside a count that knows nothing of dbt: charged off, five months after the last payment."""
    differing = warehouse.query(
        """
        with loans as (
            select date_trunc('quarter', issue_d)::date as cohort, loan_status = 'Charged Off' as lost,
                datediff('month', issue_d, coalesce(last_pymnt_d, issue_d)) + 5 as lost_in
            from bronze.lending_club_loans where loan_status in ('Fully Paid', 'Charged Off')
        )
        select curves.cohort, months_on_book, any_value(curves.loans) as shown, count(*) as loans,
            any_value(defaulted_loans) as shown_lost, count_if(lost and lost_in <= months_on_book) as lost
        from gold.vintage_curves as curves inner join loans using (cohort) where cohort_kind = 'quarter'
        group by curves.cohort, months_on_book having shown <> loans or shown_lost is distinct from lost
        """
    )
    assert differing.num_rows == 0, differing.slice(0, 3).to_pylist()
    known = "select count(distinct cohort) as cohorts, count(default_rate) as cells, count(*) as all_cells "
    (cells,) = warehouse.query(f"{known} from gold.vintage_curves where cohort_kind = 'quarter'").to_pylist()
    assert cells["cohorts"] == 19, "from the second quarter of 2007 to the last of 2011"
    assert cells["cells"] == cells["all_cells"], "all have ended: the file was published in 2017"


def test_the_worst_and_the_best_quarter_stand_out(warehouse: DuckLakeWarehouse) -> None:
    sql = (
        "select cohort, default_rate from gold.vintage_curves where cohort_kind = 'quarter' and months_on_book = 36 "
        "and loans > 100 order by cohort"
    )
    rates = {row["cohort"]: row["default_rate"] for row in warehouse.query(sql).to_pylist()}
    assert rates[date(2007, 10, 1)] == 33 / 169, "the worst: lent into 2008"
    assert rates[date(2010, 1, 1)] == 186 / 1_953, "the best"
    assert rates[date(2011, 10, 1)] == 899 / 6_617
    assert max(rates, key=rates.__getitem__) == date(2007, 10, 1)
    assert min(rates, key=rates.__getitem__) == date(2010, 1, 1)
