"""Silver and gold built by a real dbt process on loans whose every figure can be checked by hand."""

from __future__ import annotations

from datetime import date

import yaml

from tests.dbt_book import DBT_PROJECT, Row
from tests.dbt_story import Story

JANUARY, FEBRUARY, MARCH = date(2022, 1, 31), date(2022, 2, 28), date(2022, 3, 31)


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
    for table, month in (
        ("silver.int_loan_month_panel", "month_end"),
        ("gold.behaviour_features", "observation_month"),
    ):
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


def test_a_bad_file_turns_exactly_the_expected_checks_red(story: Story) -> None:
    red = {check for check, status in story.spoilt.items() if status == "fail"}
    assert red == {
        "percent_scale__stg_synthetic__loans",
        "pii_scanner__stg_synthetic__loans",
        "unique_key__int_applications",
        "accepted_range__int_applications",
        "balance_roll_forward__stg_synthetic__repayments",
        "referential_integrity__stg_synthetic__repayments",
    }
    warned = {check for check, status in story.spoilt.items() if status == "warn"}
    assert warned == {"accepted_values__int_applications"}


def test_a_red_check_names_loan_column_and_value(story: Story) -> None:
    named = {(row["loan_id"], row["column_name"], float(row["value"])) for row in story.out_of_range}
    assert named == {("negative", "annual_income", -5), ("too high", "reported_utilisation", 50)}


def test_every_column_that_an_analyst_meets_is_described(story: Story) -> None:
    described = {
        node["name"]: [column["name"] for column in node["columns"] if column["description"].strip()]
        for file in [*DBT_PROJECT.glob("models/**/*.yml"), *DBT_PROJECT.glob("seeds/**/*.yml")]
        for kind in ("models", "seeds")
        for node in yaml.safe_load(file.read_text()).get(kind, [])
        if node["description"].strip()
    }
    assert {name: sorted(columns) for name, columns in described.items()} == {
        name: sorted(columns) for name, columns in story.columns.items()
    }


def _panel(story: Story, month: date) -> Row:
    rows = _of(story, "silver.int_loan_month_panel", "behind")
    return next(row for row in rows if row["month_end"] == month)


def _of(story: Story, table: str, loan_id: str) -> list[Row]:
    return [row for row in story.incremental[table] if row["loan_id"] == loan_id]
