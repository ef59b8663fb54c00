"""What explanations compare with: loans just below the cut-off, kept with the model, the same in every copy of it."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from credit_risk_platform.domain.bundle import BACKGROUND, BundleError, ModelBundle
from credit_risk_platform.domain.calibration import Calibrator, Method
from credit_risk_platform.domain.explanation.background import from_bytes, marginal_approvals, over_ranks, to_bytes
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.models.logistic_regression import LogisticRegression
from credit_risk_platform.domain.splits import Split
from credit_risk_platform.domain.training import Labelled, Recipe, to_bundle, train_candidate
from tests.loan_sample import FEATURES, loans, trained


def frame() -> FeatureTable:
    return FeatureTable.from_arrow(loans()[0], FEATURES)


def bundle(background: FeatureTable | None, name: str = "lightgbm") -> ModelBundle:
    return ModelBundle(
        name=name,
        model=trained(name),
        calibrator=Calibrator(Method.PLATT, intercept=-0.2, slope=0.9),
        features=FEATURES,
        feature_sql="select 1",
        training_fingerprint="f" * 64,
        policy_version="2007.1",
        seed=11,
        background=background,
    )


@pytest.fixture(scope="module")
def made() -> ModelBundle:
    return bundle(frame().take(slice(0, 600)))


def test_the_loans_of_a_bundle_lie_evenly_over_the_ranks():
    pd = np.array([0.5, 0.1, 0.9, 0.3, 0.7, 0.1])
    assert over_ranks(pd, 3).tolist() == [1, 3, 2]  # ranks 0, 2 (of 2.5) and 5
    assert over_ranks(pd).tolist() == [1, 5, 3, 0, 4, 2]


def test_marginal_approvals_are_those_nearest_below_the_cutoff():
    pd = np.array([0.05, 0.20, 0.10, 0.14, 0.155, 0.30])
    assert marginal_approvals(pd, 0.155, 2).tolist() == [2, 3]
    assert marginal_approvals(pd, 0.155).tolist() == [0, 2, 3]


def test_where_nobody_was_approved_the_least_risky_stand_in():
    assert marginal_approvals(np.array([0.3, 0.2, 0.4]), 0.1, 2).tolist() == [1, 0]


def test_stored_loans_come_back_to_the_bit_and_are_written_the_same():
    kept = frame().take(slice(0, 300))
    content = to_bytes(kept)
    again = from_bytes(content, FEATURES)
    assert again.numeric.tobytes() == np.ascontiguousarray(kept.numeric).tobytes()
    assert again.categorical_inputs().equals(kept.categorical_inputs())
    assert to_bytes(again) == content


def test_an_opened_bundle_explains_with_the_same_bits(made):
    opened = ModelBundle.from_bytes(made.to_bytes(), made.sha256)
    rows = frame().take(slice(1000, 1200))
    told, again = (copy.explainer_at(0.155).contributions(rows) for copy in (made, opened))
    assert told.tobytes() == again.tobytes()
    assert opened.to_bytes() == made.to_bytes()


def test_other_loans_make_another_bundle(made):
    assert dataclasses.replace(made, background=frame().take(slice(1, 601))).sha256 != made.sha256


def test_a_pd_above_the_cutoff_is_always_explained_by_something(made):
    cutoff, rows = 0.155, frame().take(slice(600, 3000))
    pd = made.calibrator.apply(made.model.predict(rows))
    told = made.explainer_at(cutoff).contributions(rows.take(pd >= cutoff))
    assert len(told) > 50
    assert (told.sum(axis=1) > 0).all()


def test_threads_share_one_explanation_per_cutoff(made):
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(made.explainer_at, [0.1, 0.2] * 20))
    assert len(found) == 2
    assert made.explainer_at(0.1).base < made.explainer_at(0.2).base


def test_a_bundle_from_before_decisions_opens_and_says_what_to_do_when_asked_why():
    old = ModelBundle.from_bytes(bundle(None).to_bytes())
    assert old.background is None
    with pytest.raises(BundleError, match="trained before decisions came; materialise models/champion again"):
        old.explainer_at(0.155)


def test_training_keeps_the_validation_loans_it_calibrated_on():
    _, y, months = loans()
    everything = Labelled(frame(), y, months)
    cuts = {Split.TRAIN: (0, 1200), Split.EARLY_STOP: (1200, 1500), Split.VALIDATION: (1500, 2700)}
    spans = {**cuts, Split.OUT_OF_TIME: (2700, 3000)}

    def rows(splits: tuple[Split, ...], _limit: int | None) -> Labelled:
        return everything.take(np.concatenate([np.arange(*spans[split]) for split in splits]))

    recipe = Recipe(trials=0, bootstrap=2, sample_rows=1_000, seed=1)
    candidate = train_candidate(LogisticRegression, rows, recipe)
    kept = to_bundle(
        candidate, FEATURES, feature_sql="", fingerprint="f", policy_version="2007.1", recipe=recipe, created_from={}
    ).background
    assert kept is not None
    assert kept.rows == 1_000
    pd = candidate.calibrator.apply(candidate.model.predict(kept))
    assert (np.diff(pd) >= 0).all()
    assert set(map(bytes, kept.numeric)) <= set(map(bytes, everything.frame.take(slice(1500, 2700)).numeric))
    assert pd[[0, -1]].tolist() == [f(candidate.predicted[Split.VALIDATION].pd) for f in (min, max)]


def test_the_background_is_a_member_the_manifest_guards(made):
    assert f'"{BACKGROUND}"'.encode() in made.to_bytes()
