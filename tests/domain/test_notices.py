"""What a declined applicant is told: word for word, on time, and never something vague."""

from datetime import date, datetime

import pyarrow as pa
import pytest

from credit_risk_platform.domain.notices import (
    DECLINED_SCHEMA,
    NOTICE_SCHEMA,
    TEMPLATE,
    NoticeError,
    Template,
    notices,
    score_range,
)

ROW = {
    "score_id": "0f" * 16,
    "subject_token": "token-7",
    "decided_at": datetime(2026, 2, 10, 23, 59, 59, 7),
    "policy_version": "2007.1",
    "points": 518.4999,
    "by_score": True,
    "reasons": ["AA04", "AA01"],
    "reason_texts": ["Debts too high for income", "Income insufficient for amount of credit requested"],
}


def made(*rows: dict, template: Template = TEMPLATE) -> pa.Table:
    return notices(pa.Table.from_pylist(list(rows), DECLINED_SCHEMA), template)


def test_the_notice_says_what_was_decided_why_and_by_which_score():
    (notice,) = made(ROW).to_pylist()
    lines = notice["text"].splitlines()
    assert lines[:5] == [
        "NOTICE OF ACTION TAKEN",
        "",
        "Reference: " + "0f" * 16,
        "Applicant: token-7",
        "Date of the decision: 2026-02-10",
    ]
    reasons = ["- Debts too high for income", "- Income insufficient for amount of credit requested"]
    start = lines.index("Principal reasons for our decision:")
    assert lines[start + 1 : start + 4] == [*reasons, ""]
    assert "Your credit score: 518" in lines
    assert "Scores range from 88, the highest risk, to 886, the lowest." in lines
    factors = lines.index("Key factors that adversely affected your credit score, the strongest first:")
    assert lines[factors + 1 : factors + 3] == reasons


def test_a_decline_by_a_hard_rule_alone_blames_the_rule_and_not_the_score():
    (text,) = made(ROW | {"by_score": False})["text"].to_pylist()
    assert text.count("- Debts too high for income") == 1
    assert "This decision does not rest on the score" in text
    assert "Key factors" not in text
    assert "Your credit score: 518" in text


def test_it_is_due_thirty_days_after_the_decision():
    """2026-02-10 and 30 days: February has 28, so 2026-03-12."""
    (notice,) = made(ROW).to_pylist()
    assert (notice["decided_on"], notice["due_by"]) == (date(2026, 2, 10), date(2026, 3, 12))
    assert "This notice must reach you by: 2026-03-12" in notice["text"]


def test_the_range_holds_every_score_a_calibrated_model_can_give():
    """487.1229 + 28.8539 * ln(999,999) = 885.75, and as far to the other side 88.49."""
    assert score_range() == (88, 886)


def test_the_same_rows_and_template_give_the_same_bytes_and_another_template_other_ones():
    assert made(ROW, ROW | {"score_id": "1f" * 16}).equals(made(ROW, ROW | {"score_id": "1f" * 16}))
    other = made(ROW, template=Template("next", "{subject_token}: {reason_lines}"))
    assert other["text"].to_pylist() == [
        "token-7: - Debts too high for income\n- Income insufficient for amount of credit requested"
    ]
    assert other["template_version"].to_pylist() == ["next"]


def test_nothing_about_the_person_but_the_token():
    personal = {"name", "customer_id", "address", "income", "loan_id", "zip_code", "age"}
    assert not personal & set(NOTICE_SCHEMA.names)
    assert set(TEMPLATE.parts[1::2]) <= {*NOTICE_SCHEMA.names, "reason_lines", "factor_lines"}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"reasons": [], "reason_texts": []}, "0 reasons"),
        ({"reasons": None, "reason_texts": None}, "0 reasons"),
        ({"reasons": list("abcdef"), "reason_texts": ["Debts too high for income"] * 6}, "6 reasons"),
        ({"reason_texts": ["Debts too high for income", None]}, "AA01 with text None"),
        ({"reason_texts": ["Debts too high for income", "  "]}, "AA01 with text"),
        ({"reason_texts": ["Your score was too low", "Debts too high for income"]}, "AA04 with text"),
        ({"reason_texts": ["Debts too high for income", "Internal policy of the lender"]}, "AA01 with text"),
    ],
)
def test_a_vague_or_missing_reason_goes_to_nobody(wrong, named):
    with pytest.raises(NoticeError, match=named) as refused:
        made(ROW | {"score_id": "aa" * 16, **wrong})
    assert "aa" * 16 in str(refused.value)


def test_no_declines_make_no_notices():
    assert notices(DECLINED_SCHEMA.empty_table()).num_rows == 0
