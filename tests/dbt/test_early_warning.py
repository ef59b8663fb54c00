"""Whom the watch list names, why, and whether its figures are honest: loans that can be followed by hand."""

from __future__ import annotations

from datetime import date

import pytest

from tests.dbt_book import DbtBook, Row, instalments, loan

OLD, NEW = date(2021, 12, 1), date(2023, 3, 1)
PAID = [date(2023, month, 9) for month in (4, 5, 6)]
HEAVY = {"dti": 45.0, "revol_util": 90.0, "delinq_2yrs": 0, "inq_last_6mths": 1}
LOANS = [
    loan("golden", NEW, **HEAVY),
    loan("no trouble", NEW, **HEAVY | {"inq_last_6mths": 0}),
    loan("at the edges", NEW, dti=40.0, revol_util=80.0, inq_last_6mths=1),
    loan("20 days late", NEW),
    loan("51 days late", NEW, **HEAVY),
    loan("never paid", NEW),
    loan("paid the first", NEW),
    loan("dearer", NEW, annual_inc=3_000, installment=80),
    loan("no instalment yet", date(2023, 6, 1)),
    # matured: six months and five have passed
    loan("bad", OLD, **HEAVY, loan_status="Charged Off", closed_date=date(2022, 6, 20), default_date=date(2022, 5, 11)),
    loan("good", OLD, loan_status="Fully Paid", closed_date=date(2022, 6, 9)),
    loan("late news", OLD, loan_status="Fully Paid", closed_date=date(2022, 6, 9)),
]
OLD_PAID = [date(2022, month, 9) for month in range(1, 7)]
REPAYMENTS = [
    *[row for name in ("golden", "no trouble", "at the edges", "dearer") for row in instalments(name, NEW, PAID)],
    *instalments("20 days late", NEW, [*PAID[:2], None]),
    *instalments("51 days late", NEW, [PAID[0], None, None]),
    *instalments("never paid", NEW, [None, None, None]),
    *instalments("paid the first", NEW, [PAID[0], None, None]),
    *instalments("bad", OLD, [None, None, None, None, None]),
    *instalments("good", OLD, OLD_PAID),
    # paid on its day, but on 31 January nobody knew
    *instalments("late news", OLD, [(date(2022, 1, 9), date(2022, 2, 3)), *OLD_PAID[1:]]),
]
MARTS = ("watchlist", "risk_segments", "early_warnings", "early_warning_coverage", "kpi_summary")
EW_01 = "dti=0.4500; revolving_utilisation=0.9000; delinq_2y=0; inquiries_6m=1"


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> DbtBook:
    book = DbtBook.new(tmp_path_factory.mktemp("early_warning"))
    book.land(LOANS, REPAYMENTS, macro=[])
    everything_before = "+path:models/marts/early_warning"
    book.dbt("build", "--select", everything_before, "--exclude", "test_type:generic", "test_type:unit")
    return book


@pytest.fixture(scope="module")
def marts(book: DbtBook) -> dict[str, list[Row]]:
    return {mart: book.rows(f"gold.{mart}") for mart in MARTS}


def test_every_loan_on_the_list_shows_its_rules_and_the_values_they_saw(marts: dict[str, list[Row]]) -> None:
    assert {row["loan_id"]: (row["segment"], row["rule_ids"], row["evidence"]) for row in marts["watchlist"]} == {
        "golden": ("watch", "EW-01", f"EW-01: {EW_01}"),
        "20 days late": ("watch", "EW-02", "EW-02: days_past_due=20"),
        "51 days late": ("high", "EW-01, EW-03", f"EW-01: {EW_01} | EW-03: days_past_due=51"),
        "never paid": ("high", "EW-03, EW-09", "EW-03: days_past_due=81 | EW-09: first_instalments_missed=3"),
        "paid the first": ("high", "EW-03", "EW-03: days_past_due=51"),
        "dearer": ("watch", "EW-08", "EW-08: instalment_to_income=0.4200; at_decision=0.3200"),
    }
    referred = {row["loan_id"]: row["refer_to"] for row in marts["watchlist"] if row["refer_to"]}
    assert referred == {"never paid": "fraud"}


def test_heavy_debts_without_delinquency_or_inquiry_list_nobody(marts: dict[str, list[Row]]) -> None:
    standard = {row["loan_id"]: row for row in marts["risk_segments"] if row["segment"] == "standard"}
    assert set(standard) == {"no trouble", "at the edges", "no instalment yet"}
    assert {row["rule_ids"] for row in standard.values()} == {None}


def test_what_could_not_be_measured_is_told_and_never_green(marts: dict[str, list[Row]]) -> None:
    rules = {row["rule_id"]: row for row in marts["early_warning_coverage"]}
    assert sorted(rules) == [f"EW-{number:02}" for number in range(1, 13)]
    unread = {name for name, row in rules.items() if row["status"] == "not measurable"}
    assert unread == {"EW-04", "EW-05", "EW-06", "EW-07", "EW-10", "EW-11"}
    assert all(rules[name]["reason"] for name in unread)
    assert (rules["EW-09"]["status"], rules["EW-09"]["not_measurable"]) == ("partly measured", 1)
    (young,) = [row for row in marts["risk_segments"] if row["loan_id"] == "no instalment yet"]
    assert young["not_measurable"] == "EW-04, EW-05, EW-06, EW-07, EW-08, EW-09"


def test_kpis_stand_on_one_matured_population(marts: dict[str, list[Row]]) -> None:
    """Three matured loans, of which the one that defaulted was listed; nine are too young for any rate."""
    (row,) = [row for row in marts["kpi_summary"] if row["evaluated"] == "at_decision"]
    assert (row["book_rows"], row["immature_loans"], row["portfolio_rows"], row["defaulted_loans"]) == (12, 9, 3, 1)
    assert row["baseline_default_rate"] == row["watchlist_share"] == pytest.approx(1 / 3)
    assert (row["watchlist_default_rate"], row["lift"], row["capture"], row["false_alarm_rate"]) == (
        1.0, pytest.approx(3.0), 1.0, 0.0,
    )  # fmt: skip


def test_a_past_list_is_made_of_what_was_known_on_its_day(marts: dict[str, list[Row]]) -> None:
    """On 31 January 2022 the payment that was learnt of in February is a false alarm: two listed, one defaulted."""
    (row,) = [row for row in marts["kpi_summary"] if row["evaluated"] == "on_book"]
    assert (row["evaluated_on"], row["portfolio_rows"], row["watchlist_loans"]) == (date(2022, 1, 31), 3, 2)
    assert (row["defaulted_loans"], row["watchlist_default_rate"], row["capture"]) == (1, 0.5, 1.0)
    assert (row["lift"], row["false_alarm_rate"]) == (pytest.approx(1.5), 0.5)


def test_each_warning_names_the_day_of_its_values_and_its_threshold(marts: dict[str, list[Row]]) -> None:
    found = {(row["loan_id"], row["rule_id"]): row for row in marts["early_warnings"]}
    at_decision, at_month_end = found["golden", "EW-01"], found["20 days late", "EW-02"]
    assert (at_decision["measured_on"], at_decision["measure"]) == (NEW, "dti")
    assert (at_decision["measured_value"], at_decision["threshold"]) == (0.45, 0.4)
    assert (at_month_end["measured_on"], at_month_end["measured_value"]) == (date(2023, 6, 30), 20.0)
    assert {row["as_of"] for row in found.values()} == {date(2023, 6, 30)}


@pytest.mark.parametrize(
    ("since", "thresholds", "reason"),
    [
        ("2022-06-01", "dti_above", "the next version begins before this one ends"),
        ("2006-01-01", "null", "a threshold is missing"),
    ],
)
def test_a_rule_with_two_versions_at_once_or_without_a_threshold_turns_its_check_red(
    book: DbtBook, since: str, thresholds: str, reason: str
) -> None:
    rules = "gold.early_warning_rules"
    second = f"select * replace ('2' as rule_version, date '{since}' as effective_from, {thresholds} as dti_above)"
    sql = book.compiled("early_warning_rules").replace(
        '"lake"."gold"."early_warning_rules"', f"(from {rules} union all {second} from {rules} where rule_id = 'EW-01')"
    )
    red = book.warehouse.query(sql).to_pylist()
    assert {row["rule_id"] for row in red} == {"EW-01"}
    assert any(row["reason"].startswith(reason) for row in red)
    assert book.warehouse.query(book.compiled("early_warning_rules")).num_rows == 0
