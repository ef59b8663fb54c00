"""The decisions room on a real lake and a real Dagster instance: nothing lost, nothing vague, nothing done twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from credit_risk_platform.adapters import adverse_action, decisions
from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.ledger import LEDGER
from credit_risk_platform.adapters.policies import PolicyBook
from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import Gold
from credit_risk_platform.defs.decisions import definitions
from credit_risk_platform.defs.decisions.checks import known_reasons, scored_factors
from credit_risk_platform.domain.scoring import score
from credit_risk_platform.settings import Settings
from tests.decision_book import answer, applied, make_decision_book, write
from tests.policy_book import RULES, SINCE, write_policy
from tests.scoring_book import BANDS, DAY, POLICY, Book, write_policies

LOANS = 1_200
ROOM = (
    Gold.POLICY_VERSIONS, Gold.CUTOFF_CURVE, Gold.FRAUD_SIGNALS, Gold.DECISIONS, Gold.REFERRAL_QUEUE,
    Gold.ADVERSE_ACTION_NOTICES, Gold.SHADOW_SCORES, Gold.EXPERIMENT_READOUT,
)  # fmt: skip


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    made = make_decision_book(tmp_path_factory.mktemp("book"), LOANS)
    yield made
    made.close()


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def run(book: Book, instance: dg.DagsterInstance, *keys: dg.AssetKey, check: bool = True) -> dg.ExecuteInProcessResult:
    settings = Settings(home=book.home)
    return dg.materialize(
        list(definitions(settings).assets or []),
        selection=list(keys) or None,
        instance=instance,
        resources={
            "warehouse": book.warehouse, "bundles": book.bundles, "policies": book.policies, "settings": settings
        },
        raise_on_error=check,
    )  # fmt: skip


@pytest.fixture(scope="module")
def first(book: Book, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    """The whole room, once."""
    return run(book, instance)


def metadata(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> dict[str, Any]:
    (event,) = [e for e in result.get_asset_materialization_events() if e.asset_key == key]
    return {name: value.value for name, value in event.materialization.metadata.items()}


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {found.check_name: found for found in result.get_asset_check_evaluations()}


def decided(book: Book) -> dict[str, dict[str, Any]]:
    return {row["score_id"]: row for row in book.warehouse.query(f"select * from {decisions.TABLE}").to_pylist()}


def test_every_score_has_one_decision_and_all_checks_are_green(book: Book, first: dg.ExecuteInProcessResult) -> None:
    scores = {row["score_id"]: row for row in book.warehouse.query(f"select * from {decisions.SCORES}").to_pylist()}
    rows = decided(book)
    assert rows.keys() == scores.keys()
    assert len(rows) == LOANS
    for score_id, row in rows.items():
        score = scores[score_id]
        same = ("loan_id", "pd", "points", "band", "rules", "reasons", "policy_version", "bundle_sha")
        assert {name: row[name] for name in same} == {name: score[name] for name in same}
        assert row["policy_decision"] == score["decision"]
        assert (row["approve_below"], row["decline_from"], row["channel"]) == (0.155, 0.25, "api")
    assert {name: found.passed for name, found in checks(first).items() if not found.passed} == {}


def test_whoever_is_not_approved_is_told_why_in_approved_words(book: Book, first: dg.ExecuteInProcessResult) -> None:
    texts = book.policy().reason_codes.texts
    refused = [row for row in decided(book).values() if row["policy_decision"] != "approve"]
    assert {row["policy_decision"] for row in refused} == {"refer", "decline"}
    for row in refused:
        assert 1 <= len(row["reasons"]) <= 5
        assert row["reason_texts"] == [texts[code] for code in row["reasons"]]


def test_the_page_shows_mix_paths_and_reasons(book: Book, first: dg.ExecuteInProcessResult) -> None:
    shown = metadata(first, Gold.DECISIONS)
    counts = {}
    for line in shown["decision_mix"].splitlines()[2:]:
        _, outcome, n, *_ = (cell.strip() for cell in line.split("|"))
        counts[outcome] = int(n)
    assert list(counts) == ["approve", "refer", "decline"]
    assert sum(counts.values()) == shown["dagster/row_count"] == LOANS
    assert "| approve | auto | PD below 15.5 % |" in shown["paths"]
    assert "| decline | auto | PD from 25.0 % on, rule D01 and R02 |" in shown["paths"]
    assert "AA04" in shown["reasons"]
    assert metadata(first, Gold.REFERRAL_QUEUE)["dagster/row_count"] == counts["refer"]


def test_deciding_again_changes_nothing_and_new_scores_are_added(
    book: Book, instance: dg.DagsterInstance, first
) -> None:
    before = decisions.version(book.warehouse)
    again = run(book, instance, Gold.DECISIONS, Gold.REFERRAL_QUEUE)
    assert metadata(again, Gold.DECISIONS)["written"] == 0
    assert decisions.version(book.warehouse) == before
    answer(book, DAY + timedelta(days=1), loans=50, prefix="later")
    later = run(book, instance, Gold.DECISIONS, Gold.REFERRAL_QUEUE)
    assert metadata(later, Gold.DECISIONS)["written"] == 50


def test_a_ring_is_sent_to_people_and_neither_declined_nor_scored_worse(book: Book, instance, first) -> None:
    """Its PDs and its policy decisions stay; only approvals become referrals, and they wait in the fraud review."""
    day = DAY + timedelta(days=2)
    scores = book.scores(day, 40)
    same = {"annual_inc": 61_234.0, "revol_bal": 4_321.0, "total_acc": 17, "earliest_cr_line": DAY}
    rows = [
        applied(90_000 + k, loan_id=loan_id, subject_token=f"ring-{k}", **(same if k < 5 else {}))
        for k, loan_id in enumerate(scores["loan_id"].to_pylist())
    ]
    write(book, scores, rows, day, "ring")
    result = run(book, instance, Gold.FRAUD_SIGNALS, Gold.DECISIONS, Gold.REFERRAL_QUEUE)
    members = [row for row in decided(book).values() if row["fraud_signals"]]
    assert {row["loan_id"] for row in members} == set(scores["loan_id"].to_pylist()[:5])
    asked = dict(zip(scores["loan_id"].to_pylist(), scores["pd"].to_pylist(), strict=True))
    for row in members:
        assert row["pd"] == asked[row["loan_id"]]
        assert row["outcome"] == ("refer" if row["policy_decision"] == "approve" else row["policy_decision"])
        assert row["route"] == ("auto" if row["outcome"] == "decline" else "fraud review")
    assert any(row["policy_decision"] == "approve" for row in members)
    assert checks(result)["fraud_only_refers"].passed
    queue = book.warehouse.query(f"select loan_id from {decisions.QUEUE} where route = 'fraud review'")
    assert set(queue["loan_id"].to_pylist()) == {row["loan_id"] for row in members if row["outcome"] == "refer"}


def test_a_decline_by_fraud_or_a_lost_decision_turns_the_checks_red(book: Book, instance, first) -> None:
    kept = book.warehouse.query(f"select * from {decisions.TABLE}")
    spoilt = """
        select * replace (case when outcome = 'approve' then 'decline' else outcome end as outcome)
        from (select * from gold.decisions order by score_id limit 300) where score_id <> ?
    """
    one = min(decided(book))
    book.warehouse.replace_table("gold.spoilt", Select(spoilt, [one]))
    book.warehouse.replace_table(decisions.TABLE, Select("select * from gold.spoilt"))
    try:
        faults, missing = decisions.faults(book.warehouse), decisions.lost(book.warehouse)
    finally:
        book.warehouse.replace_table(decisions.TABLE, kept)
    assert faults["declined_by_fraud"][0] > 0
    assert missing["lost"] == kept.num_rows - 299


def test_a_shifted_input_turns_the_reason_check_amber_and_names_its_reason(book: Book, instance, first) -> None:
    """Three weeks on, everybody's debts have tripled against income: the debt reason is given far more often."""
    assert checks(first)["reason_drift"].metadata["verdict"].value == "not enough data"
    day = DAY + timedelta(days=20)
    features = book.warehouse.query("select * replace (dti * 3 as dti) from gold.application_features order by loan_id")
    scores = score(book.champion, features, day, book.policy(day))
    rows = [applied(200_000 + k, loan_id=loan_id) for k, loan_id in enumerate(scores["loan_id"].to_pylist())]
    write(book, scores, rows, day, "shifted")
    found = checks(run(book, instance, Gold.FRAUD_SIGNALS, Gold.DECISIONS, Gold.REFERRAL_QUEUE))["reason_drift"]
    assert not found.passed
    assert found.severity is dg.AssetCheckSeverity.WARN
    code = book.policy().reason_codes.features["dti"]
    assert found.metadata["moved_most"].value == code
    assert f"Reason {code} moved most" in str(found.metadata["next_step"].value)


def test_a_reason_that_no_input_of_the_model_has_is_found(book: Book, first) -> None:
    known = known_reasons(book.bundles, [book.policy()])
    own = known(book.champion.sha256, "2007.1")
    assert own == {book.policy().reason_codes.features[f.name] for f in book.champion.features} | {
        *(rule["reason"] for rule in RULES),
        "AA27",  # incomplete: what an applicant may have left out
    }
    used = [{"bundle_sha": book.champion.sha256, "policy_version": "2007.1", "reason": "AA99", "score_id": "s1"},
            {"bundle_sha": "f" * 64, "policy_version": "2007.1", "reason": "AA01", "score_id": "s2"}]  # fmt: skip
    found = scored_factors(used, known)
    assert not found.passed
    assert found.metadata["foreign"].value == "AA99 in score s1"
    assert "ffffffffffff" in str(found.metadata["not_looked_at"].value)


# ---------------------------------------------------------------- notices


def test_each_decline_has_one_notice_that_the_ledger_gives_again_byte_by_byte(book: Book, instance, first) -> None:
    run(book, instance, Gold.ADVERSE_ACTION_NOTICES)
    declined = {row["score_id"]: row for row in decided(book).values() if row["outcome"] == "decline"}
    stored = {row["score_id"]: row for row in book.warehouse.query(f"select * from {adverse_action.TABLE}").to_pylist()}
    assert stored.keys() == declined.keys()
    assert len(stored) > 10
    for score_id, notice in list(stored.items())[:5]:
        assert adverse_action.rebuilt(book.warehouse, score_id).to_pylist() == [notice]
        assert notice["due_by"] - declined[score_id]["decided_at"].date() == timedelta(days=30)
        assert all(text in notice["text"] for text in declined[score_id]["reason_texts"])
    assert adverse_action.differing(book.warehouse, 10_000) == []
    assert metadata(run(book, instance, Gold.ADVERSE_ACTION_NOTICES), Gold.ADVERSE_ACTION_NOTICES)["new"] == 0


def test_a_notice_that_was_edited_is_found(book: Book, instance, first) -> None:
    run(book, instance, Gold.ADVERSE_ACTION_NOTICES)
    kept = book.warehouse.query(f"select * from {adverse_action.TABLE}")
    edited = f"select * replace (replace(text, 'cannot', 'can') as text) from {adverse_action.TABLE}"
    book.warehouse.replace_table(adverse_action.TABLE, Select(edited))
    try:
        result = run(book, instance, Gold.ADVERSE_ACTION_NOTICES, check=False)
    finally:
        book.warehouse.replace_table(adverse_action.TABLE, kept)
    found = checks(result)["notices_rebuild"]
    assert not found.passed
    assert "Do not send them" in str(found.metadata["next_step"].value)


# ---------------------------------------------------------------- policy


def test_a_published_policy_that_changes_under_its_name_stops_decisions_and_says_what_to_do(
    book, instance, first
) -> None:
    file = book.policies.folder / "2007.1.yaml"
    kept = file.read_text()
    write_policy(book.policies.folder, approve_below=0.2, rules=RULES)
    try:
        result = run(book, instance, check=False)
    finally:
        file.write_text(kept)
    assert not result.success
    found = checks(result)["published_policy_unchanged"]
    assert not found.passed
    assert "2007.1" in str(found.metadata["changed"].value)
    assert "publish what is new as another version" in str(found.metadata["next_step"].value)
    assert Gold.DECISIONS not in {event.asset_key for event in result.get_asset_materialization_events()}
    (row,) = book.warehouse.query("select approve_below, rules from gold.policy_versions").to_pylist()
    assert row["approve_below"] == 0.155
    assert [rule["code"] for rule in json.loads(row["rules"])] == ["D01", "R01", "R02", "R03"]


def test_the_cutoff_in_force_is_weighed_against_the_best_one(book: Book, first: dg.ExecuteInProcessResult) -> None:
    shown = metadata(first, Gold.CUTOFF_CURVE)
    assert shown["break_even_pd"] == pytest.approx(0.12 / 0.77)
    assert shown["approve_below_in_force"] == 0.155
    assert shown["profit_forgone_at_most"] >= 0
    assert shown["profit_curve"].startswith("![Profit by cut-off](data:image/png;base64,")
    curve = book.warehouse.query("select * from gold.cutoff_curve order by cutoff")
    assert curve["profit"].to_pylist()[30] == pytest.approx(shown["profit_in_force"])  # 0.155 is a step of the curve
    assert set(curve["loss_given_default"].to_pylist()) == {0.65}
    assert book.policy().approve_below == 0.155


def test_a_home_without_applications_has_empty_tables_and_no_red_check(tmp_path, instance) -> None:
    home = tmp_path / "home"
    book = Book(home, DuckLakeWarehouse(home / "lake"), BundleStore(home / "models"), PolicyBook(home / "policies"))
    write_policies(book, [(POLICY, SINCE, BANDS)])
    write_policy(book.policies.folder, rules=())
    result = run(book, instance, *(key for key in ROOM if key != Gold.CUTOFF_CURVE))
    assert all(found.passed for found in checks(result).values())
    for key in ("decisions", "referral_queue", "adverse_action_notices", "shadow_scores", "experiment_readout"):
        assert book.warehouse.count(f"gold.{key}") == 0
    assert not book.warehouse.exists(LEDGER)
    book.close()
