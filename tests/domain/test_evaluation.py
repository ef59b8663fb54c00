"""The figures on the model page: right by hand, right by scikit-learn, and with honest intervals."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from credit_risk_platform.domain import evaluation
from credit_risk_platform.domain.curves import calibration_curve, ks_curve, roc_curve
from credit_risk_platform.domain.evaluation import METRICS, Economics, EvaluationError, auc, ece, evaluate

Y = np.array([0.0, 0.0, 1.0, 1.0])
PD = np.array([0.1, 0.4, 0.35, 0.8])
BY_HAND = {
    "auc": 0.75,  # of 4 pairs only (0.35 bad, 0.40 good) stands wrong
    "gini": 0.5,
    "ks": 0.5,  # below 0.35: half the good, none of the bad
    "log_loss": (0.1053605 + 0.5108256 + 1.0498221 + 0.2231436) / 4,  # -ln of 0.9, 0.6, 0.35, 0.8
    "brier": (0.01 + 0.16 + 0.4225 + 0.04) / 4,
    "ece": (0.1 + 0.4 + 0.65 + 0.2) / 4,  # four bins of one row
    "precision": 0.5,  # at 0.38: 0.40 (good) and 0.80 (bad) are declined
    "recall": 0.5,
    "f1": 0.5,
    "accuracy": 0.5,
    "lift_10": 2.0,  # the riskiest 0.4 rows are all bad, against 50 %
    "expected_profit": (0.12 - 0.65) / 4,  # 0.10 (good) and 0.35 (bad) are accepted
}


def draw(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    pd = rng.beta(1.2, 8, rows)
    return (rng.random(rows) < pd).astype(np.float64), pd


def labelled(least: int = 2) -> st.SearchStrategy[list[tuple[int, float]]]:
    """(is bad, PD) of up to 60 loans; PDs in steps of 5 % to have ties."""
    row = st.tuples(st.integers(0, 1), st.integers(1, 19).map(lambda k: k / 20))
    return st.lists(row, min_size=least, max_size=60)


def test_four_loans_by_hand():
    found = evaluate(Y, PD, cutoff=0.38, bootstrap=0)
    assert {name: found[name].value for name in BY_HAND} == pytest.approx(BY_HAND, rel=1e-6)


def test_there_are_fourteen_metrics_and_psi_with_a_reference():
    y, pd = draw(500)
    assert tuple(evaluate(y, pd, cutoff=0.1, bootstrap=2)) == METRICS[:-1]
    assert tuple(evaluate(y, pd, cutoff=0.1, bootstrap=2, reference=pd)) == METRICS


@settings(deadline=None)
@given(labelled())
def test_discrimination_agrees_with_scikit_learn_ties_and_all(rows):
    from sklearn.metrics import brier_score_loss, roc_auc_score
    from sklearn.metrics import roc_curve as oracle_curve

    y, pd = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    assume(0 < y.sum() < y.size)
    found = evaluate(y, pd, cutoff=0.5, bootstrap=0)
    fpr, tpr, _ = oracle_curve(y, pd)
    assert found["auc"].value == pytest.approx(roc_auc_score(y, pd)) == pytest.approx(auc(y, pd))
    assert found["gini"].value == pytest.approx(2 * found["auc"].value - 1, abs=1e-12)
    assert found["ks"].value == pytest.approx(np.abs(tpr - fpr).max()) == pytest.approx(ks_curve(y, pd)[1])
    assert found["brier"].value == pytest.approx(brier_score_loss(y, pd))


@settings(deadline=None)
@given(labelled(), st.floats(0.05, 0.95))
def test_decisions_agree_with_scikit_learn(rows, cutoff):
    from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

    y, pd = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    assume(0 < y.sum() < y.size)
    found = evaluate(y, pd, cutoff=cutoff, bootstrap=0)
    declined = pd >= cutoff
    expected = {
        "precision": precision_score(y, declined, zero_division=0),
        "recall": recall_score(y, declined),
        "f1": f1_score(y, declined),
        "accuracy": accuracy_score(y, declined),
    }
    assert {name: found[name].value for name in expected} == pytest.approx(expected)


@settings(deadline=None)
@given(labelled(4), st.randoms())
def test_the_order_of_rows_has_no_say_even_among_ties(rows, random):
    shuffled = rows.copy()
    random.shuffle(shuffled)
    assume(len({row[0] for row in rows}) == 2)
    first, second = (
        evaluate(np.array([r[0] for r in some]), np.array([r[1] for r in some]), cutoff=0.3, bootstrap=0)
        for some in (rows, shuffled)
    )
    assert {n: m.value for n, m in first.items()} == pytest.approx({n: m.value for n, m in second.items()}, abs=1e-6)


def test_a_model_that_says_nothing_scores_as_one_that_says_nothing():
    found = evaluate(np.tile([0, 0, 0, 1], 100), np.full(400, 0.25), cutoff=0.5, bootstrap=0)
    values = {name: found[name].value for name in ("auc", "ks", "ece", "lift_10", "precision", "recall", "f1")}
    expected = {"auc": 0.5, "ks": 0.0, "ece": 0.0, "lift_10": 1.0, "precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert values == pytest.approx(expected, abs=1e-12)


def test_calibration_slope_tells_overconfidence_and_intercept_tells_the_level():
    y, pd = draw(50_000)
    odds = pd / (1 - pd)
    right = evaluate(y, pd, cutoff=0.1, bootstrap=0)
    steep = evaluate(y, odds**2 / (1 + odds**2), cutoff=0.1, bootstrap=0)
    low = evaluate(y, odds / 2 / (1 + odds / 2), cutoff=0.1, bootstrap=0)
    assert right["calibration_slope"].value == pytest.approx(1.0, abs=0.03)
    assert steep["calibration_slope"].value == pytest.approx(right["calibration_slope"].value / 2, rel=1e-3)
    assert low["calibration_intercept"].value == pytest.approx(np.log(2), abs=0.06)


def test_intervals_are_as_wide_as_theory_says():
    y, pd = draw(20_000)
    found = evaluate(y, pd, cutoff=0.1, bootstrap=400)
    n1, n0, a = y.sum(), (1 - y).sum(), found["auc"].value
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    hanley_mcneil = np.sqrt((a * (1 - a) + (n1 - 1) * (q1 - a * a) + (n0 - 1) * (q2 - a * a)) / (n1 * n0))
    assert (found["auc"].high - found["auc"].low) / (2 * 1.96) == pytest.approx(hanley_mcneil, rel=0.2)
    brier_error = np.std((pd - y) ** 2) / np.sqrt(y.size)
    assert (found["brier"].high - found["brier"].low) / (2 * 1.96) == pytest.approx(brier_error, rel=0.15)
    slope = found["calibration_slope"]
    assert slope.low < 1 < slope.high


@settings(deadline=None)
@given(labelled(4))
def test_every_interval_holds_its_value(rows):
    y, pd = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    assume(0 < y.sum() < y.size)
    for metric in evaluate(y, pd, cutoff=0.3, bootstrap=15, reference=pd).values():
        assert metric.low <= metric.value <= metric.high


def test_the_same_seed_gives_the_same_interval():
    y, pd = draw(2_000)
    assert evaluate(y, pd, cutoff=0.1, bootstrap=20, seed=4) == evaluate(y, pd, cutoff=0.1, bootstrap=20, seed=4)
    assert evaluate(y, pd, cutoff=0.1, bootstrap=20, seed=4) != evaluate(y, pd, cutoff=0.1, bootstrap=20, seed=5)


def test_a_large_book_says_how_many_rows_its_intervals_come_from(monkeypatch):
    y, pd = draw(20_000)
    full = evaluate(y, pd, cutoff=0.1, bootstrap=200)["brier"]
    monkeypatch.setattr(evaluation, "BOOTSTRAP_ROWS", 5_000)
    part = evaluate(y, pd, cutoff=0.1, bootstrap=200)["brier"]
    assert (part.rows, part.bootstrap_rows, part.value) == (20_000, 5_000, full.value)
    assert part.high - part.low == pytest.approx(full.high - full.low, rel=0.3)


def test_psi_of_the_pd_sees_a_shifted_population_and_not_a_quiet_one():
    y, pd = draw(20_000)
    other = draw(20_000, seed=1)[1]
    quiet = evaluate(y, pd, cutoff=0.1, bootstrap=0, reference=other)["psi"].value
    moved = evaluate(y, pd, cutoff=0.1, bootstrap=0, reference=other / 2)["psi"].value
    assert quiet < 0.01 < 0.25 < moved


def test_profit_follows_the_stated_margin_and_loss():
    found = evaluate(Y, PD, cutoff=0.38, bootstrap=0, economics=Economics(margin=0.2, lgd=0.5))
    assert found["expected_profit"].value == pytest.approx((0.2 - 0.5) / 4)


def test_two_hundred_resamples_of_ten_thousand_loans_take_less_than_five_seconds():
    y, pd = draw(10_000)
    started = time.process_time()  # other programs may be at work beside it
    evaluate(y, pd, cutoff=0.1, bootstrap=200, reference=pd)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("y", "pd", "complaint"),
    [
        (np.zeros(3), np.full(3, 0.1), "nothing separates a single class"),
        (np.array([0, 1]), np.array([0.1, np.nan]), "1 PDs are not numbers"),
        (np.array([0, 1]), np.array([0.1]), "2 labels but 1 PDs"),
    ],
)
def test_what_cannot_be_measured_is_an_error(y, pd, complaint):
    with pytest.raises(EvaluationError, match=complaint):
        evaluate(y, pd, cutoff=0.5)


def test_ece_of_twenty_loans_by_hand():
    pd = np.arange(20) / 20 + 0.01
    y = (np.arange(20) % 2).astype(float)  # each of the ten bins of two holds one bad loan: rate 0.5
    assert ece(y, pd) == pytest.approx(np.abs(pd.reshape(10, 2).mean(axis=1) - 0.5).mean())


def test_roc_runs_from_corner_to_corner_and_encloses_the_auc():
    y, pd = draw(5_000)
    curve = roc_curve(y, pd)
    fpr, tpr = curve["false_positive_rate"].to_numpy(), curve["true_positive_rate"].to_numpy()
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert curve.num_rows <= 200
    assert (np.diff(fpr) >= 0).all()
    assert (np.diff(tpr) >= 0).all()
    assert np.trapezoid(tpr, fpr) == pytest.approx(auc(y, pd), abs=0.002)


def test_ks_curve_marks_the_widest_gap():
    curve, ks, at = ks_curve(Y, PD)
    assert (ks, at) == (0.5, 0.8)
    assert curve["bad_share"].to_pylist() == [0, 0.5, 0.5, 1, 1]
    assert curve["good_share"].to_pylist() == [0, 0, 0.5, 0.5, 1]


def test_calibration_curve_counts_every_loan_once_and_brackets_the_rate():
    y, pd = draw(5_000)
    curve = calibration_curve(y, pd)
    assert curve["loans"].to_pylist() == [500] * 10
    assert np.average(curve["bad_rate"], weights=curve["loans"]) == pytest.approx(y.mean())
    assert (np.diff(curve["mean_pd"]) > 0).all()
    low, rate, high = (curve[column].to_numpy() for column in ("low", "bad_rate", "high"))
    assert ((low < rate) & (rate < high)).all()


def test_wilson_interval_by_hand_and_few_distinct_pds():
    curve = calibration_curve(np.array([1.0] * 10 + [0.0] * 90), np.full(100, 0.1))
    assert curve.num_rows == 1
    assert (curve["low"][0].as_py(), curve["high"][0].as_py()) == pytest.approx((0.05523, 0.17437), abs=1e-4)
