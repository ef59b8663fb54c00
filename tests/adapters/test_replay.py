"""Replay: any score comes back to the last bit, and whatever changed since is named."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from credit_risk_platform.adapters import code_version
from credit_risk_platform.adapters import replay as replaying
from credit_risk_platform.adapters.bundles import BundleStore, Promotion
from credit_risk_platform.adapters.code_version import code_hash
from credit_risk_platform.adapters.ledger import LEDGER, ScoreLedger, UnknownScoreError
from credit_risk_platform.adapters.ledger_writer import MESSAGE_SCHEMA, Stamp, append, hashed, write_scores
from credit_risk_platform.adapters.replay import MissingBundleError, Replayer, replay
from credit_risk_platform.adapters.replay_report import ReplayReport
from credit_risk_platform.domain.bundle import BundleError
from credit_risk_platform.domain.provenance import Part
from credit_risk_platform.domain.scoring import SCORE_SCHEMA
from tests.scoring_book import (
    BANDS,
    DAY,
    FEATURE_SQL,
    POLICY,
    Book,
    applications,
    batches,
    crown,
    make_book,
    train,
    write_marts,
    write_policies,
)

LOANS = 900


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    """Scores of two models, under today's code."""
    book = make_book(tmp_path_factory.mktemp("book"), LOANS)
    first = book.champion
    for bundle in (first, train(book, "xgboost")):
        own = Stamp(datetime(2026, 7, 1, 5), "run-1", "[]", "c" * 40, code_hash())
        write_scores(book.warehouse, batches(book.scores(bundle=bundle)), DAY, own)
        book.bundles.put(bundle.to_bytes())
    yield book
    book.close()


def some_score(book: Book, model: str = "logistic_regression") -> str:
    rows = book.warehouse.query(f"select score_id from {LEDGER} where model_name = ? order by loan_id limit 1", [model])
    return str(rows["score_id"][0])


def run(book: Book, score_id: str | None = None, mart_sql: str | None = FEATURE_SQL) -> ReplayReport:
    ledger = ScoreLedger(book.warehouse)
    return replay(score_id or some_score(book), ledger, book.bundles, book.policies, mart_sql=mart_sql)


def changed(report: ReplayReport) -> list[Part]:
    return [part.part for part in report.changed]


def test_fifty_random_scores_come_back_to_the_last_bit(scored: Book) -> None:
    ledger = ScoreLedger(scored.warehouse)
    replayer = Replayer(ledger, scored.bundles, scored.policies, FEATURE_SQL)
    reports = [replayer.replay(score_id) for score_id in ledger.sample(50, seed=3)]
    assert all(report.equal for report in reports)
    assert {report.model_name for report in reports} == {"logistic_regression", "xgboost"}
    assert all(report.then == report.again for report in reports)


def test_a_score_of_today_s_champion_finds_nothing_changed(scored: Book) -> None:
    report = run(scored)
    assert changed(report) == []
    assert [part.same for part in report.parts] == [True] * 5
    assert report.inputs == ()
    assert "equal to the last bit" in "\n".join(report.lines())
    assert report.as_dict()["equal"] is True


def test_a_score_of_another_model_names_the_bundle_and_replays_with_its_own(scored: Book) -> None:
    report = run(scored, some_score(scored, "xgboost"))
    assert report.equal
    assert changed(report) == [Part.BUNDLE]
    assert "the champion is logistic_regression" in report.changed[0].detail


def test_restated_data_is_named_feature_by_feature(scored: Book) -> None:
    rows = applications(LOANS, 7)
    restated = pc.if_else(pc.equal(rows["loan_id"], "L000000"), pa.scalar(1.0), rows["debt"])
    write_marts(scored, rows.set_column(rows.column_names.index("debt"), "debt", restated))
    try:
        report = run(scored)
    finally:
        write_marts(scored, rows)
    assert report.equal, "the score itself is still reproducible"
    assert changed(report) == [Part.FEATURE_DATA]
    assert [difference.feature for difference in report.inputs] == ["dti"]
    assert report.inputs[0].then != report.inputs[0].now
    assert any("dti: " in line for line in report.lines())


def test_a_loan_that_left_the_book_still_replays(scored: Book) -> None:
    rows = applications(LOANS, 7)
    write_marts(scored, rows.slice(1))
    try:
        report = run(scored)
    finally:
        write_marts(scored, rows)
    assert report.equal
    assert report.parts[0].same is None
    assert "holds 0 rows of this loan" in report.parts[0].detail


def test_a_column_the_old_feature_sql_needs_and_silver_lost_is_reported(scored: Book) -> None:
    rows = applications(LOANS, 7)
    scored.warehouse.replace_table("silver.int_applications", rows.drop_columns(["debt"]))
    try:
        report = run(scored)
    finally:
        write_marts(scored, rows)
    assert report.equal
    assert report.parts[0].same is None
    assert "debt" in report.parts[0].detail


def test_changed_feature_sql_is_named(scored: Book) -> None:
    report = run(scored, mart_sql=FEATURE_SQL + "-- rounded")
    assert report.equal
    assert changed(report) == [Part.FEATURE_SQL]
    assert run(scored, mart_sql=None).parts[1].same is None


def test_a_new_policy_is_named_and_the_score_keeps_its_band(scored: Book) -> None:
    lax = (("Fine", 0.0, 1.000001),)
    write_policies(scored, [(POLICY, date(2007, 1, 1), BANDS), ("2026.2", DAY, lax)])
    try:
        report = run(scored)
    finally:
        write_policies(scored, [(POLICY, date(2007, 1, 1), BANDS)])
    assert report.equal
    assert changed(report) == [Part.POLICY]
    assert "2026.2 gives Fine" in report.changed[0].detail


def test_a_policy_version_that_was_rewritten_does_not_reproduce_the_band(scored: Book) -> None:
    write_policies(scored, [(POLICY, date(2007, 1, 1), (("Fine", 0.0, 1.000001),))])
    try:
        report = run(scored)
    finally:
        write_policies(scored, [(POLICY, date(2007, 1, 1), BANDS)])
    assert not report.equal
    assert report.again.band == "Fine"
    assert report.then.pd == report.again.pd


def test_a_policy_version_that_was_removed_says_so(scored: Book) -> None:
    write_policies(scored, [("2030.1", date(2030, 1, 1), BANDS)])
    try:
        report = run(scored)
    finally:
        write_policies(scored, [(POLICY, date(2007, 1, 1), BANDS)])
    assert report.again.band is None
    assert report.parts[3].same is None


def test_changed_scoring_code_is_named_with_both_commits(scored: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "code_hash", lambda: "0" * 64)
    report = run(scored)
    assert changed(report) == [Part.CODE]
    assert f"commit {'c' * 40} then, {code_version.git_commit() or 'unknown'} now" in report.changed[0].detail


def test_a_ledger_row_that_was_changed_is_not_passed_off_as_genuine(scored: Book) -> None:
    score_id = some_score(scored)
    row = scored.warehouse.query(f"select * from {LEDGER} where score_id = ?", [score_id])
    nudged = row.set_column(row.column_names.index("pd"), "pd", [np.nextafter(row["pd"].to_numpy(), 1)])
    scored.warehouse.upsert(LEDGER, nudged, ["score_id"])
    try:
        report = run(scored, score_id)
    finally:
        scored.warehouse.upsert(LEDGER, row, ["score_id"])
    assert not report.genuine
    assert not report.equal
    assert "changed after it was written" in "\n".join(report.lines())


def test_replay_needs_no_mlflow(scored: Book) -> None:
    """Everything it needs lies in the warehouse and in the bundle store; the registry's files are not asked for."""
    shutil.rmtree(scored.home / "mlflow", ignore_errors=True)
    assert run(scored).equal


def test_a_bundle_that_is_gone_says_which_and_where_to_get_it(scored: Book) -> None:
    score_id = some_score(scored, "xgboost")
    sha = scored.warehouse.query(f"select bundle_sha from {LEDGER} where score_id = ?", [score_id])["bundle_sha"][0]
    path = scored.bundles.path(str(sha))
    away = path.rename(path.with_suffix(".away"))
    try:
        with pytest.raises(MissingBundleError, match=f"given by bundle {str(sha)[:12]}"):
            run(scored, score_id)
    finally:
        away.rename(path)


def test_a_bundle_that_was_tampered_with_is_refused(scored: Book) -> None:
    path = scored.bundles.path(scored.champion.sha256)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"x")
    try:
        with pytest.raises(BundleError):
            run(scored)
    finally:
        path.write_bytes(content)


def test_an_unknown_score_names_the_nearest(scored: Book) -> None:
    with pytest.raises(UnknownScoreError) as caught:
        run(scored, "0" * 32)
    assert len(caught.value.near) == 3


def test_a_behavioural_score_replays_and_is_held_against_its_own_kind(scored: Book) -> None:
    panel = "create or replace view lake.silver.int_loan_month_panel as from lake.bronze.synthetic_repayments"
    bundle = replace(train(scored, seed=5), intake_sql=panel)
    store = BundleStore(scored.bundles.root, role="behaviour")
    sha = store.put(bundle.to_bytes())
    promotion = Promotion(bundle.name, 1, sha, "2026-07-01T00:00:00+00:00", "run", "test", "because")
    store.promote(promotion, {}, replaces=None)
    (given,) = scored.scores(loans=1, bundle=bundle).to_batches()
    place = [pa.array(["repayments"]), pa.array([0], pa.int32()), pa.array([7], pa.int64())]
    with_message = pa.RecordBatch.from_arrays(
        [*given.columns, *place], schema=pa.schema([*SCORE_SCHEMA, *MESSAGE_SCHEMA])
    )
    own = Stamp(datetime(2026, 7, 1, 5), "run-1", "[]", "c" * 40, code_hash())
    staged = {"scored": hashed([with_message], own, with_message.schema)}
    with scored.warehouse.transaction(staged) as transaction:
        append(transaction, own, with_message.schema)
    (score_id,) = scored.warehouse.query(f"select score_id from {LEDGER} where bundle_sha = ?", [sha])["score_id"]
    report = run(scored, str(score_id))
    assert report.equal
    assert {part.part: part.same for part in report.parts} == {
        Part.FEATURE_DATA: None, Part.FEATURE_SQL: None, Part.BUNDLE: True, Part.POLICY: True, Part.CODE: True,
    }  # fmt: skip
    assert "the loan has gone on since" in report.parts[0].detail


def test_a_demoted_champion_s_scores_replay_for_ever(scored: Book) -> None:
    crown(scored, train(scored, seed=9))
    assert run(scored).equal
