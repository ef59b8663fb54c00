"""A split experiment at work: each applicant has one arm wherever he asks, and no challenger stops the champion."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from credit_risk_platform.adapters.application_scorer import ApplicationScorer
from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.experiment_store import ExperimentStore
from credit_risk_platform.adapters.ledger_writer import Stamp
from credit_risk_platform.adapters.streaming.applications import ApplicationScoring
from credit_risk_platform.adapters.streaming.batch import BatchContext, NotReadyError
from credit_risk_platform.adapters.streaming.intake import Intake
from credit_risk_platform.adapters.tokens import load_token_key
from credit_risk_platform.cli.main import app
from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.contracts.messages import APPLICATIONS
from credit_risk_platform.domain.experiments import Arm, Experiment, Mode
from credit_risk_platform.serving import champion
from tests.api_book import BATCH, PREDICT, api, drained, rows, wait_until
from tests.scoring_book import DAY, Book, crown, open_book, train
from tests.serving.test_same_answer import TODAY, data
from tests.serving.test_same_row import records_of
from tests.stream_book import INTAKE_SQL, new_home

NOW = datetime(2026, 7, 1)
PEOPLE = 2_000
SHARE = 0.3
ASKED = pa.table(
    {
        "loan_id": [str(k) for k in range(PEOPLE + 2)],
        "subject_token": [*(f"person-{k}" for k in range(PEOPLE)), None, None],
        "application_date": pa.array([DAY] * (PEOPLE + 2), pa.date32()),
        "annual_inc": np.linspace(20_000, 90_000, PEOPLE + 2).round(),
        "dti": np.linspace(60, 1, PEOPLE + 2).round(1),
        "loan_amnt": [10_000.0 + k % 7 for k in range(PEOPLE + 2)],
        "revol_util": [float(k % 100) for k in range(PEOPLE + 2)],
        "purpose": ["car", "house"] * (PEOPLE // 2 + 1),
    }
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    book = open_book(new_home(tmp_path_factory.mktemp("split") / "home"))
    yield book
    book.close()


def experiments_of(store: ExperimentStore) -> Path:
    return store.bundles.root / "experiments.json"


@pytest.fixture(scope="module")
def rival(made: Book) -> ModelBundle:
    return replace(train(made, seed=30), intake_sql=INTAKE_SQL)


@pytest.fixture
def book(made: Book, rival: ModelBundle, tmp_path: Path) -> Book:
    """The module's marts; a store of the test's own with champion and challenger."""
    own = replace(made, bundles=BundleStore(tmp_path / "models"))
    crown(own, made.champion)
    own.bundles.put(rival.to_bytes())
    return own


def scorer_of(book: Book) -> ApplicationScorer:
    return ApplicationScorer(book.warehouse, book.bundles, book.policies)


def begin(book: Book, rival: ModelBundle, **more) -> Experiment:
    given = {"id": "halves", "mode": Mode.SPLIT, "started": NOW, "share": SHARE} | more
    reigning = book.champion.sha256
    return ExperimentStore(book.bundles).start(Experiment(challenger_sha=rival.sha256, champion_sha=reigning, **given))


def arms(experiment: Experiment, tokens: list[str | None]) -> list[str]:
    """The bundle each applicant is to be scored by."""
    theirs = (token is not None and experiment.arm(token) is Arm.CHALLENGER for token in tokens)
    return [experiment.challenger_sha if his else experiment.champion_sha for his in theirs]


def test_an_applicant_keeps_his_arm_in_any_batch_and_is_scored_as_that_model_scores(book, rival, tmp_path):
    by_champion = scorer_of(book).score(ASKED, DAY)
    crowned = replace(book, bundles=BundleStore(tmp_path / "rival"))
    crown(crowned, rival)
    by_rival = scorer_of(crowned).score(ASKED, DAY)
    experiment = begin(book, rival)
    scorer = scorer_of(book)
    scored = scorer.score(ASKED, DAY)
    shas = scored["bundle_sha"].to_pylist()
    assert shas == arms(experiment, ASKED["subject_token"].to_pylist())
    assert shas[-2:] == [book.champion.sha256] * 2  # nobody's application is the champion's
    share = shas.count(rival.sha256) / PEOPLE
    assert abs(share - SHARE) < 4 * (SHARE * (1 - SHARE) / PEOPLE) ** 0.5
    theirs = np.array([sha == rival.sha256 for sha in shas])
    assert scored.filter(pa.array(theirs)).equals(by_rival.filter(pa.array(theirs)))
    assert scored.filter(pa.array(~theirs)).equals(by_champion.filter(pa.array(~theirs)))
    mixed = np.random.default_rng(1).permutation(ASKED.num_rows)
    pieces = [scorer.score(ASKED.take(pa.array(part)), DAY) for part in np.array_split(mixed, 7)]
    alone = [scorer.score(ASKED.slice(k, 1), DAY) for k in range(10)]
    assert pa.concat_tables(pieces).take(pa.array(np.argsort(mixed))).equals(scored)
    assert pa.concat_tables(alone).equals(scored.slice(0, 10))
    nameless = scorer.score(ASKED.drop_columns("subject_token"), DAY)
    assert set(nameless["bundle_sha"].to_pylist()) == {book.champion.sha256}


def test_one_snapshot_scores_all_pieces_of_a_call_whatever_begins_amid_them(book, rival):
    scorer = scorer_of(book)
    before = scorer.snapshot()
    begin(book, rival)
    scorer.refresh()
    assert set(before.score(ASKED, DAY)["bundle_sha"].to_pylist()) == {book.champion.sha256}
    amid = scorer.snapshot()
    first = amid.score(ASKED, DAY)
    assert [bundle.sha256 for bundle in amid.bundles] == [book.champion.sha256, rival.sha256]
    ExperimentStore(book.bundles).stop(NOW, "seen enough")
    scorer.refresh()
    assert amid.score(ASKED, DAY).equals(first)


def test_a_stop_gives_everyone_back_to_the_champion_even_when_nothing_else_can_be_renewed(book, rival):
    scorer = scorer_of(book)
    alone = scorer.score(ASKED, DAY)
    begin(book, rival)
    scorer.refresh()
    assert not scorer.score(ASKED, DAY).equals(alone)
    ExperimentStore(book.bundles).stop(NOW, "harm seen")
    book.bundles.pointer_file.rename(book.bundles.pointer_file.with_suffix(".gone"))
    with pytest.raises(NotReadyError, match="no champion"):
        scorer.refresh()
    assert scorer.score(ASKED, DAY).equals(alone)


def test_a_challenger_in_the_shadow_decides_nothing(book, rival):
    alone = scorer_of(book).score(ASKED, DAY)
    begin(book, rival, mode=Mode.SHADOW, share=1.0)
    assert scorer_of(book).score(ASKED, DAY).equals(alone)


def _bundle_gone(book: Book, rival: ModelBundle) -> None:
    book.bundles.path(rival.sha256).unlink()


def _bundle_damaged(book: Book, rival: ModelBundle) -> None:
    book.bundles.path(rival.sha256).write_bytes(b"x")


def _file_damaged(book: Book, _: ModelBundle) -> None:
    experiments_of(ExperimentStore(book.bundles)).write_text("[{]")


def _features_that_do_not_fit(book: Book, rival: ModelBundle) -> None:
    """Its feature SQL does not make what its model reads."""
    other = replace(rival, feature_sql=rival.feature_sql.replace("as dti", "as other"))
    file = experiments_of(ExperimentStore(book.bundles))
    file.write_text(file.read_text().replace(rival.sha256, book.bundles.put(other.to_bytes())))


def _without_background(book: Book, rival: ModelBundle) -> None:
    store = ExperimentStore(book.bundles)
    sha = book.bundles.put(replace(rival, background=None).to_bytes())
    experiments_of(store).write_text(experiments_of(store).read_text().replace(rival.sha256, sha))


def _promoted(book: Book, rival: ModelBundle) -> None:
    """The challenger won, and nobody ended the experiment."""
    crown(book, rival)


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (_bundle_gone, "no bundle"),
        (_bundle_damaged, "changed after it was stored"),
        (_file_damaged, "is damaged"),
        (_features_that_do_not_fit, 'column "dti" not found'),
        (_without_background, "cannot explain"),
        (_promoted, "it is the champion now"),
    ],
)
def test_a_broken_challenger_leaves_the_champion_deciding_and_is_told_once(book, rival, harm, told, caplog):
    begin(book, rival)
    harm(book, rival)
    scorer = scorer_of(book)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            scorer.refresh()
    assert set(scorer.score(ASKED, DAY)["bundle_sha"].to_pylist()) == {book.champion.sha256}
    assert told in scorer.trouble
    assert "the champion decides on everyone" in scorer.trouble
    assert [record.getMessage() for record in caplog.records] == [scorer.trouble]


def test_a_challenger_mended_decides_again_and_nothing_is_wrong_any_more(book, rival, monkeypatch):
    begin(book, rival)
    _bundle_gone(book, rival)
    scorer = scorer_of(book)
    scorer.refresh()
    book.bundles.put(rival.to_bytes())
    monkeypatch.setattr("credit_risk_platform.adapters.application_scorer.REFRESH_SECONDS", 0.0)
    scorer.refresh()
    assert scorer.trouble == ""
    assert rival.sha256 in scorer.score(ASKED, DAY)["bundle_sha"].to_pylist()


def test_by_http_alone_or_in_a_batch_or_by_kafka_a_customer_has_the_same_arm_until_it_is_stopped(
    made, rival, monkeypatch
):
    def crp(*arguments: str) -> str:
        return CliRunner().invoke(app, ["experiment", *arguments, "--home", str(made.home)]).output

    def by_http(name: str) -> set[str]:
        """Versions that answer the first twenty, asked anew."""
        told = client.post(BATCH, json={"customers": [{**one, "id": f"{name}-{one['id']}"} for one in sent[:20]]})
        return {result["score"]["model_version"] for result in told.json()["results"]}

    monkeypatch.setattr(champion, "LOOK_SECONDS", 0.2)
    made.bundles.put(rival.to_bytes())
    sent = data()[:120]
    with api(made.home) as client:
        begun = crp("start", "winter", "--challenger", rival.sha256[:12], "--mode", "split", "--share", "0.5")
        assert "winter: split for 50% of the applicants, runs" in begun
        experiment = ExperimentStore(made.bundles).running()
        asked = iter(range(1_000))
        wait_until(lambda: by_http(f"start-{next(asked)}") == {"v2", rival.sha256[:12]})
        alone = [client.post(PREDICT, json={**one, "id": f"alone-{one['id']}"}).json() for one in sent[:15]]
        together = client.post(BATCH, json={"customers": sent}).json()["results"]
        assert [told["model_version"] for told in alone] == [
            result["score"]["model_version"] for result in together[:15]
        ]
        by_kafka(made, sent)
        drained(client)
        crp("stop")
        wait_until(lambda: by_http(f"stop-{next(asked)}") == {"v2"})
        _write_one_without_bundle(made, experiment)
        wait_until(lambda: client.get("/readyz").json()["notes"] != [])
        assert "no bundle" in client.get("/readyz").json()["notes"][0]
        assert by_http("broken") == {"v2"}
    found = rows(
        made.warehouse,
        "select subject_token, list(distinct topic) as topics, list(distinct bundle_sha) as shas "
        "from gold.application_scores where loan_id not similar to '(start|stop|broken)-.*' group by all",
    )
    assert len(found) == 120
    assert {len(row["topics"]) for row in found} == {2}
    assert [row["shas"] for row in found] == [
        [sha] for sha in arms(experiment, [row["subject_token"] for row in found])
    ]


def by_kafka(book: Book, sent: list[dict[str, object]]) -> None:
    """The stream's own intake, handler and write."""
    accepted = Intake(APPLICATIONS, load_token_key(book.home / ".secrets")).judge(records_of(sent), TODAY).accepted
    now = datetime(2026, 7, 1, 12)
    prepared = ApplicationScoring(scorer_of(book)).prepare(
        accepted, BatchContext(Stamp(now, "stream", "[]", None, "d" * 64), now)
    )
    assert prepared.bundle_sha == book.champion.sha256
    with book.warehouse.transaction(prepared.staged) as transaction:
        prepared.write(transaction)


def _write_one_without_bundle(book: Book, experiment: Experiment) -> None:
    """As somebody would who removes a bundle that an experiment uses."""
    store = ExperimentStore(book.bundles)
    store.start(replace(experiment, id="spring"))
    experiments_of(store).write_text(experiments_of(store).read_text().replace(experiment.challenger_sha, "e" * 64))
