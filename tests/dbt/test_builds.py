"""Silver and gold built by a real dbt process on loans whose every figure can be checked by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import pytest

from tests.dbt_book import DbtBook, Row, instalments, loan, macro

JANUARY, FEBRUARY, MARCH = date(2022, 1, 31), date(2022, 2, 28), date(2022, 3, 31)
ISSUED = date(2021, 12, 1)
ON_TIME = [date(2022, month, 9) for month in range(1, 7)]
UNEMPLOYMENT = macro(
    (date(2021, 10, 1), date(2021, 11, 5), 4.6),
    (date(2021, 11, 1), date(2021, 12, 3), 4.2),
    (date(2021, 11, 1), date(2022, 3, 1), 9.9),
)
LOANS = [
    loan("repaid", ISSUED, loan_status="Fully Paid", closed_date=date(2022, 6, 9)),
    loan("behind", ISSUED),
    loan("lost", ISSUED, loan_status="Charged Off", closed_date=date(2022, 6, 20), default_date=date(2022, 5, 11)),
    loan("young", date(2023, 4, 1)),
]
REPAYMENTS = [
    *instalments("repaid", ISSUED, ON_TIME),
    *instalments("behind", ISSUED, [date(2022, 1, 9), None, None]),
    *instalments("lost", ISSUED, [date(2022, 1, 9), None, None, None, None]),
    *instalments("young", date(2023, 4, 1), [date(2023, 5, 10)]),
]
TABLES = (
    "silver.int_loan_month_panel", "silver.int_macro_published", "gold.application_features",
    "gold.behaviour_features", "gold.loan_outcomes", "gold.vintage_default_rates", "gold.risk_bands",
)  # fmt: skip

LATER_LOANS = [
    LOANS[0],
    loan("behind", ISSUED, _batch="second"),
    loan("young", date(2023, 4, 1)),
    loan("new", ISSUED, _batch="second"),
]
LATER_REPAYMENTS = [
    *instalments("repaid", ISSUED, ON_TIME),
    # the February instalment, paid on its day, is learnt of in March
    *instalments("behind", ISSUED, [date(2022, 1, 9), (date(2022, 2, 10), date(2022, 3, 2)), None], _batch="second"),
    *instalments("young", date(2023, 4, 1), [date(2023, 5, 10)]),
    *instalments("new", ISSUED, ON_TIME[:2], _batch="second"),
]


@dataclass(frozen=True)
class Story:
    """One lake through its life: built, built again, landed anew, brought up to date, built from nothing."""

    statuses: dict[str, str]
    built: dict[str, list[Row]]
    again: dict[str, list[Row]]
    incremental: dict[str, list[Row]]
    rebuilt_loans: set[str]
    from_nothing: dict[str, list[Row]]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    book = DbtBook.new(tmp_path_factory.mktemp("story"))
    book.land(LOANS, REPAYMENTS, UNEMPLOYMENT)
    statuses = book.dbt("build")
    built = _tables(book)
    book.dbt("run")
    again = _tables(book)
    book.land(LATER_LOANS, LATER_REPAYMENTS, UNEMPLOYMENT)
    before = int(book.warehouse.snapshot()) + 1
    book.dbt("run")
    written = book.warehouse.query(
        "select distinct loan_id from ducklake_table_insertions('lake', 'silver', 'int_loan_month_panel', "
        f"{before}::bigint, {book.warehouse.snapshot()}::bigint)"
    )
    incremental = _tables(book)
    book.dbt("run", "--full-refresh")
    yield Story(statuses, built, again, incremental, set(written["loan_id"].to_pylist()), _tables(book))
    book.warehouse.close()


def test_every_golden_value_and_every_check_holds(story: Story) -> None:
    assert len(story.statuses) > 75
    assert set(story.statuses.values()) == {"success", "pass"}
    assert story.statuses["burdens_have_their_golden_values"] == "pass"


def test_building_twice_changes_nothing(story: Story) -> None:
    assert story.again == story.built


def test_only_loans_with_news_are_rebuilt(story: Story) -> None:
    assert story.rebuilt_loans == {"behind", "new"}


def test_the_incremental_panel_equals_one_built_from_nothing(story: Story) -> None:
    assert story.incremental == story.from_nothing
    panel = {row["loan_id"] for row in story.incremental["silver.int_loan_month_panel"]}
    assert panel == {"repaid", "behind", "young", "new"}, "a loan that is gone from bronze stays in the panel"


def test_a_payment_learnt_of_later_changes_no_earlier_month(story: Story) -> None:
    for table, month in (("silver.int_loan_month_panel", "month_end"), ("gold.behaviour_features", "observation_month")):
        before = {row[month]: row for row in story.built[table] if row["loan_id"] == "behind"}
        after = {row[month]: row for row in story.incremental[table] if row["loan_id"] == "behind"}
        landing = dict.fromkeys(("_batch", "latest_news_at"))
        for earlier in (JANUARY, FEBRUARY):
            assert after[earlier] | landing == before[earlier] | landing
    february, march = _panel(story, FEBRUARY), _panel(story, MARCH)
    assert (february["days_past_due"], february["status"], february["paid_to_date"]) == (18, "In Arrears", 105)
    assert (march["days_past_due"], march["instalments_on_time"], march["instalments_late"]) == (21, 1, 0)
    late = {row["observation_month"]: row["late_cnt_6m"] for row in _of(story, "gold.behaviour_features", "behind")}
    assert (late[JANUARY], late[FEBRUARY], late[MARCH]) == (0, 1, 1), "March turns late as February is taken back"


def test_a_loan_stays_in_the_panel_until_it_leaves_the_book(story: Story) -> None:
    def months(loan_id: str) -> list[tuple[date, str]]:
        rows = story.built["silver.int_loan_month_panel"]
        return [(row["month_end"], row["status"]) for row in rows if row["loan_id"] == loan_id]

    assert months("repaid")[-1] == (date(2022, 6, 30), "Closed")
    assert months("lost")[-2:] == [(date(2022, 5, 31), "Default"), (date(2022, 6, 30), "Charged Off")]
    assert months("behind")[-1] == (date(2023, 6, 30), "Default")
    assert len(months("behind")) == 18


def test_outcomes_are_those_of_matured_cohorts(story: Story) -> None:
    outcomes = {row["loan_id"]: (row["outcome"], row["default_date"]) for row in story.built["gold.loan_outcomes"]}
    assert outcomes == {
        "repaid": ("good", None),
        "behind": ("bad", date(2022, 5, 31)),
        "lost": ("bad", date(2022, 5, 11)),
        "young": ("immature", None),
    }


def test_a_decision_sees_the_unemployment_published_by_then_not_the_revision(story: Story) -> None:
    seen = {row["loan_id"]: row["unemployment_rate_pub"] for row in story.built["gold.application_features"]}
    assert seen["repaid"] == 0.046, "on 1 December 2021 the October figure was the latest"
    assert seen["young"] == 0.099


def _panel(story: Story, month: date) -> Row:
    rows = _of(story, "silver.int_loan_month_panel", "behind")
    return next(row for row in rows if row["month_end"] == month)


def _of(story: Story, table: str, loan_id: str) -> list[Row]:
    return [row for row in story.incremental[table] if row["loan_id"] == loan_id]


def _tables(book: DbtBook) -> dict[str, list[Row]]:
    return {table: book.rows(table) for table in TABLES}
