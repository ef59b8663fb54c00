"""Bundles are what they were, and the pointer is never half written."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from credit_risk_platform.adapters.bundles import BundleNotFoundError, BundleStore, Promotion, StaleChampionError
from credit_risk_platform.domain.bundle import BundleError, ModelBundle
from credit_risk_platform.domain.calibration import Calibrator
from credit_risk_platform.domain.models.frame import FeatureTable, InputFeature
from credit_risk_platform.domain.models.zoo import model_class

METRICS = {"out_of_time": {"auc": 0.7}}


def make_bundle(seed: int) -> ModelBundle:
    rng = np.random.default_rng(seed)
    features = (InputFeature("dti", "numeric", 1),)
    table = FeatureTable.from_arrow(pa.table({"dti": rng.random(200)}), features)
    model = model_class("logistic_regression")().fit(table, rng.random(200) < 0.3)
    return ModelBundle("logistic_regression", model, Calibrator(), features, "select 1", "f" * 64, "v1", seed)


@pytest.fixture(scope="module")
def made() -> list[ModelBundle]:
    return [make_bundle(seed) for seed in range(3)]


@pytest.fixture
def store(tmp_path: Path) -> BundleStore:
    return BundleStore(tmp_path / "models")


def promotion(sha: str, version: int = 1, **changes: str) -> Promotion:
    fields = {
        "promoted_at": "2026-01-01T00:00:00+00:00",
        "run_id": "r",
        "promoted_by": "me",
        "reason": "why",
        **changes,
    }
    return Promotion("logistic_regression", version, sha, **fields)


def test_a_bundle_comes_back_as_it_went_in(store, made):
    sha = store.put(made[0].to_bytes())
    assert sha == made[0].sha256
    assert store.load(sha).to_bytes() == made[0].to_bytes()


def test_putting_twice_stores_once(store, made):
    shas = {store.put(made[0].to_bytes()) for _ in range(2)}
    assert [path.stem for path in (store.root / "bundles").iterdir()] == list(shas)


def test_a_tampered_bundle_is_refused_and_putting_it_again_mends_it(store, made):
    sha = store.put(made[0].to_bytes())
    store.path(sha).write_bytes(store.path(sha).read_bytes()[:-1] + b"x")
    with pytest.raises(BundleError, match="was changed after it was stored"):
        store.load(sha)
    store.put(made[0].to_bytes())
    assert store.load(sha).name == "logistic_regression"


def test_another_bundle_under_the_name_of_one_is_refused(store, made):
    sha = store.put(made[0].to_bytes())
    store.path(sha).write_bytes(made[1].to_bytes())
    with pytest.raises(BundleError, match="was changed"):
        store.load(sha)


@pytest.mark.parametrize("name", ["../champion", "", "A" * 64, "a" * 63])
def test_what_is_no_hash_never_becomes_a_path(store, name):
    with pytest.raises(BundleNotFoundError, match="64 hex digits"):
        store.get(name)


def test_an_absent_bundle_says_what_to_do(store):
    with pytest.raises(BundleNotFoundError, match="materialise the training group"):
        store.get("0" * 64)


def test_there_is_no_champion_before_the_first_promotion(store):
    assert store.pointer() is None
    assert store.champion() is None


def test_the_pointer_keeps_who_when_why_and_all_that_came_before(store, made):
    first, second = (store.put(bundle.to_bytes()) for bundle in made[:2])
    store.promote(promotion(first), METRICS, replaces=None)
    store.promote(promotion(second, 2, promoted_by="you"), METRICS, replaces=first)
    stored = json.loads(store.pointer_file.read_text())
    assert (stored["name"], stored["version"], stored["sha"], stored["promoted_by"]) == (
        "logistic_regression", 2, second, "you",
    )  # fmt: skip
    assert stored["metrics"] == METRICS
    assert [entry["sha"] for entry in stored["history"]] == [first, second]
    assert store.champion().sha256 == second


def test_a_promotion_weighed_against_a_former_champion_is_refused(store, made):
    shas = [store.put(bundle.to_bytes()) for bundle in made]
    store.promote(promotion(shas[0]), METRICS, replaces=None)
    before = store.pointer_file.read_bytes()
    with pytest.raises(StaleChampionError, match="was promoted meanwhile"):
        store.promote(promotion(shas[1]), METRICS, replaces=None)
    assert store.pointer_file.read_bytes() == before


def test_of_two_promotions_at_once_one_wins_and_the_other_is_told(store, made):
    shas = [store.put(bundle.to_bytes()) for bundle in made[:2]]
    outcomes: list[object] = []

    def promote(sha: str) -> None:
        try:
            outcomes.append(BundleStore(store.root).promote(promotion(sha), METRICS, replaces=None).sha)
        except StaleChampionError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=promote, args=(sha,)) for sha in shas]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    winners = [outcome for outcome in outcomes if isinstance(outcome, str)]
    assert len(winners) == 1
    assert len(outcomes) == 2
    assert store.pointer().sha == winners[0]


def test_a_bundle_that_is_not_here_or_damaged_cannot_become_champion(store, made):
    with pytest.raises(BundleNotFoundError):
        store.promote(promotion("0" * 64), METRICS, replaces=None)
    sha = store.put(made[0].to_bytes())
    store.path(sha).write_bytes(b"nothing")
    with pytest.raises(BundleError):
        store.promote(promotion(sha), METRICS, replaces=None)
    assert store.pointer() is None


def test_a_crash_while_writing_leaves_the_old_champion(store, made, monkeypatch):
    first, second = (store.put(bundle.to_bytes()) for bundle in made[:2])
    store.promote(promotion(first), METRICS, replaces=None)

    def fail(*_args: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        store.promote(promotion(second, 2), METRICS, replaces=first)
    monkeypatch.undo()
    assert store.pointer().sha == first
    assert sorted(path.name for path in store.root.iterdir()) == ["bundles", "champion.json", "champion.lock"]


def test_an_earlier_champion_is_found_by_version_or_by_hash(store, made):
    first, second = (store.put(bundle.to_bytes()) for bundle in made[:2])
    store.promote(promotion(first, 4), METRICS, replaces=None)
    store.promote(promotion(second, 7), METRICS, replaces=first)
    assert store.earlier("4").sha == first
    assert store.earlier(second[:8]).version == 7
    with pytest.raises(BundleNotFoundError, match=r"Roll back to one of: 4 .* 7 "):
        store.earlier("5")


def test_what_a_rollback_withdrew_stays_withdrawn_until_somebody_puts_it_back(store, made):
    first, second = (store.put(bundle.to_bytes()) for bundle in made[:2])
    store.promote(promotion(first), METRICS, replaces=None)
    store.promote(promotion(second, 2), METRICS, replaces=first)
    rolled = store.promote(replace(promotion(first), withdraws=second), METRICS, replaces=second)
    assert rolled.withdrawn == {second}
    assert store.promote(promotion(second, 2), METRICS, replaces=first).withdrawn == set()


def test_two_roles_share_the_bundles_and_neither_moves_the_others_champion(store, made):
    first, second = (store.put(bundle.to_bytes()) for bundle in made[:2])
    behaviour = BundleStore(store.root, role="behaviour")
    store.promote(promotion(first), METRICS, replaces=None)
    assert behaviour.pointer() is None
    behaviour.promote(promotion(second), METRICS, replaces=None)
    assert (store.champion().sha256, behaviour.champion().sha256) == (first, second)
    assert behaviour.pointer_file.name == "behaviour_champion.json"
    with pytest.raises(StaleChampionError, match="materialise models/behaviour_champion again"):
        behaviour.promote(promotion(first), METRICS, replaces=None)
