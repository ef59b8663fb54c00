"""The rules of the leakage guard: what a feature may be made of."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_risk_platform.domain.contracts.column import Stage
from credit_risk_platform.domain.contracts.loan_columns import LOAN_COLUMNS
from credit_risk_platform.domain.leakage import (
    CLOCK,
    KNOWN_AT_DECISION,
    ROWS,
    Column,
    Purpose,
    judge_clocks,
    judge_registry,
    judge_trails,
    source_columns,
    source_stages,
)

LOANS = "bronze.lending_club_loans"
STAGES = source_stages()
MART = Column("gold.application_features", "feature")


def trail(source: str, *through: str, relation: str = LOANS) -> tuple[Column, ...]:
    steps = [Column("silver.int_applications", name) for name in through]
    return (MART, *steps, Column(relation, source))


def judge(*trails: tuple[Column, ...], purpose: Purpose = Purpose.APPLICATION):
    return judge_trails({"feature": trails}, STAGES, purpose)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("total_pymnt", "after the money went out"),
        ("recoveries", "after the money went out"),
        ("last_fico_range_high", "after the money went out"),
        ("loan_status", "the label"),
        ("issue_d", "the vintage"),
        ("int_rate", "the lender's own offer"),
        ("sub_grade", "the lender's own offer"),
        ("addr_state", "a person or a place"),
        ("age", "no decision may rest on"),
        ("_observed_through", "how the row was landed"),
        ("loan_id", "how the row was landed"),
        ("a_column_nobody_wrote_down", "has no stage"),
    ],
)
def test_what_was_not_there_at_the_decision_is_refused_with_its_reason(source: str, reason: str) -> None:
    (finding,) = judge(trail(source, "renamed"))
    assert finding.feature == "feature"
    assert finding.column == f"{LOANS}.{source}"
    assert reason in finding.reason
    assert finding.path == f"gold.application_features.feature <- silver.int_applications.renamed <- {LOANS}.{source}"
    assert source in finding.next_step


@pytest.mark.parametrize("source", ["annual_inc", "revol_util", "bc_util", "open_acc_6m", "income_cv_12m"])
def test_what_was_known_at_the_decision_is_allowed(source: str) -> None:
    assert judge(trail(source, "renamed")) == ()


def test_a_macro_figure_is_allowed_and_a_repayment_is_not() -> None:
    assert judge(trail("value", relation="bronze.macro_series")) == ()
    assert len(judge(trail("due_date", relation="bronze.synthetic_repayments"))) == 1


def test_only_a_pricing_model_may_see_the_offer() -> None:
    assert judge(trail("int_rate"), purpose=Purpose.PRICING) == ()
    assert len(judge(trail("total_pymnt"), purpose=Purpose.PRICING)) == 1


def test_the_month_of_issue_may_be_the_clock_and_nothing_else() -> None:
    clock = (MART, Column("silver.int_applications", CLOCK))
    assert judge(clock) == (), "the clock is judged by itself"
    assert judge_clocks({CLOCK: [trail("issue_d"), trail("application_date")]}, STAGES) == ()
    assert len(judge_clocks({CLOCK: [trail("last_pymnt_d")]}, STAGES)) == 1, "a clock set by an outcome"
    assert len(judge(trail("issue_d", "vintage"))) == 1


def test_rows_may_be_joined_by_a_key_but_not_chosen_by_an_outcome() -> None:
    assert judge(trail("loan_id", ROWS)) == ()
    assert len(judge(trail("total_pymnt", ROWS))) == 1
    assert len(judge(trail("loan_id", ROWS, relation="bronze.synthetic_repayments"))) == 1, "having paid is an outcome"


@settings(deadline=None)
@given(
    st.sampled_from(LOAN_COLUMNS),
    st.lists(st.text(st.characters(categories=["Ll"]), min_size=1), max_size=6),
)
def test_no_chain_of_renames_changes_the_verdict(column, names: list[str]) -> None:
    assert bool(judge(trail(column.name, *names))) == (column.stage not in KNOWN_AT_DECISION)


def test_the_mart_and_the_registry_must_name_the_same_features() -> None:
    missing, unbuilt = judge_registry(["loan_id", "dti", "secret"], ["loan_id"], ["dti", "emi"])
    assert (missing.feature, missing.reason) == ("secret", "is in the mart but not in the registry")
    assert (unbuilt.feature, unbuilt.reason) == ("emi", "is in the registry but not in the mart")
    assert judge_registry(["loan_id", "dti"], ["loan_id"], ["dti"]) == ()


def test_every_column_of_every_bronze_table_has_a_stage() -> None:
    assert set(STAGES.values()) <= set(Stage)
    assert len(source_columns()) == 6
    assert set(source_columns()["bronze.synthetic_loans"]) == {column.name for column in LOAN_COLUMNS}
