"""A row that is wrong: set aside with file, row, column, reason and what to do, and never loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from credit_risk_platform.adapters.landing import LandingReport, validate_file
from tests.loan_files import TODAY, line, loan, text, write


def rejects(file: Path) -> list[dict[str, object]]:
    return report(file).rejects.to_pylist()


def report(file: Path) -> LandingReport:
    found = validate_file(file, today=TODAY)
    assert found.counts.rows_in == found.counts.rows_landed + found.counts.rows_rejected
    return found


@pytest.mark.parametrize(
    ("column", "value", "reason", "advice"),
    [
        ("loan_amnt", "five thousand", "unparsable", "Write loan_amnt as a number like 5000.00"),
        ("loan_amnt", "1,5.0", "unparsable", "without currency sign or thousands separator"),
        ("loan_amnt", "0", "out_of_range", "loan_amnt may be 1 to 1e+09 currency"),
        ("term", "", "required_blank", "Fill in the value"),
        ("issue_d", "Smarch-2011", "unparsable", "a month like Dec-2011"),
        ("issue_d", "2011-02-30", "impossible_date", "must be a day that exists"),
        ("issue_d", "Jul-2026", "impossible_date", "not after the day of landing"),
        ("earliest_cr_line", "Dec-1890", "impossible_date", "after 1900"),
        ("earliest_cr_line", "Jan-2012", "impossible_date", "in step with the loan's other dates"),
        ("default_date", "2011-01-31", "impossible_date", "in step with the loan's other dates"),
        ("dti", "high", "unparsable", "percent points like 10.65% or 10.65"),
        ("dti", "-5", "out_of_range", "dti may be -1 to 999 percent points (10.65, not 0.1065)"),
        ("dti", "nan%", "out_of_range", "dti may be -1 to 999"),
        ("int_rate", "0.1065", "out_of_range", "int_rate may be 1 to 60 percent points"),
        ("pct_tl_nvr_dlq", "101", "out_of_range", "0 to 100 percent points"),
        ("open_acc", "2.5", "unparsable", "a whole number like 3"),
        ("annual_inc", "inf", "unparsable", "a number like 5000.00"),
        ("total_pymnt", "inf", "out_of_range", "-1e+09 to 1e+09"),
        ("fico_range_low", "7000", "out_of_range", "300 to 850 score points"),
    ],
)
def test_a_wrong_value_is_named_with_its_row_and_what_to_do(
    tmp_path: Path, column: str, value: str, reason: str, advice: str
) -> None:
    (reject,) = rejects(write(tmp_path / "f.csv", [loan(1), loan(2, **{column: value}), loan(3)]))
    assert (reject["file"], reject["row"], reject["column"]) == ("f.csv", 3, column)
    assert reject["reason"] == reason
    assert reject["value"] == (value or None)
    assert advice in str(reject["next_step"])
    assert "L2" in str(reject["raw_line"])


def test_every_fault_of_a_row_is_told_at_once(tmp_path: Path) -> None:
    found = rejects(write(tmp_path / "f.csv", [loan(1), loan(2, dti="-5", term="soon", open_acc="x")]))
    assert [(reject["row"], reject["column"]) for reject in found] == [(3, "dti"), (3, "open_acc"), (3, "term")]


def test_a_line_of_junk_in_mid_file_costs_no_other_row(tmp_path: Path) -> None:
    file = text(tmp_path / "f.csv", line(1), "@@@ disk error @@@", line(2), line(3) + ",surplus", "4,5", line(6))
    found = report(file)
    assert found.counts.rows_landed == 3
    assert [(r["row"], r["reason"], r["value"]) for r in found.rejects.to_pylist()] == [
        (3, "junk_line", "1 of 19 columns"),
        (5, "wrong_column_count", "20 of 19 columns"),
        (6, "wrong_column_count", "2 of 19 columns"),
    ]


def test_a_repeated_id_lands_once_and_the_reject_says_where_the_first_is(tmp_path: Path) -> None:
    file = write(tmp_path / "f.csv", [loan(1), loan(2), loan(1, dti="1"), loan(1, dti="2")])
    found = report(file)
    assert found.counts.rejects_by_reason == {"duplicate_id": 2}
    assert [(r["row"], r["column"], r["value"]) for r in found.rejects.to_pylist()] == [
        (4, "id", "L1"),
        (5, "id", "L1"),
    ]
    assert "Row 2 has this id too" in found.rejects["next_step"][0].as_py()


def test_a_repeat_of_a_row_that_was_rejected_is_no_repeat(tmp_path: Path) -> None:
    found = report(write(tmp_path / "f.csv", [loan(1, dti="-5"), loan(1)]))
    assert (found.counts.rows_landed, found.counts.rejects_by_reason) == (1, {"out_of_range": 1})


def test_a_row_in_another_encoding_is_rejected_alone(tmp_path: Path) -> None:
    file = text(tmp_path / "f.csv", line(1), line(2, purpose="café"), line(3))
    file.write_bytes(file.read_text().encode("latin-1"))
    (reject,) = rejects(file)
    assert (reject["row"], reject["reason"]) == (3, "bad_encoding")


def test_a_badly_quoted_row_is_rejected_alone(tmp_path: Path) -> None:
    (reject,) = rejects(text(tmp_path / "f.csv", line(1), line(2, purpose='"car"x'), line(3)))
    assert (reject["row"], reject["reason"]) == (3, "broken_quote")


def test_a_file_cut_off_in_its_last_row_loses_that_row_only(tmp_path: Path) -> None:
    file = text(tmp_path / "f.csv", line(1), line(2))
    file.write_bytes(file.read_bytes()[:-20])
    (reject,) = rejects(file)
    assert (reject["row"], reject["reason"]) == (3, "wrong_column_count")


def test_a_reject_shows_nobody_s_data(tmp_path: Path) -> None:
    secret = {"customer_id": "ada@example.org", "emp_title": "Countess", "zip_code": "860xx", "desc": "My name is Ada"}
    file = write(tmp_path / "f.csv", [loan(1, **secret), loan(2, dti="-5", **secret), loan(3, term="", **secret)])
    with file.open("a") as more:
        more.write("ada@example.org,Countess,My name is Ada\n")
    shown = str(rejects(file))
    assert not [word for word in ("ada@", "Countess", "860", "Ada") if word in shown]
    assert "xxx@xxxxxxx.xxx,Xxxxxxxx".lower() in shown, "the shape of a broken line is kept: it shows the separators"


def test_a_value_of_the_file_cannot_break_out_of_its_quarantine_cell(tmp_path: Path) -> None:
    nasty = "x'); drop table staged; --\x1e dti \x1f out_of_range"
    (reject,) = rejects(write(tmp_path / "f.csv", [loan(1), loan(2, dti=nasty)]))
    assert reject["value"] == nasty.replace("\x1e", "").replace("\x1f", "")
