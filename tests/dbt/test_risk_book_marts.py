"""The book as dashboard and reports show it, on loans whose every figure is worked by hand (tests/risk_book.py)."""

from __future__ import annotations

from datetime import date

import pytest

from tests.dbt_book import DbtBook, Row
from tests.risk_book import AS_OF, SCORED_DAYS, risk_book

MAY = date(2023, 5, 31)


@pytest.fixture(scope="module")
def book() -> DbtBook:
    return risk_book()


@pytest.fixture(scope="module")
def loans(book: DbtBook) -> dict[str, Row]:
    return {row["loan_id"]: row for row in book.rows("gold.portfolio_loans")}


@pytest.mark.parametrize(
    ("loan_id", "days", "bucket", "status"),
    [
        ("29 days", 29, "1-29", "In Arrears"),
        ("30 days", 30, "30-59", "In Arrears"),
        ("59 days", 59, "30-59", "In Arrears"),
        ("60 days", 60, "60-89", "In Arrears"),
        ("89 days", 89, "60-89", "In Arrears"),
        ("90 days", 90, "90-119", "Default"),
        ("119 days", 119, "90-119", "Default"),
        ("120 days", 120, "120+", "Default"),
        ("cured", 0, "Current", "Current"),
        ("first month", 0, "Current", "Current"),
    ],
)
def test_days_are_counted_from_the_oldest_unpaid_due_day_and_a_lower_edge_belongs_to_its_bucket(
    loans: dict[str, Row], loan_id: str, days: int, bucket: str, status: str
) -> None:
    found = loans[loan_id]
    assert (found["days_past_due"], found["dpd_bucket"], found["status"]) == (days, bucket, status)
    assert found["is_open"]


def test_a_loan_that_left_the_book_owes_nothing_and_is_not_late(loans: dict[str, Row]) -> None:
    gone = {name: row for name, row in loans.items() if not row["is_open"]}
    assert {name: (row["status"], row["left_date"]) for name, row in gone.items()} == {
        "prepaid": ("Closed", date(2023, 4, 9)),
        "matured good": ("Closed", date(2022, 7, 9)),
        "charged off": ("Charged Off", date(2023, 5, 20)),
        "matured bad": ("Charged Off", date(2022, 9, 20)),
    }
    assert {(row["balance"], row["days_past_due"], row["dpd_bucket"]) for row in gone.values()} == {(0, None, None)}


def test_what_is_owed_says_where_the_figure_comes_from(loans: dict[str, Row]) -> None:
    """600 less 100 for each instalment that is known to be paid; before the first month end, the amount lent."""
    owed = {name: (row["balance"], row["balance_basis"]) for name, row in loans.items()}
    assert owed["29 days"] == (400, "balance at the latest month end")
    assert owed["first month"] == (1_200, "amount lent")
    assert sum(balance for balance, _ in owed.values()) == 5_500


def test_an_open_loan_bears_its_latest_score_and_a_closed_one_that_of_its_application(loans: dict[str, Row]) -> None:
    def of(loan_id: str) -> tuple[object, ...]:
        row = loans[loan_id]
        return row["pd"], row["risk_band"], row["decision"], row["scored_on"]

    assert of("59 days") == (0.18, "High", "refer", AS_OF), "scored 0.03 in May"
    assert of("119 days") == (0.35, "Very High", "decline", MAY), "in default, so scored no more"
    assert of("prepaid") == (0.01, "Very Low", "approve", None)
    assert of("matured good") == (None, "Not scored", None, None)


def test_a_young_loan_is_neither_good_nor_bad(loans: dict[str, Row]) -> None:
    assert {name: row["is_bad"] for name, row in loans.items() if row["matured"]} == {
        "matured good": False,
        "matured bad": True,
    }
    assert {row["is_bad"] for row in loans.values() if not row["matured"]} == {None}


def test_every_loan_of_a_month_comes_from_the_month_before_or_is_new(book: DbtBook) -> None:
    """Loans at a month end = those a month before + new - closed: nobody drops out of the book unseen."""
    sql = """
        select month_end, sum(loans) as loans, sum(new_loans) as new, sum(closed_loans) as closed,
            sum(new_defaults) as defaults, sum(balance) as balance, sum(days_past_due_sum) as days
        from gold.portfolio_months where month_end >= date '2023-01-31' group by month_end order by month_end
    """
    months = book.warehouse.query(sql).to_pylist()
    assert [(row["loans"], row["new"], row["closed"], row["defaults"]) for row in months] == [
        (6, 5, 0, 0),  # `charged off` runs since December; the five of January
        (6, 0, 0, 0),
        (12, 6, 0, 0),  # the six of March
        (11, 0, 1, 1),  # `prepaid` closed; `charged off` 90 days late on 10 April
        (10, 0, 1, 1),  # `charged off`; `120 days` 90 days late on 31 May
        (11, 1, 0, 2),  # `first month`; `90 days` and `119 days`
    ]
    # 100 + 400 + 500 + 500 + 500 + 600 + 600 + 500 + 500 + 100 + 1,200; 29 + 30 + 59 + 60 + 89 + 90 + 119 + 120
    assert (months[-1]["balance"], months[-1]["days"]) == (5_500, 596)


def test_a_charged_off_loan_is_counted_late_until_it_leaves(book: DbtBook) -> None:
    sql = """
        select month_end, dpd_bucket, days_past_due_sum as days from gold.portfolio_months
        where purpose = 'small_business' and loans > 0 order by month_end
    """
    assert [tuple(row.values()) for row in book.warehouse.query(sql).to_pylist()] == [
        (date(2022, 12, 31), "Current", 0),
        (date(2023, 1, 31), "1-29", 21),
        (date(2023, 2, 28), "30-59", 49),
        (date(2023, 3, 31), "60-89", 80),
        (date(2023, 4, 30), "90-119", 110),
    ]


def test_a_loan_that_cures_leaves_its_bucket_on_the_month_end_after_the_payment(book: DbtBook) -> None:
    sql = """
        select dpd_bucket from gold.portfolio_months
        where purpose = 'debt_consolidation' and issue_month = date '2023-01-01' and loans > 0 order by month_end
    """
    buckets = book.warehouse.query(sql)["dpd_bucket"].to_pylist()
    assert buckets == ["Current", "Current", "1-29", "30-59", "Current", "Current"]


def test_delinquency_is_told_by_loans_and_by_balance_and_adds_up(book: DbtBook) -> None:
    rows = [row for row in book.rows("gold.delinquency_buckets", "bucket_order") if row["month_end"] == AS_OF]
    assert [(row["dpd_bucket"], row["loans"], row["balance"]) for row in rows] == [
        ("Current", 3, 1_400),  # `paid up`, `cured`, `first month`
        ("1-29", 1, 400),
        ("30-59", 2, 1_000),
        ("60-89", 2, 1_100),
        ("90-119", 2, 1_100),
        ("120+", 1, 500),
    ]
    assert rows[0]["share_of_loans"] == pytest.approx(3 / 11)
    assert rows[0]["share_of_balance"] == pytest.approx(14 / 55)
    sums = (
        "select sum(share_of_loans) as n, sum(share_of_balance) as b from gold.delinquency_buckets group by month_end"
    )
    for total in book.warehouse.query(sums).to_pylist():
        assert total == {"n": pytest.approx(1), "b": pytest.approx(1)}


def test_each_scored_day_tells_what_was_found_that_day(book: DbtBook) -> None:
    daily = {(row["as_of"], row["risk_band"]): row for row in book.rows("gold.portfolio_daily")}
    may, june = (daily[day, "High"] for day in SCORED_DAYS)
    assert (may["loans"], may["amount_lent"], may["refer"], may["mean_pd"]) == (2, 1_200, 2, 0.18)  # `89`, `90 days`
    assert (june["loans"], june["high_risk_loans"]) == (2, 2)  # `59 days` came, `90 days` is in default
    assert (AS_OF, "Very High") not in daily
    assert sum(row["loans"] for row in daily.values()) == 17


def test_high_risk_loans_say_why_they_are_listed(book: DbtBook) -> None:
    listed = {row["loan_id"]: row["reasons"] for row in book.rows("gold.high_risk_loans")}
    assert listed == {
        "30 days": "30 days past due",
        "59 days": "risk band High; 59 days past due; early warning EW-03",
        "60 days": "60 days past due; early warning EW-03",
        "89 days": "risk band High; 89 days past due; early warning EW-03, EW-09",
        "90 days": "risk band High; 90 days past due",
        "119 days": "risk band Very High; 119 days past due",
        "120 days": "risk band Very High; 120 days past due",
    }
