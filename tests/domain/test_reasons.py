"""An applicant is told true, specific, approved reasons: never more than the law asks for, never a vague one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from credit_risk_platform.domain.features import model_features
from credit_risk_platform.domain.reasons import INQUIRIES, ReasonCodes, ReasonError, principal_reasons

SEED = Path(__file__).resolve().parents[2] / "dbt_project" / "seeds" / "policy" / "reason_codes.csv"
FEATURES = ("annual_income", "loan_amount", "dti", "inquiries_6m", "bankruptcies", "purpose", "credit_history_months")
ROWS = [
    ("annual_income", "AA01", "Income insufficient for amount of credit requested", 1),
    ("loan_amount", "AA01", "Income insufficient for amount of credit requested", 1),
    ("dti", "AA04", "Excessive obligations in relation to income", 1),
    ("inquiries_6m", "AA21", "Number of recent inquiries on credit bureau report", 3),
    ("bankruptcies", "AA24", "Bankruptcy in the credit file", 3),
    ("purpose", "AA10", "Purpose for which the credit is requested", 9),
    ("credit_history_months", "AA17", "Length of credit history", 3),
]


def table(rows: list[tuple[str, str, str, int]] = ROWS, version: str = "2007.1") -> pa.Table:
    names = ("feature", "code", "text", "hmda_code")
    return pa.Table.from_pylist([{"reason_version": version, **dict(zip(names, row, strict=True))} for row in rows])


def codes(rows: list[tuple[str, str, str, int]] = ROWS) -> ReasonCodes:
    return ReasonCodes.from_rows(table(rows), "2007.1")


def seed() -> pa.Table:
    return csv.read_csv(SEED, convert_options=csv.ConvertOptions(column_types={"reason_version": pa.string()}))


def test_every_input_of_the_application_model_has_one_approved_text():
    found = ReasonCodes.from_rows(seed(), "2007.1")
    names = [feature.name for feature in model_features()]
    found.check(names)
    assert sorted(found.features) == sorted(names)
    assert found.texts[found.inquiries] == "Number of recent inquiries on credit bureau report"
    assert set(found.hmda.values()) <= {1, 2, 3, 4, 5, 6, 7, 8, 9}


def test_an_amount_and_its_ratio_to_income_are_told_once():
    found = ReasonCodes.from_rows(seed(), "2007.1").features
    assert found["loan_amount"] == found["loan_to_income"] == found["annual_income"]
    assert found["dti"] == found["post_loan_dti"]
    assert found["delinq_2y"] == found["months_since_last_delinq"] != found["bankruptcies"]


def test_the_four_largest_stand_in_their_order_and_those_of_one_code_count_together():
    # AA01 = 0.3 + 0.3 = 0.6; AA24 0.5; AA04 0.4; AA17 0.2; AA10 0.1 is the fifth; AA21 speaks for the applicant.
    told = principal_reasons(np.array([[0.3, 0.3, 0.4, -0.7, 0.5, 0.1, 0.2]]), FEATURES, codes())
    assert told.to_pylist() == [["AA01", "AA24", "AA04", "AA17"]]


def test_features_of_one_code_that_cancel_out_are_no_reason():
    told = principal_reasons(np.array([[0.3, -0.3, 0.1, 0, 0, 0, 0]]), FEATURES, codes())
    assert told.to_pylist() == [["AA04"]]


def test_inquiries_stand_fifth_only_where_they_count_and_are_not_among_the_four():
    fifth = [0.5, 0.0, 0.4, 0.01, 0.3, 0.2, 0.1]
    among = [0.5, 0.0, 0.4, 0.45, 0.3, 0.2, 0.1]
    against = [0.5, 0.0, 0.4, -0.01, 0.3, 0.2, 0.1]
    told = principal_reasons(np.array([fifth, among, against]), FEATURES, codes())
    assert told.to_pylist() == [
        ["AA01", "AA04", "AA24", "AA10", "AA21"],
        ["AA01", "AA21", "AA04", "AA24"],
        ["AA01", "AA04", "AA24", "AA10"],
    ]


def test_ties_go_by_code_and_rounding_is_no_reason():
    told = principal_reasons(np.array([[0.0, 0.1, 0.1, 0.1, 0.1, 0.1, 1e-12], [1e-10] * 7]), FEATURES, codes())
    assert told.to_pylist() == [["AA01", "AA04", "AA10", "AA21"], []]


def test_nobody_is_told_of_a_value_he_never_gave():
    rows = [
        {**row, "code_when_missing": {"purpose": "AA27", "bankruptcies": None}.get(row["feature"], row["code"])}
        for row in table().to_pylist()
    ]
    text = {"feature": None, "code": "AA27", "text": "Credit application incomplete", "code_when_missing": None}
    told = pa.Table.from_pylist([*rows, {"reason_version": "2007.1", "hmda_code": 7, **text}])
    approved = ReasonCodes.from_rows(told, "2007.1")
    #                      income amount dti  inq. bankr. purp. history
    against = np.array([[0.0, 0.0, 0.2, 0.0, 0.5, 0.3, 0.0], [0.0, 0.0, -0.1, 0.0, 0.5, 0.0, 0.0]])
    missing = np.zeros(against.shape, dtype=bool)
    missing[:, [4, 5]] = True
    found = principal_reasons(against, FEATURES, approved, missing=missing).to_pylist()
    # The purpose that was not stated is an incomplete application; a bankruptcy that is not on record is no reason,
    # and where nothing else speaks against the applicant, what is missing does.
    assert found == [["AA27", "AA04"], ["AA27"]]
    assert approved.of(FEATURES) == {"AA01", "AA04", "AA10", "AA17", "AA21", "AA24", "AA27"}


def test_no_rows_give_no_reasons():
    assert principal_reasons(np.empty((0, 7)), FEATURES, codes()).to_pylist() == []


@given(
    arrays.arrays(np.float64, st.tuples(st.integers(1, 6), st.just(7)), elements=st.floats(-2, 2, width=32)),
    st.integers(1, 4),
)
def test_reasons_are_always_scored_factors_that_speak_against_the_applicant(contributions, at_most):
    approved = codes()
    told = principal_reasons(contributions, FEATURES, approved, at_most)
    for row, reasons in zip(contributions, told.to_pylist(), strict=True):
        totals = {code: sum(row[k] for k, f in enumerate(FEATURES) if approved.features[f] == code) for code in reasons}
        assert len(reasons) == len(set(reasons)) <= at_most + 1
        assert all(total > 0 for total in totals.values())
        assert len(reasons) <= at_most or reasons[-1] == approved.features[INQUIRIES]
        assert list(totals.values())[:at_most] == sorted(list(totals.values())[:at_most], reverse=True)
    alone = [principal_reasons(row[None], FEATURES, approved, at_most) for row in contributions]
    assert pa.concat_arrays(alone).equals(told)


@pytest.mark.parametrize(
    "text",
    ["Internal policy of the bank", "Credit score too low", "Did not reach the qualifying score", "Any other reason",
     "Declined by our model", "Insufficient information on file", "Bad", ""],
)  # fmt: skip
def test_a_vague_text_is_refused(text):
    with pytest.raises(ReasonError, match=r"reason AA04 of version 2007.1: .*(vague|too short)"):
        codes([*ROWS[:2], ("dti", "AA04", text, 1)])


def test_a_code_with_two_texts_is_refused():
    with pytest.raises(ReasonError, match=r"AA01 has two texts in version 2007.1: 'Income insuff.*'Income not stated"):
        codes([ROWS[0], ("loan_amount", "AA01", "Income not stated on the application", 1)])


def test_a_feature_with_two_codes_and_a_text_with_two_codes_are_refused():
    with pytest.raises(ReasonError, match=r"dti has two codes in version 2007.1: 'AA04' and 'AA17'"):
        codes([ROWS[2], ("dti", "AA17", "Length of credit history", 3)])
    with pytest.raises(ReasonError, match=r"AA04, AA05 of version 2007.1 have the same text: make them one code"):
        codes([ROWS[2], ("bankruptcies", "AA05", ROWS[2][2], 1)])


def test_a_wrong_hmda_code_and_an_unknown_version_are_refused():
    with pytest.raises(ReasonError, match=r"AA04 of version 2007.1: HMDA code 10 is not one of 1 to 9"):
        codes([("dti", "AA04", ROWS[2][2], 10)])
    with pytest.raises(ReasonError, match=r"no reason codes of version 2030.1 in gold.reason_codes; it holds: 2007.1"):
        ReasonCodes.from_rows(table(), "2030.1")


def test_a_model_that_reads_a_feature_without_a_text_gives_no_reasons_at_all():
    with pytest.raises(ReasonError, match=r"has none for shoe_size: add a version with them to dbt_project/seeds"):
        principal_reasons(np.zeros((1, 2)), ("dti", "shoe_size"), codes())


def test_versions_do_not_mix():
    both = pa.concat_tables(
        [table(), table([("dti", "AA04", "Monthly obligations are high against income", 1)], "2026.1")]
    )
    assert ReasonCodes.from_rows(both, "2026.1").texts == {"AA04": "Monthly obligations are high against income"}
    assert ReasonCodes.from_rows(both, "2007.1").as_dict() == codes().as_dict()
