"""The loan contract: complete, consistent, and strict about what may come later than the decision."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from credit_risk_platform.domain.contracts import errors
from credit_risk_platform.domain.contracts.column import Kind, Stage
from credit_risk_platform.domain.contracts.header import recognise
from credit_risk_platform.domain.contracts.loan_columns import (
    EXTRAS,
    INPUT,
    LENDING_CLUB,
    LOAN_COLUMNS,
    REQUIRED,
    SURROGATE_KEY,
    by_name,
)
from credit_risk_platform.domain.contracts.reasons import Reason, advice

NAMES = [column.name for column in REQUIRED]
FEATURE_MAP = {"K": 28, "V": 30, "B": 36, "O": 9, "X": 38, "S": 2, "P": 8}


def test_every_lending_club_column_has_a_stage_and_none_is_counted_twice() -> None:
    assert Counter(column.stage.value for column in LENDING_CLUB) == FEATURE_MAP
    assert len({column.name for column in INPUT}) == len(INPUT) == 151 + len(EXTRAS)


def test_the_widest_published_layout_holds_nothing_the_contract_does_not_know(datasets: Path) -> None:
    import gzip

    with gzip.open(datasets / "lendingclub" / "lc_accepted_2007_2018Q4_sample2000.csv.gz", "rt") as file:
        header = next(csv.reader(file))
    assert {column.name for column in LENDING_CLUB} == set(header)


def test_the_narrowest_layout_seen_has_every_required_column(datasets: Path) -> None:
    with (datasets / "lendingclub" / "lc_accepted_junk_rows_snippet.csv").open() as file:
        assert set(NAMES) <= set(next(csv.reader(file)))


def test_no_person_s_data_is_landed() -> None:
    kept = {column.name for column in LOAN_COLUMNS}
    assert not kept & {"id", "member_id", "customer_id", "url", "desc", "emp_title", "title", "zip_code"}
    assert not any(column.pii for column in LOAN_COLUMNS)


def test_an_outcome_never_takes_part_in_a_loan_s_identity() -> None:
    """Otherwise a loan would change its id when it defaults."""
    later = {column.name for column in INPUT if column.stage is Stage.OUTCOME} | {"loan_status"}
    assert not later & set(SURROGATE_KEY)


def test_when_a_loan_ended_is_known_only_afterwards() -> None:
    assert {by_name(name).stage for name in ("default_date", "closed_date")} == {Stage.OUTCOME}


def test_personal_attributes_are_marked_restricted() -> None:
    assert {c.name for c in INPUT if c.stage is Stage.RESTRICTED} == {"age", "education", "family_size"}


def test_every_number_has_limits_that_a_typing_error_would_cross() -> None:
    limits = {c.name: (c.lower, c.upper) for c in INPUT if c.kind.is_number}
    assert {name for name, (low, high) in limits.items() if low is None or high is None or low >= high} == set()


def test_money_of_the_application_and_the_offer_is_exact() -> None:
    exact = (Stage.CORE, Stage.OFFER)
    money = [column for column in LENDING_CLUB if column.stage in exact and column.unit == "currency"]
    assert {column.type for column in money} == {"DECIMAL(18,2)"}


def test_an_unknown_column_is_named_and_not_an_error() -> None:
    assert recognise("f.csv", [*NAMES, "shoe_size"]).unknown == ("shoe_size",)


@pytest.mark.parametrize("cells", [[f'\ufeff"{n}"' if not i else f" {n.upper()} " for i, n in enumerate(NAMES)]])
def test_quotes_capitals_and_a_byte_order_mark_do_not_matter(cells: list[str]) -> None:
    assert recognise("f.csv", [cell.lstrip("\ufeff") for cell in cells]).names == tuple(NAMES)


def test_a_missing_column_is_named_with_all_that_are_missing() -> None:
    with pytest.raises(errors.MissingColumnError, match=r"f\.csv, column 'dti'.*missing \(and 'revol_bal'\)") as caught:
        recognise("f.csv", [name for name in NAMES if name not in ("dti", "revol_bal")])
    assert caught.value.column == "dti"
    assert "Nothing was landed" in str(caught.value)


@pytest.mark.parametrize(
    ("column", "renamed"),
    [
        ("loan_amnt", "loan_amount"),
        ("annual_inc", "annual_income"),
        ("issue_d", "issue_date"),
        ("loan_status", "LoanStatus"),
        ("revol_util", "revol_utl"),
        ("dti", "debt_to_income"),
    ],
)
def test_a_renamed_required_column_is_recognised_under_its_new_name(column: str, renamed: str) -> None:
    with pytest.raises(errors.RenamedColumnError, match=f"column '{column}'.*unknown column '{renamed.lower()}'"):
        recognise("f.csv", [renamed if name == column else name for name in NAMES])


def test_a_renamed_optional_column_does_not_silently_become_null() -> None:
    with pytest.raises(errors.RenamedColumnError, match=r"'int_rate'.*'interest_rate'"):
        recognise("f.csv", [*NAMES, "interest_rate"])


def test_a_new_column_that_differs_in_its_number_is_not_taken_for_a_renamed_one() -> None:
    assert recognise("f.csv", [*NAMES, "open_rv_36m"]).unknown == ("open_rv_36m",)


def test_a_column_named_twice_is_refused_because_nobody_knows_which_counts() -> None:
    with pytest.raises(errors.DuplicateColumnError, match="'dti': the header names this column twice"):
        recognise("f.csv", [*NAMES, "dti"])


def test_a_file_of_another_dataset_is_told_from_a_damaged_one() -> None:
    with pytest.raises(errors.ForeignFileError, match="another dataset: it has observation_date, unrate"):
        recognise("f.csv", ["observation_date", "UNRATE"])


def test_a_file_with_another_separator_is_told_so() -> None:
    with pytest.raises(errors.ForeignFileError, match="separated by ';'"):
        recognise("f.csv", [";".join(NAMES)])


def test_every_reason_tells_what_to_do() -> None:
    assert all(reason.next_step.endswith(".") for reason in Reason)
    assert advice(by_name("int_rate"), Reason.UNPARSABLE) == "Write int_rate as percent points like 10.65% or 10.65."
    assert "1 to 60 percent points (10.65, not 0.1065)" in advice(by_name("int_rate"), Reason.OUT_OF_RANGE)


def test_every_date_has_a_kind_that_says_how_it_is_spelled() -> None:
    dates = {column.name for column in INPUT if column.type == "DATE"}
    assert dates == {column.name for column in INPUT if column.kind in (Kind.MONTH, Kind.DAY)}
