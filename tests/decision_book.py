"""A scored book with applications that came by API: what the decisions room stands on, written by the real writers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from credit_risk_platform.adapters.api_sink import REQUEST_SCHEMA, Answered, ApiSink
from credit_risk_platform.adapters.fraud_signals import RAW
from credit_risk_platform.adapters.ledger_writer import Stamp
from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.models.frame import FeatureTable
from tests.policy_book import RULES, write_policy
from tests.scoring_book import DAY, Book, make_book

NOON = datetime(2026, 6, 30, 12)
KNOWN_AT = datetime(2026, 6, 30, 12, 0, 1)
RAW_SCHEMA = pa.schema(
    [
        ("loan_id", pa.string()),
        ("subject_token", pa.string()),
        ("application_date", pa.date32()),
        ("loan_amnt", pa.float64()),
        ("annual_inc", pa.float64()),
        ("purpose", pa.string()),
        ("emp_length", pa.string()),
        ("home_ownership", pa.string()),
        ("earliest_cr_line", pa.date32()),
        ("revol_bal", pa.float64()),
        ("total_acc", pa.int64()),
        ("open_acc", pa.int64()),
        ("pub_rec", pa.int64()),
    ]
)
"""The typed columns that signals are looked for in."""


def make_decision_book(home: Path, loans: int) -> Book:
    """As `make_book`, with the economics that cut-offs are weighed under, and every loan's application answered."""
    book = make_book(home, loans)
    assumptions = {"margin": 0.12, "loss_given_default": 0.65}
    write_policy(book.policies.folder, rules=RULES, assumptions=assumptions)
    answer(book)
    return book


def answer(book: Book, day: date = DAY, loans: int | None = None, prefix: str = "call") -> pa.Table:
    """Score the book's applications as of `day` and write them as the API does; returns the scores."""
    scores = book.scores(day, loans)
    rows = [applied(k, loan_id=loan_id, subject_token=token) for k, (loan_id, token) in enumerate(_names(scores))]
    write(book, scores, rows, day, prefix)
    return scores


def write(book: Book, scores: pa.Table, rows: list[dict[str, Any]], day: date = DAY, prefix: str = "call") -> None:
    noon = datetime(day.year, day.month, day.day, 12)
    requests = [
        {"event_id": f"{prefix}-{k}", "received_at": noon + timedelta(seconds=k), "client": "test",
         "loan_id": row["loan_id"], "as_of": day, "content": ""}
        for k, row in enumerate(rows)
    ]  # fmt: skip
    answered = Answered(pa.Table.from_pylist(requests, REQUEST_SCHEMA), pa.Table.from_pylist(rows, RAW_SCHEMA), scores)
    stamp = Stamp(noon + timedelta(seconds=1), f"run-{prefix}", "[]", "c" * 40, "d" * 64)
    ApiSink(book.warehouse, RAW_SCHEMA).write(answered, stamp)


def applied(number: int, **more: Any) -> dict[str, Any]:
    """An honest application, unlike any other one."""
    return {
        "loan_id": f"A{number:06d}",
        "subject_token": f"person-{number}",
        "application_date": DAY,
        "loan_amnt": 5_000.0 + number * 7_919 % 20_000,
        "annual_inc": 50_000.0 + number,
        "purpose": "car",
        "emp_length": "5 years",
        "home_ownership": "RENT",
        "earliest_cr_line": date(2005, 1 + number % 12, 1),
        "revol_bal": 1_000.0 + number,
        "total_acc": 20,
        "open_acc": 8,
        "pub_rec": 0,
        **more,
    }


def challenger(book: Book) -> ModelBundle:
    """A second model on the same features, learnt from few other loans and calibrated milder; stored, not promoted."""
    champion = book.champion
    rows = book.warehouse.query("select * from gold.training_set order by loan_id limit 300")
    frame = FeatureTable.from_arrow(rows, champion.features)
    model = type(champion.model)().fit(frame, rows["is_bad"].to_numpy(zero_copy_only=False), seed=1)
    calibrator = replace(champion.calibrator, intercept=0.0)
    milder = replace(champion, model=model, calibrator=calibrator)
    book.bundles.put(milder.to_bytes())
    return milder


def _names(scores: pa.Table) -> list[tuple[str, str]]:
    return list(zip(scores["loan_id"].to_pylist(), scores["subject_token"].to_pylist(), strict=True))


def raw_rows(warehouse: Any, rows: list[Mapping[str, Any]], at: datetime = NOON) -> None:
    """Applications straight into bronze, one a minute; `event_id` is the loan's id unless given."""
    kept = [
        {"event_id": row["loan_id"], "event_time": at + timedelta(minutes=k), **row}
        for k, row in enumerate(rows)
    ]  # fmt: skip
    schema = pa.schema([("event_id", pa.string()), ("event_time", pa.timestamp("us")), *RAW_SCHEMA])
    warehouse.replace_table(RAW, pa.Table.from_pylist(kept, schema))
