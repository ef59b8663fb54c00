"""A PD is multiplied with money: its level must be right, never certain, and the same tomorrow."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_risk_platform.domain.calibration import (
    CLIP,
    CalibrationError,
    Calibrator,
    Method,
    fit_calibrator,
    intercept_shift,
    log_loss,
    logistic_line,
    logit,
)
from credit_risk_platform.domain.metrics import ece
from credit_risk_platform.domain.models.base import sigmoid


def sample(rows: int = 8_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """True PDs with mean about 12 %, and outcomes drawn from them."""
    rng = np.random.default_rng(seed)
    p = rng.beta(1.5, 11, rows)
    return p, (rng.random(rows) < p).astype(np.float64)


STEP = Calibrator(Method.ISOTONIC, knots=(0.1, 0.3, 0.6), levels=(0.02, 0.05, 0.4))
PLATT = Calibrator(Method.PLATT, intercept=-1.25, slope=0.8)


def test_a_class_weight_of_six_is_taken_out_again():
    p, y = sample()
    inflated = 6 * p / (6 * p + 1 - p)
    calibrator = fit_calibrator(inflated, y)
    assert calibrator.method is Method.PLATT
    assert calibrator.slope == pytest.approx(1.0, abs=0.1)
    assert calibrator.intercept == pytest.approx(-np.log(6), abs=0.15)
    assert calibrator.apply(inflated).mean() == pytest.approx(y.mean(), rel=0.001)
    assert ece(y, calibrator.apply(inflated)) < 0.02 < ece(y, inflated)


def test_probabilities_that_are_right_already_are_left_nearly_alone():
    p, y = sample()
    calibrator = fit_calibrator(p, y)
    assert np.abs(calibrator.apply(p) - p).max() < 0.03


def test_a_bend_no_line_can_follow_gets_isotonic():
    p, y = sample(20_000)
    bent = np.where(p < 0.1, p / 10, 0.5 + p / 2)
    assert fit_calibrator(bent, y).method is Method.ISOTONIC


def test_the_choice_is_the_least_held_out_loss_and_is_kept_for_the_record():
    p, y = sample()
    calibrator = fit_calibrator(p**2, y)
    losses = dict(calibrator.log_loss)
    assert set(losses) == {"identity", "platt", "isotonic"}
    assert str(calibrator.method) == min(losses, key=losses.__getitem__)


def test_mean_pd_on_validation_stays_within_5_percent_of_the_observed_rate():
    for seed in range(5):
        p, y = sample(4_000, seed)
        assert fit_calibrator(np.sqrt(p), y).apply(np.sqrt(p)).mean() == pytest.approx(y.mean(), rel=0.05)


@pytest.mark.parametrize("calibrator", [Calibrator(), PLATT, STEP])
def test_no_pd_is_ever_certain(calibrator):
    pd = calibrator.apply(np.array([0.0, 1e-12, 0.5, 1.0]))
    assert pd.min() >= CLIP
    assert pd.max() <= 1 - CLIP


def test_isotonic_walks_straight_between_its_knots():
    assert STEP.apply(np.array([0.0, 0.1, 0.2, 0.45, 0.6, 0.9])).tolist() == pytest.approx(
        [0.02, 0.02, 0.035, 0.225, 0.4, 0.4]
    )


def test_platt_by_hand():
    assert PLATT.apply(np.array([0.5]))[0] == pytest.approx(1 / (1 + np.exp(1.25)))


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=50), st.sampled_from([Calibrator(), PLATT, STEP]))
def test_a_pd_does_not_depend_on_the_batch_and_never_falls_with_the_score(scores, calibrator):
    array = np.array(scores)
    whole = calibrator.apply(array)
    assert whole.tobytes() == np.concatenate([calibrator.apply(array[k : k + 1]) for k in range(array.size)]).tobytes()
    assert (np.diff(calibrator.apply(np.sort(array))) >= 0).all()


@pytest.mark.parametrize("bend", [lambda p: p, lambda p: p**2, lambda p: np.where(p < 0.1, p / 10, 0.5 + p / 2)])
def test_json_gives_back_the_same_bits_and_fitting_repeats_itself(bend):
    p, y = sample()
    calibrator = fit_calibrator(bend(p), y)
    again = Calibrator.from_json(calibrator.to_json())
    assert again == calibrator == fit_calibrator(bend(p), y)
    assert again.apply(bend(p)).tobytes() == calibrator.apply(bend(p)).tobytes()
    assert json.loads(calibrator.to_json())["method"] == str(calibrator.method)


@pytest.mark.parametrize("y", [np.zeros(100), np.eye(1, 100)[0]])
def test_too_few_bad_loans_to_calibrate_is_an_error_not_a_guess(y):
    with pytest.raises(CalibrationError, match="good and bad loans in each of 5 folds"):
        fit_calibrator(np.linspace(0.1, 0.9, 100), y)


def test_a_bad_rate_half_again_as_high_asks_for_the_log_of_the_odds_ratio():
    p = np.full(10_000, 0.10)
    y = (np.arange(10_000) < 1_500).astype(float)
    assert intercept_shift(p, y) == pytest.approx(np.log((0.15 / 0.85) / (0.10 / 0.90)))
    mended = Calibrator().shifted(intercept_shift(p, y))
    assert mended.apply(p).mean() == pytest.approx(0.15)
    with pytest.raises(CalibrationError, match="fit it again"):
        STEP.shifted(0.1)


def test_the_line_is_the_maximum_of_the_likelihood_as_scikit_learn_finds_it():
    from sklearn.linear_model import LogisticRegression

    p, y = sample()
    x = 0.5 * logit(p) + 0.3
    intercept, slope = logistic_line(x, y)
    oracle = LogisticRegression(C=np.inf, tol=1e-12, solver="newton-cholesky").fit(x[:, None], y)
    assert (intercept, slope) == pytest.approx((oracle.intercept_[0], oracle.coef_[0, 0]), rel=1e-6)


def test_the_line_ends_on_separable_and_on_constant_scores():
    y = np.array([0.0, 0, 0, 1, 1, 1])
    intercept, slope = logistic_line(np.arange(6.0), y)
    assert slope > 3
    assert np.isfinite(intercept)
    assert sigmoid(np.array(sum(logistic_line(np.ones(4), np.array([0.0, 0, 0, 1]))))) == pytest.approx(0.25, abs=1e-4)


def test_log_loss_by_hand():
    assert log_loss(np.array([0.1, 0.8]), np.array([0, 1])) == pytest.approx(-(np.log(0.9) + np.log(0.8)) / 2)
