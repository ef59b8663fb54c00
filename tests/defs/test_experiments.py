"""Champion against challenger on 10,000 decided applications: the shadow is complete, and never acts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from typer.testing import CliRunner

from credit_risk_platform.adapters import decisions, experiment_readout, policy_record, shadow
from credit_risk_platform.adapters.experiment_store import ExperimentStore
from credit_risk_platform.adapters.ledger import LEDGER
from credit_risk_platform.catalog import Gold
from credit_risk_platform.cli.main import app
from credit_risk_platform.defs.decisions import definitions
from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.experiments import Arm, Experiment, ExperimentError, Mode, StopRule, lot
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.scoring import predict
from credit_risk_platform.settings import Settings
from tests.decision_book import NOON, applied, challenger, make_decision_book, write
from tests.scoring_book import DAY, Book

LOANS = 10_000
NOW = NOON + timedelta(hours=6)
RULE = StopRule(max_sample=5_000)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    made = make_decision_book(tmp_path_factory.mktemp("book"), LOANS)
    made.warehouse.append_missing("gold.fraud_signals", _no_signals(), ["event_id"])
    policy_record.record(made.warehouse, [made.policy()], NOON)
    decisions.decide(made.warehouse)
    yield made
    made.close()


@pytest.fixture(scope="module")
def rival(book: Book) -> ModelBundle:
    return challenger(book)


@pytest.fixture
def store(book: Book) -> ExperimentStore:
    found = ExperimentStore(book.bundles)
    found.bundles.files.remove("experiments.json")
    return found


def experiment(book: Book, rival: ModelBundle, **more) -> Experiment:
    given = {"id": "winter", "mode": Mode.SHADOW, "started": NOON - timedelta(hours=1), "stop_rule": RULE} | more
    return Experiment(challenger_sha=rival.sha256, champion_sha=book.champion.sha256, **given)


def run_shadow(book: Book, found: Experiment) -> int:
    return shadow.score(book.warehouse, book.bundles, {"2007.1": book.policy()}, found, NOW)


def test_ten_thousand_shadow_scores_change_no_decision(book: Book, rival: ModelBundle) -> None:
    before = decisions.version(book.warehouse), book.warehouse.query(f"select bit_xor(hash(l)) as h from {LEDGER} as l")
    found = experiment(book, rival)
    assert run_shadow(book, found) == LOANS
    assert decisions.decide(book.warehouse) == 0
    assert before == (
        decisions.version(book.warehouse), book.warehouse.query(f"select bit_xor(hash(l)) as h from {LEDGER} as l")
    )  # fmt: skip
    tokens = book.warehouse.query(f"select distinct subject_token as t from {decisions.TABLE}")["t"].to_pylist()
    assert {found.arm(token) for token in tokens} == {Arm.CHAMPION}
    assert run_shadow(book, found) == 0


def test_shadow_scores_are_what_the_challenger_says_of_the_very_inputs(book: Book, rival: ModelBundle) -> None:
    found = experiment(book, rival)
    run_shadow(book, found)
    rows = book.warehouse.query(
        f"select * from {shadow.SCORES} join {LEDGER} using (score_id) where experiment_id = 'winter' order by score_id"
    )
    frame = FeatureTable.from_inputs(rows["numeric_inputs"], rows["categorical_inputs"], rival.features)
    pd = predict(rival, frame)
    assert np.array_equal(rows["challenger_pd"].to_numpy(), pd)
    assert rows["challenger_decision"].to_pylist() == book.policy().decide(frame, pd).decision.to_pylist()
    assert rows["champion_pd"].to_pylist() == rows["pd"].to_pylist()
    assert rows["champion_decision"].to_pylist() == rows["decision"].to_pylist()


def test_the_readout_tells_sample_rates_effect_and_what_the_stop_rule_says(book: Book, rival: ModelBundle) -> None:
    found = experiment(book, rival)
    run_shadow(book, found)
    row = experiment_readout.readout(book.warehouse, found)
    pairs = book.warehouse.query(f"select * from {shadow.SCORES} where experiment_id = 'winter'").to_pylist()
    ours = np.mean([pair["champion_decision"] == "approve" for pair in pairs])
    theirs = np.mean([pair["challenger_decision"] == "approve" for pair in pairs])
    assert row["sample"] == LOANS
    assert (row["champion_rate"], row["challenger_rate"]) == (pytest.approx(ours), pytest.approx(theirs))
    assert row["low"] < row["difference"] < row["high"]
    assert row["disagreements"] > 100
    assert row["difference"] == pytest.approx(theirs - ours)
    gap = np.array([pair["challenger_pd"] - pair["champion_pd"] for pair in pairs])
    reach = 1.959964 * gap.std(ddof=1) / LOANS**0.5
    assert row["mean_pd_difference"] == pytest.approx(gap.mean())
    assert row["pd_difference_high"] == pytest.approx(gap.mean() + reach)
    assert row["verdict"].startswith("stop:")
    large = experiment_readout.readout(book.warehouse, replace(found, stop_rule=StopRule(max_sample=20_000)))
    assert large["verdict"] == "go on: 10,000 of 20,000 applications"


def test_the_sql_draws_the_same_lot_as_the_domain(book: Book, rival: ModelBundle) -> None:
    run_shadow(book, experiment(book, rival, id="lots", share=0.1))
    drawn = book.warehouse.query(f"select subject_token, arm from {shadow.SCORES} where experiment_id = 'lots'")
    for row in drawn.to_pylist():
        assert (row["arm"] == Arm.CHALLENGER) == (lot("lots", row["subject_token"]) < 0.1)


def test_a_split_is_read_from_who_really_decided(book: Book, rival: ModelBundle) -> None:
    """All were scored by the champion: those drawn for the challenger do not count until it decides on them."""
    row = experiment_readout.readout(book.warehouse, experiment(book, rival, id="split", mode=Mode.SPLIT, share=0.2))
    assert (row["challenger_sample"], row["p_value"]) == (0, None)
    assert row["champion_sample"] == pytest.approx(0.8 * LOANS, rel=0.03)


def test_a_split_compares_the_arms_as_they_decided(book: Book, rival: ModelBundle) -> None:
    day = DAY + timedelta(days=1)
    found = experiment(book, rival, id="halves", mode=Mode.SPLIT, share=0.5, started=datetime(2026, 7, 1))
    by_champion, by_rival = book.scores(day, 2_000), book.scores(day, 2_000, rival)
    tokens = by_champion["subject_token"].to_pylist()
    theirs = pa.array([found.arm(token) is Arm.CHALLENGER for token in tokens])
    scores = pa.concat_tables([by_champion.filter(pc.invert(theirs)), by_rival.filter(theirs)])
    rows = [applied(300_000 + k, loan_id=loan_id) for k, loan_id in enumerate(scores["loan_id"].to_pylist())]
    write(book, scores, rows, day, "split")
    assert decisions.decide(book.warehouse) == 2_000
    row = experiment_readout.readout(book.warehouse, found)
    assert (row["champion_sample"], row["challenger_sample"]) == (
        2_000 - sum(theirs.to_pylist()),
        sum(theirs.to_pylist()),
    )
    approved = pc.equal(by_rival.filter(theirs)["decision"], "approve").to_pylist()
    assert row["challenger_rate"] == pytest.approx(np.mean(approved))
    assert row["low"] < row["difference"] < row["high"]
    assert row["verdict"] == "go on: 2,000 of 5,000 applications"


def test_what_was_decided_before_the_start_or_after_the_end_is_not_in_it(book: Book, rival: ModelBundle) -> None:
    assert run_shadow(book, experiment(book, rival, id="late", started=NOON + timedelta(days=30))) == 0
    assert run_shadow(book, experiment(book, rival, id="over", ended=NOON - timedelta(minutes=1))) == 0


def test_one_experiment_at_a_time_and_no_name_twice(book: Book, rival: ModelBundle, store: ExperimentStore) -> None:
    assert store.running() is None
    first = store.start(experiment(book, rival))
    assert store.running() == first == ExperimentStore(book.bundles).all()[0]
    with pytest.raises(ExperimentError, match="winter is running"):
        store.start(experiment(book, rival, id="spring"))
    ended = store.stop(NOW, "enough seen")
    assert (ended.ended, ended.ended_because, store.running()) == (NOW, "enough seen", None)
    with pytest.raises(ExperimentError, match="take another id"):
        store.start(experiment(book, rival))
    with pytest.raises(ExperimentError, match="no experiment is running"):
        store.stop(NOW, "")


def test_a_challenger_that_reads_other_features_is_refused(book: Book, rival: ModelBundle, store) -> None:
    other = replace(rival, features=rival.features[:-1])
    book.bundles.put(other.to_bytes())
    with pytest.raises(ExperimentError, match="revolving_utilisation"):
        store.start(experiment(book, other))
    with pytest.raises(ExperimentError, match="no bundle"):
        store.start(replace(experiment(book, rival), challenger_sha="e" * 64))


def test_the_command_starts_shows_and_stops(book: Book, rival: ModelBundle, store: ExperimentStore) -> None:
    def crp(*arguments: str):
        return CliRunner().invoke(app, ["experiment", *arguments, "--home", str(book.home)])

    assert "No experiment" in crp("status").output
    begun = crp("start", "spring", "--challenger", rival.sha256[:12], "--max-sample", "800")
    assert begun.exit_code == 0, begun.output
    assert "spring: shadow, runs" in begun.output
    (shown,) = json.loads(crp("status", "--json").output)
    assert (shown["challenger_sha"], shown["stop_rule"]["max_sample"]) == (rival.sha256, 800)
    assert crp("start", "summer", "--challenger", "beef").exit_code == 1
    assert "too old" in crp("start", "summer", "--challenger", rival.sha256, "--mode", "split").output  # no intake SQL
    assert "ended" in crp("stop", "--because", "seen enough").output
    assert crp("stop").exit_code == 1


def test_the_assets_follow_the_running_experiment(book: Book, rival: ModelBundle, store: ExperimentStore) -> None:
    store.start(experiment(book, rival, id="assets"))
    settings = Settings(home=book.home)
    result = dg.materialize(
        list(definitions(settings).assets or []),
        selection=[Gold.SHADOW_SCORES, Gold.EXPERIMENT_READOUT],
        resources={"warehouse": book.warehouse, "bundles": book.bundles, "policies": book.policies},
    )
    shown = {
        event.asset_key: {k: v.value for k, v in event.materialization.metadata.items()}
        for event in result.get_asset_materialization_events()
    }
    assert shown[Gold.SHADOW_SCORES]["new"] == book.warehouse.count(decisions.TABLE)
    assert "| approve | approve |" in shown[Gold.SHADOW_SCORES]["decisions_of_both"]
    assert "assets" in shown[Gold.EXPERIMENT_READOUT]["experiments"]
    assert "verdict: stop" in shown[Gold.EXPERIMENT_READOUT]["latest"]
    assert isinstance(store.all()[0].started, datetime)


def _no_signals():
    from credit_risk_platform.adapters.fraud_signals import SCHEMA

    return SCHEMA.empty_table()
