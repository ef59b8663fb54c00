"""One scorer for stream and API: the reigning champion and the policy in force, swapped whole while calls go on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from credit_risk_platform.adapters import application_scorer
from credit_risk_platform.adapters.application_scorer import ApplicationScorer
from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.policies import PolicyBook
from credit_risk_platform.adapters.streaming.batch import NotReadyError
from credit_risk_platform.domain.scoring import SCORE_SCHEMA
from tests.policy_book import RULES, write_policy
from tests.scoring_book import BANDS, DAY, POLICY, Book, crown, make_book, train, write_policies
from tests.stream_book import INTAKE_SQL

ASKED = pa.table(
    {
        "loan_id": ["B", "A", "B"],
        "subject_token": ["t1", "t2", "t1"],
        "application_date": pa.array([DAY] * 3, pa.date32()),
        "annual_inc": [60_000.0, 40_000.0, 60_000.0],
        "dti": [20.0, 70.0, 20.0],
        "loan_amnt": [10_000.0, 30_000.0, 10_000.0],
        "revol_util": [10.0, 99.0, None],
        "purpose": ["car", "house", "car"],
    }
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    book = make_book(tmp_path_factory.mktemp("book"), 300)
    yield book
    book.close()


@pytest.fixture
def book(made: Book, tmp_path: Path) -> Book:
    """The module's marts; a bundle store and policy files of the test's own."""
    own = replace(made, bundles=BundleStore(tmp_path / "models"), policies=PolicyBook(tmp_path / "policies"))
    write_policies(own, [(POLICY, date(2007, 1, 1), BANDS)])
    crown(own, replace(train(own), intake_sql=INTAKE_SQL))
    return own


def scorer_of(book: Book) -> ApplicationScorer:
    return ApplicationScorer(book.warehouse, book.bundles, book.policies)


def test_scores_come_in_the_order_asked_and_a_loan_may_ask_twice(book: Book) -> None:
    scored = scorer_of(book).score(ASKED, DAY)
    assert scored.schema == SCORE_SCHEMA
    assert scored["loan_id"].to_pylist() == ["B", "A", "B"]
    assert scored["subject_token"].to_pylist() == ["t1", "t2", "t1"]
    assert scored["rules"].to_pylist() == [[], ["D01", "R01"], ["R03"]]
    assert scored["decision"].to_pylist()[1:] == ["decline", "refer"]
    assert scored["reasons"].to_pylist()[1][:1] == ["AA04"]
    alone = [scorer_of(book).score(ASKED.slice(row, 1), DAY) for row in range(3)]
    assert pa.concat_tables(alone).equals(scored)


def test_a_column_that_was_not_sent_is_missing_and_never_zero(book: Book) -> None:
    bare = ASKED.select(["loan_id", "subject_token", "application_date", "annual_inc"]).slice(0, 1)
    scored = scorer_of(book).score(bare, DAY).to_pylist()[0]
    assert scored["numeric_inputs"] == [None, None, None]
    assert scored["categorical_inputs"] == [None]
    assert scored["rules"] == ["R03"]


def test_a_promotion_is_picked_up_whole_and_only_by_a_refresh(book: Book) -> None:
    scorer = scorer_of(book)
    first = scorer.score(ASKED, DAY)
    sha = crown(book, replace(train(book, seed=1), intake_sql=INTAKE_SQL))
    assert scorer.score(ASKED, DAY).equals(first)
    scorer.refresh()
    assert scorer.bundle.sha256 == sha
    assert set(scorer.score(ASKED, DAY)["bundle_sha"].to_pylist()) == {sha} != set(first["bundle_sha"].to_pylist())


def test_a_champion_that_cannot_decide_never_reigns_and_the_former_goes_on(book: Book) -> None:
    scorer = scorer_of(book)
    first = scorer.score(ASKED, DAY)
    crown(book, replace(train(book, seed=2), intake_sql=INTAKE_SQL, background=None))
    for _ in range(2):
        with pytest.raises(NotReadyError, match="materialise models/champion again"):
            scorer.refresh()
    assert scorer.score(ASKED, DAY).equals(first)
    crown(book, train(book, seed=3))
    with pytest.raises(NotReadyError, match="cannot score messages, it is too old"):
        scorer.refresh()
    assert scorer.score(ASKED, DAY).equals(first)


def test_an_edited_policy_decides_from_the_next_refresh_and_a_faulty_one_does_not(book: Book) -> None:
    scorer = scorer_of(book)
    assert scorer.score(ASKED, DAY)["decision"].to_pylist()[1] == "decline"
    write_policy(book.policies.folder, approve_below=0.98, decline_from=0.99, rules=())
    scorer.refresh()
    assert scorer.policy(DAY).approve_below == 0.98
    assert set(scorer.score(ASKED, DAY)["decision"].to_pylist()) == {"approve"}
    write_policy(book.policies.folder, approve_below=0.98, decline_from=9.9, rules=RULES)
    with pytest.raises(NotReadyError, match=r"2007\.1\.yaml: approve_below, decline_from"):
        scorer.refresh()
    assert set(scorer.score(ASKED, DAY)["decision"].to_pylist()) == {"approve"}


def test_bands_of_the_warehouse_are_read_again_after_a_while(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = scorer_of(book)
    assert scorer.score(ASKED, DAY)["band"].to_pylist()[0] != "Any"
    write_policies(book, [(POLICY, date(2007, 1, 1), (("Any", 0.0, 1.000001),))])
    monkeypatch.setattr(application_scorer, "REFRESH_SECONDS", 0.0)
    scorer.refresh()
    assert set(scorer.score(ASKED, DAY)["band"].to_pylist()) == {"Any"}


def test_macro_rows_that_did_not_change_cost_a_scorer_of_long_standing_nothing(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = scorer_of(book)
    before, first = scorer.score(ASKED, DAY), scorer.snapshot().tables
    monkeypatch.setattr(application_scorer, "REFRESH_SECONDS", 0.0)
    scorer.refresh()
    assert scorer.snapshot().tables is not first
    assert scorer.snapshot().tables.macro is first.macro  # the engines know it by its identity
    assert scorer.score(ASKED, DAY).equals(before)


def test_what_is_not_ready_says_the_next_step(book: Book, tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match=r"materialise models/champion .or run `crp train`."):
        scorer_of(replace(book, bundles=BundleStore(tmp_path / "none"))).score(ASKED, DAY)
    with pytest.raises(NotReadyError, match="no policy in force on 1999-12-31"):
        scorer_of(book).score(ASKED, date(1999, 12, 31))
    with pytest.raises(NotReadyError, match="holds no policy"):
        scorer_of(replace(book, policies=PolicyBook(tmp_path / "none"))).refresh()


def test_threads_that_score_through_promotions_see_one_champion_per_call(book: Book) -> None:
    scorer = scorer_of(book)
    scorer.refresh()
    bundles = [replace(train(book, seed=seed), intake_sql=INTAKE_SQL) for seed in (4, 5)]
    expected = {scorer.bundle.sha256: scorer.score(ASKED, DAY)}
    for bundle in bundles:
        crown(book, bundle)
        scorer.refresh()
        expected[bundle.sha256] = scorer.score(ASKED, DAY)
    faults: list[object] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            found = scorer.score(ASKED, DAY)
            if not found.equals(expected[found["bundle_sha"][0].as_py()]):
                faults.append(found)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for bundle in bundles * 3:
        crown(book, bundle)
        scorer.refresh()
    done.set()
    for thread in threads:
        thread.join()
    assert faults == []
