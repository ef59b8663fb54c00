"""A score given over HTTP replays like any other: from its request in bronze, and from its own and no other request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import pyarrow as pa
import pytest

from credit_risk_platform.adapters.api_sink import REQUEST_SCHEMA, Answered, ApiSink
from credit_risk_platform.adapters.application_scorer import ApplicationScorer
from credit_risk_platform.adapters.code_version import code_hash
from credit_risk_platform.adapters.ledger import LEDGER, ScoreLedger
from credit_risk_platform.adapters.ledger_writer import Stamp
from credit_risk_platform.adapters.replay import Replayer
from credit_risk_platform.adapters.replay_report import ReplayReport
from credit_risk_platform.domain.provenance import Part
from tests.scoring_book import DAY, FEATURE_SQL, Book, crown, make_book, train
from tests.stream_book import INTAKE_SQL

NOON = datetime(2026, 6, 30, 12)
ASKED = pa.table(
    {
        "loan_id": ["A1", "A1", "A2"],
        "subject_token": ["t1", "t1", "t2"],
        "application_date": pa.array([DAY] * 3, pa.date32()),
        "annual_inc": [60_000.0, 45_000.0, 40_000.0],
        "dti": [20.0, 20.0, 70.0],
        "loan_amnt": [10_000.0, 10_000.0, 30_000.0],
        "revol_util": [10.0, 10.0, 99.0],
        "purpose": ["car", "car", "house"],
    }
)
"""A1 asks twice on one day, with another income."""


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    made = make_book(tmp_path_factory.mktemp("book"), 300)
    crown(made, replace(train(made), intake_sql=INTAKE_SQL))
    scores = ApplicationScorer(made.warehouse, made.bundles, made.policies).score(ASKED, DAY)
    count = ASKED.num_rows
    columns = {
        "event_id": [f"call-{row}" for row in range(count)],
        "received_at": [NOON.replace(minute=row) for row in range(count)],
        "client": ["test"] * count,
        "loan_id": ASKED["loan_id"],
        "as_of": [DAY] * count,
        "content": ["{}"] * count,
    }
    requests = pa.table([columns.get(f.name, pa.nulls(count, f.type)) for f in REQUEST_SCHEMA], REQUEST_SCHEMA.names)
    stamp = Stamp(NOON.replace(hour=13), "api", "[]", "c" * 40, code_hash())
    ApiSink(made.warehouse, ASKED.schema).write(Answered(requests.cast(REQUEST_SCHEMA), ASKED, scores), stamp)
    yield made
    made.close()


def reports(book: Book) -> list[ReplayReport]:
    replayer = Replayer(ScoreLedger(book.warehouse), book.bundles, book.policies, FEATURE_SQL)
    ids = book.warehouse.query(f"select score_id from {LEDGER} order by loan_id, score_id")["score_id"].to_pylist()
    return [replayer.replay(score_id) for score_id in ids]


def test_each_score_finds_the_request_it_answered(book: Book) -> None:
    found = reports(book)
    assert [report.loan_id for report in found] == ["A1", "A1", "A2"]
    assert found[0].then.pd != found[1].then.pd
    for report in found:
        assert report.equal
        assert {part.part: part.same for part in report.parts} == dict.fromkeys(Part, True)
        assert report.inputs == ()
    assert found[2].then.decision == "decline"


def test_a_request_that_is_no_longer_kept_is_said_to_be_gone(book: Book) -> None:
    whole = book.warehouse.query("select * from bronze.raw_applications")
    book.warehouse.replace_table("bronze.raw_applications", whole.slice(0, 0))
    try:
        found = reports(book)
    finally:
        book.warehouse.replace_table("bronze.raw_applications", whole)
    assert all(report.equal for report in found)
    assert {report.parts[0].same for report in found} == {None}
    assert "does not hold the message any more" in found[0].parts[0].detail
