"""The estimate says what calibrated PDs may expect of themselves, no more: these tests hold it to the expectation."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_risk_platform.domain.estimated_performance import auc_standard_error, estimate
from credit_risk_platform.domain.metrics import EvaluationError, auc


def test_two_loans_by_hand() -> None:
    """Bad 0.8 above bad 0.2: 0.8 * 0.8 of the 0.8 * 0.8 + 0.2 * 0.2 that make a pair at all."""
    found = estimate(np.array([0.2, 0.8]), cutoff=0.5)
    assert found.auc == pytest.approx(0.64 / 0.68)
    assert found.gini == pytest.approx(2 * 0.64 / 0.68 - 1)
    assert found.ks == pytest.approx(0.6)  # below 0.8: 0.8 of the good, 0.2 of the bad
    assert found.bad_rate == pytest.approx(0.5)
    assert found.brier == pytest.approx(0.16)
    assert found.log_loss == pytest.approx(-(0.2 * np.log(0.2) + 0.8 * np.log(0.8)))
    assert (found.precision, found.recall) == (pytest.approx(0.8), pytest.approx(0.8))


def test_a_loan_with_the_cutoff_itself_is_declined_and_nobody_declined_is_no_fault() -> None:
    assert estimate(np.array([0.1, 0.5]), cutoff=0.5).recall == pytest.approx(0.5 / 0.6)
    assert estimate(np.array([0.1, 0.5]), cutoff=0.9).precision == 0.0


def test_pds_that_are_all_alike_separate_nothing() -> None:
    assert estimate(np.full(50, 0.3), cutoff=0.5).auc == pytest.approx(0.5)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([0.05, 0.2, 0.2, 0.5, 0.7, 0.95]), min_size=2, max_size=7))
def test_the_auc_is_the_expected_count_of_rightly_ordered_pairs_over_that_of_pairs(pds: list[float]) -> None:
    """Over all 2^n ends the loans may come to, each with its probability."""
    p = np.array(pds)
    right = pairs = 0.0
    for ends in product((0, 1), repeat=p.size):
        y = np.array(ends)
        chance = float(np.prod(np.where(y, p, 1 - p)))
        made = int(y.sum()) * int((1 - y).sum())
        right += chance * (auc(y, p) * made if made else 0)
        pairs += chance * made
    assert estimate(p, cutoff=0.5).auc == pytest.approx(right / pairs)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_calibrated_pds_get_on_average_what_they_estimate(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.beta(1.2, 6, 2_000)
    drawn = rng.random((60, p.size)) < p
    came_true = np.array([auc(y, p) for y in drawn])
    found = estimate(p, cutoff=0.25)
    assert came_true.mean() == pytest.approx(found.auc, abs=5 * found.auc_error / np.sqrt(60))
    assert came_true.std() == pytest.approx(found.auc_error, rel=0.4)
    assert ((drawn - p) ** 2).mean() == pytest.approx(found.brier, rel=0.02)


def test_the_estimate_is_blind_to_a_level_that_is_wrong_and_says_so_by_its_error() -> None:
    """Half the PDs that are true: the estimated bad rate is off by half, and only the labels tell."""
    p = np.random.default_rng(1).beta(2, 8, 20_000)
    bad = np.random.default_rng(2).random(p.size) < p
    assert estimate(p / 2, cutoff=0.5).bad_rate - bad.mean() == pytest.approx(-p.mean() / 2, abs=0.01)


def test_the_standard_error_of_hanley_and_mcneil() -> None:
    """AUC 0.5 of one bad and one good loan: a coin, sqrt(0.25). AUC 0.75, 20 and 80, by equation 2."""
    assert auc_standard_error(0.5, 1, 1) == pytest.approx(0.5)
    q1, q2 = 0.75 / 1.25, 2 * 0.5625 / 1.75
    variance = (0.1875 + 19 * (q1 - 0.5625) + 79 * (q2 - 0.5625)) / 1_600
    assert auc_standard_error(0.75, 20, 80) == pytest.approx(np.sqrt(variance))


@pytest.mark.parametrize(("pds", "told"), [([0.3], "two loans are needed"), ([0.3, np.nan], "1 PDs are not numbers")])
def test_what_cannot_be_estimated_says_why(pds: list[float], told: str) -> None:
    with pytest.raises(EvaluationError, match=told):
        estimate(np.array(pds), cutoff=0.5)
