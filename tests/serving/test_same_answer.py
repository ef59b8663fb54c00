"""The same application through Kafka's handler and through HTTP: the same score and decision, to the last bit."""

from __future__ import annotations

import json
from datetime import date, datetime
from itertools import islice
from pathlib import Path

import httpx

from credit_risk_platform.adapters.application_scorer import ApplicationScorer
from credit_risk_platform.adapters.ledger_writer import Stamp
from credit_risk_platform.adapters.streaming.applications import ApplicationScoring
from credit_risk_platform.adapters.streaming.batch import BatchContext
from credit_risk_platform.adapters.streaming.intake import Intake
from credit_risk_platform.adapters.tokens import load_token_key
from credit_risk_platform.domain.contracts.messages import APPLICATIONS
from credit_risk_platform.domain.synthetic.events import Pace, applications
from tests.api_book import BATCH, PREDICT, api, drained
from tests.scoring_book import open_book
from tests.serving.test_same_row import records_of
from tests.stream_book import new_home

SENT = 300
TODAY = date(2026, 6, 30)
COMPARED = (
    "pd", "points", "band", "decision", "reasons", "rules", "policy_version", "model_name", "bundle_sha",
    "feature_sql_hash", "subject_token", "score_id",
)  # fmt: skip


def data() -> list[dict[str, object]]:
    events = islice(applications(7, TODAY, Pace(datetime(2026, 6, 30, 9))), SENT)
    sent = [json.loads(event.value or b"")["data"] for event in events]
    for one in sent:
        one["term"] = one["term"].strip()
    return sent


def test_an_application_has_one_score_whichever_way_it_comes(tmp_path: Path) -> None:
    home, sent = new_home(tmp_path / "home"), data()
    with api(home) as client:
        answers = _by_http(client, sent)
        drained(client)
    book = open_book(home)
    day = date.fromisoformat(answers[0]["as_of"])
    _by_kafka(book, sent, datetime(day.year, day.month, day.day, 12))
    listed = ", ".join(COMPARED)
    by_way = [
        book.warehouse.query(f"select {listed} from gold.application_scores where topic = ? order by loan_id", [topic])
        for topic in ("http", APPLICATIONS.topic)
    ]
    assert by_way[0].num_rows == SENT
    assert by_way[0].equals(by_way[1])
    assert len(set(by_way[0]["decision"].to_pylist())) == 3  # the sample shows every decision
    ledger = book.warehouse.query("select count(*) as n from gold.score_ledger")
    assert ledger["n"].to_pylist() == [SENT]  # the same score came twice: one row
    told = {answer["application_id"]: answer for answer in answers}
    for row in book.warehouse.query("from gold.application_scores where topic = 'http'").to_pylist():
        answer = told[row["loan_id"]]
        assert answer["default_probability"] == row["pd"]
        assert answer["score_points"] == row["points"]
        assert [reason["code"] for reason in answer["reason_codes"]] == (row["reasons"] or [])
        assert (answer["decision"], answer["rules"]) == (row["decision"], row["rules"])
        assert answer["risk_category"] == row["band"].lower()
    book.close()


def _by_http(client: httpx.Client, sent: list[dict[str, object]]) -> list[dict[str, object]]:
    """A few one by one, the others as a batch: nothing may depend on that."""
    alone = [client.post(PREDICT, json=one).json() for one in sent[:20]]
    results = client.post(BATCH, json={"customers": sent[20:]}).json()["results"]
    return alone + [result["score"] for result in results]


def _by_kafka(book, sent: list[dict[str, object]], now: datetime) -> None:
    """The stream's own intake and handler, and its own write."""
    accepted = Intake(APPLICATIONS, load_token_key(book.home / ".secrets")).judge(records_of(sent), TODAY).accepted
    assert accepted.num_rows == SENT
    handler = ApplicationScoring(ApplicationScorer(book.warehouse, book.bundles, book.policies))
    prepared = handler.prepare(accepted, BatchContext(Stamp(now, "stream", "[]", None, "d" * 64), now))
    with book.warehouse.transaction(prepared.staged) as transaction:
        prepared.write(transaction)
