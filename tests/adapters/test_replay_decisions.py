"""Replay of decisions: the answer and its reasons come back too, and a policy that was rewritten does not pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import pytest

from credit_risk_platform.adapters import policy_record
from credit_risk_platform.adapters.code_version import code_hash
from credit_risk_platform.adapters.ledger import LEDGER, ScoreLedger
from credit_risk_platform.adapters.ledger_writer import Stamp, write_scores
from credit_risk_platform.adapters.replay import Replayer
from credit_risk_platform.adapters.replay_report import ReplayReport
from credit_risk_platform.domain.provenance import Part, PartComparison
from credit_risk_platform.domain.scoring import score
from tests.policy_book import RULES, write_policy
from tests.scoring_book import BANDS, DAY, FEATURE_SQL, POLICY, Book, batches, make_book, write_policies

UNDECIDED_DAY = date(2026, 6, 29)
VERSIONS = [(POLICY, date(2007, 1, 1), BANDS)]


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    """Decided scores of one day, and scores without decisions of the day before."""
    book = make_book(tmp_path_factory.mktemp("book"), 300)
    own = Stamp(datetime(2026, 7, 1, 5), "run-1", "[]", "c" * 40, code_hash())
    write_scores(book.warehouse, batches(book.scores()), DAY, own)
    features = book.warehouse.query("select * from gold.application_features")
    bare = score(book.champion, features, UNDECIDED_DAY, book.policy().bands)
    write_scores(book.warehouse, batches(bare), UNDECIDED_DAY, own)
    yield book
    book.close()


@pytest.fixture
def book(scored: Book) -> Iterator[Book]:
    yield scored
    write_policies(scored, VERSIONS)


def some(book: Book, where: str) -> str:
    sql = f"select score_id from {LEDGER} where {where} order by score_id limit 1"
    return str(book.warehouse.query(sql)["score_id"][0])


def run(book: Book, where: str = f"decision = 'decline' and as_of = '{DAY}'") -> ReplayReport:
    replayer = Replayer(ScoreLedger(book.warehouse), book.bundles, book.policies, FEATURE_SQL)
    return replayer.replay(some(book, where))


def policy_part(report: ReplayReport) -> PartComparison:
    return next(part for part in report.parts if part.part is Part.POLICY)


@pytest.mark.parametrize("decision", ["approve", "refer", "decline"])
def test_decision_and_reasons_come_back(book: Book, decision: str) -> None:
    report = run(book, f"decision = '{decision}' and as_of = '{DAY}'")
    assert report.equal
    assert report.then == report.again
    assert report.again.decision == decision
    assert bool(report.again.reasons) == (decision != "approve")
    assert policy_part(report).same is True
    told = "\n".join(report.lines())
    assert decision in told
    assert all(reason in told for reason in report.again.reasons or ())


def test_a_score_without_a_decision_is_judged_by_its_bands_alone(book: Book) -> None:
    """From before there were decisions, or of a behavioural model: nothing was told, so nothing need come back."""
    report = run(book, f"as_of = '{UNDECIDED_DAY}'")
    assert report.equal
    assert (report.again.decision, report.again.reasons) == (None, None)
    assert report.again.band is not None
    assert policy_part(report).same is True


@pytest.mark.parametrize(
    "edit",
    [
        {"approve_below": 0.98, "decline_from": 0.99, "rules": ()},
        {"rules": [{"code": "R9", "feature": "ltv", "op": ">", "value": 1, "decision": "refer", "reason": "AA12"}]},
    ],
    ids=["another cut-off", "a rule over what the model does not read"],
)
def test_a_policy_edited_under_its_old_name_does_not_reproduce_the_decision(book: Book, edit: dict[str, Any]) -> None:
    write_policy(book.policies.folder, **edit)
    report = run(book)
    assert not report.equal
    assert report.again.decision != report.then.decision == "decline"
    assert report.again.pd == report.then.pd
    assert policy_part(report).same is not True
    assert policy_part(report).detail


def test_an_edit_that_changes_no_answer_is_still_named(book: Book) -> None:
    """The record of the versions first seen is what it is held against."""
    policy_record.record(book.warehouse, [book.policy()], datetime(2026, 7, 1))
    assert policy_part(run(book)).same is True
    write_policy(book.policies.folder, rules=RULES, note="nobody will notice")
    report = run(book)
    assert report.equal
    assert policy_part(report).same is False
    assert f"version {POLICY} was rewritten" in policy_part(report).detail


def test_a_later_version_is_named_and_the_score_keeps_its_decision(book: Book) -> None:
    write_policies(book, [*VERSIONS, ("2026.2", DAY, BANDS)])
    write_policy(book.policies.folder, "2026.2", DAY, approve_below=0.98, decline_from=0.99, rules=())
    report = run(book)
    assert report.equal
    assert policy_part(report).same is False
    assert "2026.2 gives" in policy_part(report).detail
    assert ", approve" in policy_part(report).detail


def test_a_version_that_is_no_longer_on_file_says_so(book: Book) -> None:
    write_policy(book.policies.folder, "2030.1", date(2030, 1, 1)).rename(book.policies.folder / "2007.1.yaml")
    report = run(book)
    assert not report.equal
    assert report.again.decision is None
    assert report.again.band == report.then.band
    assert policy_part(report).same is None
    assert "name the file 2030.1.yaml" in policy_part(report).detail


def test_a_ledger_row_whose_decision_was_changed_is_not_genuine(book: Book) -> None:
    score_id = some(book, "decision = 'decline'")
    row = book.warehouse.query(f"select * from {LEDGER} where score_id = ?", [score_id])
    kinder = row.set_column(row.column_names.index("decision"), "decision", [["approve"]])
    book.warehouse.upsert(LEDGER, kinder, ["score_id"])
    try:
        report = run(book, f"score_id = '{score_id}'")
    finally:
        book.warehouse.upsert(LEDGER, row, ["score_id"])
    assert not report.genuine
    assert not report.equal


def test_a_bundle_that_lost_its_background_cannot_explain_itself_and_says_so(book: Book) -> None:
    replayer = Replayer(ScoreLedger(book.warehouse), book.bundles, book.policies, FEATURE_SQL)
    row = ScoreLedger(book.warehouse).find(some(book, "decision = 'decline' and pd >= 0.25"))
    old = replace(book.champion, background=None)
    assert replayer.policies.again(row, old).decision is None
    assert "trained before decisions came" in replayer.policies.compare(row, old).detail
