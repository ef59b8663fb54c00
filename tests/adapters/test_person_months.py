"""Months at risk and workouts as the warehouse cuts them: nothing after a default, nothing a look could not know."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from credit_risk_platform.adapters import person_months, workouts
from credit_risk_platform.adapters.person_months import AtRisk
from credit_risk_platform.adapters.portfolio import NothingToScoreError
from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.domain.provisioning.person_months import CLOSED, DEFAULTED, SURVIVED

ISSUED, KNOWN = date(2025, 1, 1), date(2025, 12, 31)
LOANS: list[dict[str, Any]] = [
    {"loan_id": "defaults in month 7", "default_date": date(2025, 8, 9), "closed_date": date(2025, 10, 1), "pd": 0.11},
    {"loan_id": "repaid in month 5", "closed_date": date(2025, 6, 30), "pd": 0.12},
    {"loan_id": "still runs", "pd": 0.13},
    {"loan_id": "default of tomorrow", "default_date": date(2026, 1, 1), "pd": 0.14},
    {"loan_id": "too young", "issue_month": date(2025, 12, 1), "pd": 0.15},
    {"loan_id": "without a score"},
]
"""Of 12 months each, issued in January 2025 where nothing else is said, known through December 2025: 11 months."""


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckLakeWarehouse]:
    made = DuckLakeWarehouse(tmp_path_factory.mktemp("months") / "warehouse")
    empty: dict[str, Any] = {"issue_month": ISSUED, "default_date": None, "closed_date": None}
    rows = [
        {**empty, "term_months": 12, "loan_amount": 1_000, "observed_through": KNOWN, "matured": False, "is_bad": None}
        | {name: value for name, value in loan.items() if name != "pd"}
        for loan in LOANS
    ]
    types = {"default_date": pa.date32(), "closed_date": pa.date32(), "is_bad": pa.bool_(), "term_months": pa.int32()}
    table = pa.Table.from_pylist(rows, schema=None)
    for name, kind in types.items():
        table = table.set_column(table.column_names.index(name), name, table[name].cast(kind))
    made.replace_table("gold.loan_outcomes", table)
    scored = [{"loan_id": loan["loan_id"], "pd": loan["pd"], "bundle_sha": "b"} for loan in LOANS if "pd" in loan]
    made.replace_table("gold.origination_scores", pa.Table.from_pylist(scored))
    made.replace_table("silver.int_macro_published", Select(
        "select date '2025-01-01' as valid_from, 0.05 as unemployment_rate_pub union all select date '2025-05-15', 0.06"
    ))  # fmt: skip
    made.replace_table("silver.int_loan_month_panel", Select(_PANEL))
    yield made
    made.close()


_PANEL = """
    select loan_id, last_day((date '2025-01-01' + to_months(month::integer))::date) as month_end,
        case when loan_id like 'defaults%' then greatest(month - 3, 0) * 30 else 0 end as days_past_due,
        case when loan_id like 'repaid%' and month >= 5 then 'Closed' when loan_id like 'defaults%' and month > 6
            then 'Default' when loan_id like 'defaults%' and month > 3 then 'In Arrears' else 'Current' end as status
    from gold.loan_outcomes, range(1, 12) as months (month)
"""
"""The defaulter is 30, 60 and 90 days past due at the ends of months 4, 5 and 6."""


@pytest.fixture(scope="module")
def read(warehouse: DuckLakeWarehouse) -> AtRisk:
    return person_months.read(warehouse, rows=1_000)


def months_of(read: AtRisk, pd: float) -> list[tuple[int, int, int, int]]:
    """(age, ahead, arrears, event) of the loan with that PD."""
    found = read.months
    mine = [k for k in range(len(found)) if found.pd[k] == pd]
    return [(int(found.age[k]), int(found.ahead[k]), int(found.arrears[k]), int(found.event[k])) for k in mine]


def test_a_loan_is_at_risk_until_its_default_its_repayment_or_the_last_month_known(read: AtRisk) -> None:
    ends = {}
    for loan in LOANS[:5]:
        from_issue = [month for month in months_of(read, loan["pd"]) if month[0] == month[1]]
        assert [month[0] for month in from_issue] == list(range(1, len(from_issue) + 1))
        assert all(month[3] == SURVIVED for month in from_issue[:-1])
        ends[loan["loan_id"]] = (len(from_issue), from_issue[-1][3]) if from_issue else None
    assert ends == {
        "defaults in month 7": (7, DEFAULTED),
        "repaid in month 5": (5, CLOSED),
        "still runs": (11, SURVIVED),
        "default of tomorrow": (11, SURVIVED),
        "too young": None,
    }


def test_a_later_look_knows_the_arrears_of_its_day_and_only_what_came_after(read: AtRisk) -> None:
    """Looks fall on one month of 1-4, one of 5-8, one of 9-12; in default or repaid there is nothing to look at."""
    for loan, until in (("defaults in month 7", 5), ("repaid in month 5", 4), ("still runs", 10)):
        pd = next(one["pd"] for one in LOANS if one["loan_id"] == loan)
        looks = {age - ahead: arrears for age, ahead, arrears, _ in months_of(read, pd) if age != ahead}
        assert looks
        assert max(looks) <= until
        for look, arrears in looks.items():
            late = 30 * max(look - 3, 0) if loan.startswith("defaults") else 0
            assert arrears == (0 if late == 0 else 2 if late < 60 else 3)
    assert read.has_panel


def test_unemployment_is_that_published_by_the_start_of_the_month(read: AtRisk) -> None:
    """6 % was published on 15 May 2025: June, month 5, is the first that knows of it."""
    of_five = {int(a): float(u) for a, u in zip(read.months.age, read.months.unemployment, strict=True)}
    assert of_five[4] == pytest.approx(5.0)
    assert of_five[5] == pytest.approx(6.0)


def test_loans_without_a_score_are_counted_and_ages_are_not_sampled(read: AtRisk) -> None:
    assert read.loans_without_score == 1
    assert read.bundles == ("b",)
    by_age = {row["age"]: row for row in read.by_age.to_pylist()}
    assert (by_age[1]["at_risk"], by_age[7]["at_risk"], by_age[11]["at_risk"]) == (4, 3, 2)
    assert (by_age[7]["defaults"], by_age[5]["closings"]) == (1, 1)


def test_a_sample_keeps_every_default_and_its_weights_stand_for_the_rest(
    warehouse: DuckLakeWarehouse, read: AtRisk
) -> None:
    some = person_months.read(warehouse, rows=1_000, months=12)
    assert len(some.months) < len(read.months)
    assert (some.months.event == DEFAULTED).sum() == (read.months.event == DEFAULTED).sum()
    assert some.months.weight[some.months.event == DEFAULTED].max() == 1.0
    quiet = (some.months.event != DEFAULTED) & (some.months.arrears <= 0)
    assert some.months.weight[quiet].min() > 1.0


def test_a_book_without_payments_is_followed_from_issue_only(warehouse: DuckLakeWarehouse) -> None:
    panel = warehouse.query("select * from silver.int_loan_month_panel")
    warehouse.replace_table("silver.int_loan_month_panel", panel.slice(0, 0))
    try:
        found = person_months.read(warehouse, rows=1_000)
    finally:
        warehouse.replace_table("silver.int_loan_month_panel", panel)
    assert not found.has_panel
    assert set(found.months.arrears) == {-1}


def test_workouts_that_still_run_are_left_out_and_a_cure_counts_as_no_loss(warehouse: DuckLakeWarehouse) -> None:
    """Two years after the default a charge-off is closed, a repaid loan cured; a year after it, or late still, open."""
    made = [
        ("lost", date(2023, 1, 1), "Charged Off", 200.0),
        ("cured", date(2023, 1, 1), "Fully Paid", 0.0),
        ("late still", date(2023, 1, 1), "Late (31-120 days)", 0.0),
        ("young", date(2024, 6, 1), "Charged Off", 0.0),
        ("silent", date(2023, 1, 1), "Charged Off", None),
        ("never defaulted", None, "Charged Off", 0.0),
    ]
    names = ("loan_id", "default_date", "loan_status", "recoveries")
    rows = [dict(zip(names, one, strict=True)) for one in made]
    table = pa.Table.from_pylist(rows).append_column("term_months", pa.array([36] * len(rows), pa.int32()))
    same = "'car' as purpose, 0.12 as interest_rate, 400.0 as principal_received, 1000 as loan_amount"
    before = warehouse.query("select * from gold.loan_outcomes")
    warehouse.replace_table("silver.workout_test", table)
    sql = f"select *, {same}, date '2025-12-31' as observed_through from silver.workout_test"
    warehouse.replace_table("silver.workout_test", Select(sql))
    warehouse.replace_table("gold.loan_outcomes", Select("select * exclude (purpose) from silver.workout_test"))
    try:
        found = workouts.read(warehouse, "silver.workout_test")
    finally:
        warehouse.replace_table("gold.loan_outcomes", before)
    assert (len(found.closed), found.cured, found.still_open, found.unpublished) == (2, 1, 2, 1)
    lost = ~found.closed.cured
    assert found.closed.principal[lost].tolist() == [600.0]
    assert found.closed.realised()[lost][0] == pytest.approx(1 - 200 * 0.86 / 1.12 / 618)


def test_a_missing_table_is_named(tmp_path: Any) -> None:
    empty = DuckLakeWarehouse(tmp_path / "warehouse")
    with pytest.raises(NothingToScoreError, match="materialise gold/origination_scores first"):
        person_months.read(empty, 100)
    empty.close()
