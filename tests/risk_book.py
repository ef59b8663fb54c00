"""Loans whose every figure is worked by hand, with scores and decisions: what the tests of the risk marts read.

The book knows of everything until 30 June 2023 (AS_OF), which is also its last complete month end. Each loan is 600
over six instalments of 105 (100 of it principal); a loan matures eleven months after its month of issue.

| loan_id        | issued  | due day | paid                       | at 30 June 2023                              |
|----------------|---------|---------|----------------------------|----------------------------------------------|
| paid up        | 2023-01 | 10      | all five due               | Current, owes 100                            |
| 29 days        | 2023-03 | 1       | April, May                 | unpaid since 1 June: 29 days, owes 400       |
| 30 days        | 2023-03 | last    | April                      | unpaid since 31 May: 30 days, owes 500       |
| 59 days        | 2023-03 | 2       | April                      | unpaid since 2 May: 59 days, owes 500        |
| 60 days        | 2023-03 | 1       | April                      | unpaid since 1 May: 60 days, owes 500        |
| 89 days        | 2023-03 | 2       | nothing                    | unpaid since 2 April: 89 days, owes 600      |
| 90 days        | 2023-03 | 1       | nothing                    | unpaid since 1 April: 90 days, owes 600; in default since 30 June |
| 119 days       | 2023-01 | 3       | February                   | unpaid since 3 March: 119 days, owes 500; in default since 30 June |
| 120 days       | 2023-01 | 2       | February                   | unpaid since 2 March: 120 days, owes 500; in default since 31 May, when it was 90 |
| cured          | 2023-01 | 10      | Feb; Mar + Apr + May on 15 May; June | 21 days at 31 March, 51 at 30 April, 0 since: Current, owes 100 |
| prepaid        | 2023-01 | 10      | Feb, Mar, all the rest on 9 April | Closed on 9 April                     |
| charged off    | 2022-12 | 10      | nothing                    | 21, 49, 80, 110 days at the ends of January to April; default 10 April, charged off on 20 May owing 600 |
| matured good   | 2022-01 | 10      | all six                    | Closed on 9 July 2022: matured, good         |
| matured bad    | 2022-01 | 10      | Feb, Mar                   | unpaid since 10 April 2022: 20, 51, 81, 112, 143 days at the ends of April to August; default 9 July, charged off on 20 September 2022 owing 400: matured, bad |
| first month    | 2023-06 | 10      | no instalment due yet      | Current, 1,200 lent and owed                 |

Scores: every loan but `matured good` has one at origination (ORIGINATION_PD). Loans open on SCORED_DAYS have a portfolio
score equal to it, but for `59 days`, which went from 0.03 to 0.18 on 30 June. Decisions: DECISIONS, seven of them.
"""  # noqa: E501

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Sequence
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from credit_risk_platform.adapters import outside_tables
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from tests.dbt_book import DbtBook, Row, loan

AS_OF = date(2023, 6, 30)
SCORED_DAYS = (date(2023, 5, 31), AS_OF)
BUNDLE = "b" * 64
POLICY = "2007.1"
LATE, LATER = "Late (16-30 days)", "Late (31-120 days)"

_JANUARY, _MARCH = date(2023, 1, 1), date(2023, 3, 1)
_BAD_DAY = {"default_date": date(2022, 7, 9), "closed_date": date(2022, 9, 20)}


def _loan(loan_id: str, issued: date, purpose: str, state: str, grade: str, fico: int, age: int, **other: Any) -> Row:
    score = {"fico_range_low": fico, "fico_range_high": fico + 4}
    people = {"age": age, "education": "Graduate" if fico >= 720 else "High school", "family_size": 2}
    return loan(loan_id, issued, purpose=purpose, addr_state=state, grade=grade, **score, **people, **other)


LOANS = [
    _loan("paid up", _JANUARY, "car", "CA", "A", 780, 70),
    _loan("29 days", _MARCH, "debt_consolidation", "CA", "B", 720, 35, loan_status=LATE),
    _loan("30 days", _MARCH, "debt_consolidation", "NY", "B", 715, 45, loan_status=LATE),
    _loan("59 days", _MARCH, "debt_consolidation", "NY", "C", 700, 28, loan_status=LATER),
    _loan("60 days", _MARCH, "credit_card", "CA", "C", 690, 64, loan_status=LATER),
    _loan("89 days", _MARCH, "credit_card", "TX", "D", 670, 31, loan_status=LATER),
    _loan("90 days", _MARCH, "credit_card", "TX", "D", 665, 52, loan_status=LATER),
    _loan("119 days", _JANUARY, "medical", "CA", "E", 660, 41, loan_status=LATER),
    _loan("120 days", _JANUARY, "medical", "NY", "E", 660, 39, loan_status=LATER),
    _loan("cured", _JANUARY, "debt_consolidation", "TX", "B", 730, 66),
    _loan("prepaid", _JANUARY, "car", "CA", "A", 800, 50, loan_status="Fully Paid", closed_date=date(2023, 4, 9)),
    _loan(
        "charged off", date(2022, 12, 1), "small_business", "NY", "E", 660, 33,
        loan_status="Charged Off", default_date=date(2023, 4, 10), closed_date=date(2023, 5, 20),
    ),
    _loan(
        "matured good", date(2022, 1, 1), "car", "TX", "A", 760, 58,
        loan_status="Fully Paid", closed_date=date(2022, 7, 9),
    ),
    _loan("matured bad", date(2022, 1, 1), "credit_card", "CA", "D", 675, 29, loan_status="Charged Off", **_BAD_DAY),
    _loan("first month", date(2023, 6, 1), "car", "CA", "B", 740, 44, loan_amnt=1_200),
]  # fmt: skip


def repayments(loan_id: str, dues: Sequence[date], paid: Sequence[date]) -> list[Row]:
    """One row per due instalment of 105; the first `len(paid)` of them were paid, and known, on those days."""
    return [
        {
            "loan_id": loan_id, "instalment_number": number + 1, "due_date": due,
            "amount_due": 105, "principal_due": 100, "interest_due": 5,
            "paid_date": paid[number] if settled else None, "amount_paid": 105 * settled,
            "principal_paid": 100 * settled, "interest_paid": 5 * settled,
            "opening_balance": 600 - 100 * min(number, len(paid)),
            "closing_balance": 600 - 100 * min(number + 1, len(paid)),
            "known_at": f"{paid[number] if settled else due} 02:00:00", "_batch": "first",
        }
        for number, due in enumerate(dues)
        for settled in (int(number < len(paid)),)
    ]  # fmt: skip


def _days(day: int, *months: int, year: int = 2023) -> list[date]:
    return [date(year, month, day) for month in months]


def _prepaid() -> list[Row]:
    rows = repayments("prepaid", _days(10, 2, 3, 4), _days(9, 2, 3, 4))
    rows[-1] |= {"amount_paid": 405, "principal_paid": 400, "closing_balance": 0}
    return rows


REPAYMENTS = [
    *repayments("paid up", _days(10, 2, 3, 4, 5, 6), _days(9, 2, 3, 4, 5, 6)),
    *repayments("29 days", _days(1, 4, 5, 6), _days(1, 4, 5)),
    *repayments("30 days", [date(2023, 4, 30), date(2023, 5, 31), date(2023, 6, 30)], [date(2023, 4, 30)]),
    *repayments("59 days", _days(2, 4, 5, 6), _days(2, 4)),
    *repayments("60 days", _days(1, 4, 5, 6), _days(1, 4)),
    *repayments("89 days", _days(2, 4, 5, 6), []),
    *repayments("90 days", _days(1, 4, 5, 6), []),
    *repayments("119 days", _days(3, 2, 3, 4, 5, 6), _days(3, 2)),
    *repayments("120 days", _days(2, 2, 3, 4, 5, 6), _days(2, 2)),
    *repayments("cured", _days(10, 2, 3, 4, 5, 6), [date(2023, 2, 9), *[date(2023, 5, 15)] * 3, date(2023, 6, 9)]),
    *_prepaid(),
    *repayments("charged off", _days(10, 1, 2, 3, 4, 5), []),
    *repayments("matured good", _days(10, 2, 3, 4, 5, 6, 7, year=2022), _days(9, 2, 3, 4, 5, 6, 7, year=2022)),
    *repayments("matured bad", _days(10, 2, 3, 4, 5, 6, 7, year=2022), _days(9, 2, 3, year=2022)),
]

ORIGINATION_PD = {
    "paid up": 0.01, "29 days": 0.03, "30 days": 0.03, "59 days": 0.03, "60 days": 0.08, "89 days": 0.18,
    "90 days": 0.18, "119 days": 0.35, "120 days": 0.35, "cured": 0.03, "prepaid": 0.01, "charged off": 0.35,
    "matured bad": 0.18, "first month": 0.08,
}  # fmt: skip
_OF_PD = {
    0.01: (620.0, "Very Low", "approve"),
    0.03: (587.0, "Low", "approve"),
    0.08: (558.0, "Medium", "approve"),
    0.18: (531.0, "High", "refer"),
    0.35: (505.0, "Very High", "decline"),
}
"""Points, risk band and decision of each probability of default."""

SCORED = {
    SCORED_DAYS[0]: [
        "paid up", "29 days", "30 days", "59 days", "60 days", "89 days", "90 days", "119 days", "cured",
    ],
    SCORED_DAYS[1]: [
        "paid up", "29 days", "30 days", "59 days", "60 days", "89 days", "cured", "first month",
    ],
}  # fmt: skip
"""The loans open on each day: neither in default nor closed."""

DECISIONS = [
    # channel, day, loan, outcome, route, what the policy said, PD, fraud signals
    ("api", date(2023, 6, 28), "first month", "approve", "auto", "approve", 0.08, []),
    ("api", date(2023, 6, 28), "applied 1", "approve", "auto", "approve", 0.01, []),
    ("api", date(2023, 6, 29), "applied 2", "refer", "fraud review", "approve", 0.03, ["shared_device"]),
    ("api", date(2023, 6, 29), "applied 3", "decline", "auto", "decline", 0.35, []),
    ("stream", date(2023, 6, 29), "applied 4", "refer", "referral queue", "refer", 0.18, []),
    ("stream", date(2023, 6, 29), "applied 5", "approve", "auto", "approve", 0.03, []),
    ("stream", date(2023, 6, 30), "applied 6", "decline", "auto", "decline", 0.35, ["velocity"]),
]


RECEIVED = [
    # topic, moment, loan, amount, purpose; "applied 4" asked twice, and nobody scored "applied 7"
    ("http", datetime(2023, 6, 28, 9), "applied 1", 5_000, "car"),
    ("http", datetime(2023, 6, 28, 9), "first month", 1_200, "car"),
    ("loan_applications", datetime(2023, 6, 29, 9), "applied 4", 8_000, "medical"),
    ("loan_applications", datetime(2023, 6, 29, 10), "applied 4", 9_000, "medical"),
    ("loan_applications", datetime(2023, 6, 30, 9), "applied 7", 700, "moving"),
]


def portfolio_pd(loan_id: str, day: date) -> float:
    return 0.18 if (loan_id, day) == ("59 days", AS_OF) else ORIGINATION_PD[loan_id]


_STANDING_ON = ("staging", "intermediate", "marts/features", "marts/portfolio", "marts/early_warning")
_JUDGED_ELSEWHERE = [f"test_type:data,path:models/{folder}" for folder in _STANDING_ON]


@cache
def risk_book() -> DbtBook:
    """The book with the risk marts and all that they stand on built, their data tests included; once per process."""
    book = unbuilt_book(Path(tempfile.mkdtemp(prefix="risk-book-")))
    atexit.register(shutil.rmtree, book.root, ignore_errors=True)
    left_out = ("--exclude", "test_type:unit", *_JUDGED_ELSEWHERE, "--indirect-selection", "cautious")
    book.dbt("build", "--select", "+path:models/marts/risk", "vintage_curves", "path:seeds/policy", *left_out)
    return book


def unbuilt_book(root: Path) -> DbtBook:
    """Loans, repayments, scores and decisions landed in a new lake; dbt has not run."""
    book = DbtBook.new(root)
    book.land(LOANS, REPAYMENTS, macro=[])
    fill_outside_tables(book.warehouse)
    return book


def fill_outside_tables(warehouse: DuckLakeWarehouse) -> None:
    """What other rooms write and the risk marts read."""
    names = ("topic", "event_time", "loan_id", "loan_amnt", "purpose")
    received = [dict(zip(names, given, strict=True)) for given in RECEIVED]
    warehouse.replace_table("bronze.raw_applications", pa.Table.from_pylist(received))
    outside_tables.ensure(warehouse)
    rows = {
        "gold.origination_scores": [_origination(loan_id, pd) for loan_id, pd in ORIGINATION_PD.items()],
        "gold.portfolio_scores": [_score(loan_id, day) for day, scored in SCORED.items() for loan_id in scored],
        "gold.decisions": [_decision(number, *given) for number, given in enumerate(DECISIONS, start=1)],
    }
    for table, given in rows.items():
        warehouse.replace(table, pa.Table.from_pylist(given, outside_tables.TABLES[table]), "true")


def _origination(loan_id: str, pd: float) -> Row:
    points, band, decision = _OF_PD[pd]
    said = {"risk_band": band, "decision": decision, "bundle_sha": BUNDLE, "policy_version": POLICY}
    return {"loan_id": loan_id, "pd": pd, "points": points, **said}


def _score(loan_id: str, day: date) -> Row:
    pd = portfolio_pd(loan_id, day)
    points, band, decision = _OF_PD[pd]
    return {
        "as_of": day, "loan_id": loan_id, "subject_token": loan_id * 8, "score_id": f"{loan_id} on {day}",
        "pd": pd, "points": points, "band": band, "decision": decision,
        "reasons": None if decision == "approve" else ["AA04"], "rules": [], "policy_version": POLICY,
        "model_name": "logistic_regression", "bundle_sha": BUNDLE, "feature_sql_hash": "f" * 64,
    }  # fmt: skip


def _decision(
    number: int, channel: str, day: date, loan_id: str, outcome: str, route: str, policy: str, pd: float,
    signals: list[str],
) -> Row:  # fmt: skip
    points, band, _ = _OF_PD[pd]
    reasons = [] if policy == "approve" else ["AA04"]
    return {
        "score_id": f"decision {number}", "loan_id": loan_id, "subject_token": f"token {number}", "channel": channel,
        "as_of": day, "decided_at": datetime(day.year, day.month, day.day, 12), "outcome": outcome, "route": route,
        "policy_decision": policy, "rules": [], "reasons": reasons,
        "reason_texts": ["Excessive obligations" for _ in reasons],
        "fraud_signals": signals, "pd": pd, "points": points, "band": band, "approve_below": 0.12,
        "decline_from": 0.25, "policy_version": POLICY, "model_name": "logistic_regression", "bundle_sha": BUNDLE,
        "run_id": "run",
    }  # fmt: skip
