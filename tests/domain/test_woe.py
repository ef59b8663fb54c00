"""Bins a reader can check by hand, in the direction the registry expects, and a place for every odd value."""

from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np
import pytest

from credit_risk_platform.domain.models import woe_binning
from credit_risk_platform.domain.models.base import ModelError
from credit_risk_platform.domain.models.woe import Binned, LevelBins, NumberBins, bins_from, weight_of_evidence
from credit_risk_platform.domain.models.woe_binning import level_bins, number_bins

LIMITS = {"max_bins": 8, "min_bin_share": 0.05}


def labels(margin: np.ndarray, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random(margin.size) < 1 / (1 + np.exp(-margin))).astype(np.float64)


def test_woe_and_information_value_by_hand():
    # Good loans 90 and 70 of 160, bad ones 10 and 30 of 40: ln(0.5625 / 0.25) and ln(0.4375 / 0.75);
    # IV = 0.3125 * (ln 2.25 - ln 0.58333...) = 0.3125 * ln(27 / 7).
    woe, iv = weight_of_evidence(np.array([100, 100]), np.array([10, 30]))
    assert woe == pytest.approx([0.8109302162, -0.5389965007], abs=1e-10)
    assert iv == pytest.approx(0.4218520991, abs=1e-9)


def test_a_bin_too_small_or_of_one_class_neither_helps_nor_harms_an_applicant():
    woe, iv = weight_of_evidence(np.array([100, 100, 19, 50, 50]), np.array([10, 30, 9, 0, 50]))
    assert woe[2:].tolist() == [0.0, 0.0, 0.0]
    shares = np.array([90, 70]) / 220, np.array([10, 30]) / 99
    assert iv == pytest.approx(np.sum((shares[0] - shares[1]) * np.log(shares[0] / shares[1])))


def test_every_number_has_its_bin_and_an_edge_belongs_to_the_upper_one():
    bins = NumberBins((10.0, 20.0), (-1.0, 999.0))
    values = np.array([-5, 9.99, 10, 19.99, 20, 1e12, -1, 999, np.nan])
    assert bins.indices(values).tolist() == [0, 0, 1, 1, 2, 2, 3, 4, 5]
    assert bins.labels == ("< 10", "10 to < 20", ">= 20", "code -1", "code 999", "missing")
    assert NumberBins(()).labels == ("any value", "missing")


def test_rare_and_unseen_levels_are_neutral_and_missing_ones_speak_for_themselves():
    bins = LevelBins((("car", "wedding"), ("house",)), ("car", "house", "wedding"))
    positions = np.array([0.0, 1, 2, 3, 4])  # car, house, wedding, other, missing
    assert bins.indices(positions).tolist() == [0, 1, 0, 2, 3]
    counted = Binned.count("purpose", bins, positions.repeat(100), np.tile(np.arange(100) % 5 == 0, 5) * 1.0)
    assert counted.woe[2] == 0.0
    assert counted.rows == (200, 100, 100, 100)
    with pytest.raises(ValueError, match="must hold each of the levels"):
        LevelBins((("car",),), ("car", "house"))


@pytest.mark.parametrize("bins", [NumberBins((1.5,), (-1.0,)), LevelBins((("b",), ("a",)), ("a", "b"))])
def test_bins_survive_being_stored(bins):
    assert bins_from(bins.to_dict()) == bins


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("direction", [1, -1])
def test_no_bin_contradicts_the_direction_the_registry_expects(seed, direction):
    x = np.random.default_rng(seed).normal(size=4_000)
    y = labels(-2 + 0.3 * direction * x + 0.8 * np.sin(3 * x), seed)
    entry = Binned.count("x", number_bins("x", x, y, monotone=direction, **LIMITS), x, y)
    rates = np.array(entry.bads[:-1]) / np.array(entry.rows[:-1])
    assert rates.size > 1
    assert (np.diff(rates) * direction >= 0).all()


def test_without_an_expectation_a_valley_stays_a_valley():
    x = np.random.default_rng(1).normal(size=8_000)
    y = labels(-2.5 + 0.8 * x * x, 1)
    woe = np.array(Binned.count("x", number_bins("x", x, y, monotone=0, **LIMITS), x, y).woe[:-1])
    middle = int(np.argmax(woe))
    assert 0 < middle < woe.size - 1
    assert (np.diff(woe[: middle + 1]) > 0).all()
    assert (np.diff(woe[middle:]) < 0).all()


def test_no_bin_is_smaller_than_a_twentieth_and_there_are_no_more_than_asked():
    x = np.random.default_rng(2).lognormal(size=5_000)
    y = labels(-1.5 - np.log(x), 2)
    for most in (3, 8):
        bins = number_bins("x", x, y, monotone=-1, max_bins=most, min_bin_share=0.05)
        rows = Binned.count("x", bins, x, y).rows[:-1]
        assert 1 < len(rows) <= most
        assert min(rows) >= 250


def test_special_codes_and_missing_values_do_not_move_the_cuts():
    x = np.random.default_rng(3).normal(size=5_000)
    y = labels(-1.5 + x, 3)
    plain = number_bins("x", x, y, monotone=1, **LIMITS)
    odd = np.concatenate([x, np.full(40, 999.0), np.full(40, np.nan)])
    marked = number_bins("x", odd, np.concatenate([y, np.ones(80)]), monotone=1, codes=(999,), **LIMITS)
    assert marked.codes == (999.0,)
    assert marked.edges[-1] < 5
    assert len(marked.edges) == pytest.approx(len(plain.edges), abs=1)


@pytest.mark.parametrize(
    "values",
    [
        np.full(1_000, 7.0),
        np.full(1_000, np.nan),
        np.where(np.arange(1_000) < 970, np.nan, np.arange(1_000.0)),  # 3 % known: less than the smallest bin
    ],
)
def test_a_feature_with_nothing_to_cut_gets_one_bin(values):
    y = labels(np.full(1_000, -1.0), 4)
    assert number_bins("x", values, y, monotone=0, **LIMITS).edges == ()


def test_levels_of_like_bad_rates_share_a_bin():
    positions = np.repeat(np.arange(4.0), 1_000)
    y = labels(np.repeat([-2.5, -0.5, -2.5, -0.5], 1_000), 5)
    bins = level_bins("purpose", positions, y, ("a", "b", "c", "d"), max_bins=2, min_bin_share=0.05)
    assert bins.groups == (("a", "c"), ("b", "d"))


@pytest.mark.parametrize(("levels", "groups"), [((), ()), (("a",), (("a",),)), (("a", "b"), (("a", "b"),))])
def test_too_few_levels_or_loans_that_have_one_make_one_group(levels, groups):
    positions = np.full(1_000, float(len(levels) + 1))  # missing
    positions[:40] = np.arange(40) % max(len(levels), 1)
    bins = level_bins("purpose", positions, labels(np.full(1_000, -1.0), 6), levels, **LIMITS)
    assert bins.groups == groups


def test_an_unfinished_search_is_refused_because_it_would_end_elsewhere_next_time(monkeypatch):
    monkeypatch.setattr(woe_binning, "NEVER", 0)
    x = np.random.default_rng(7).normal(size=2_000)
    with pytest.raises(ModelError, match="binning of x ended as UNKNOWN"):
        number_bins("x", x, labels(-1 + x, 7), monotone=0, **LIMITS)


def test_binning_says_nothing_on_the_terminal_and_leaves_the_librarys_other_messages_alone():
    code = (
        "import numpy as np; from credit_risk_platform.domain.models.woe_binning import number_bins;"
        "x = np.arange(400.0); number_bins('x', x, x % 3 == 0, monotone=0, max_bins=4, min_bin_share=0.05);"
        "import logging; logging.getLogger('__cvxpy__').warning('another message')"
    )
    out = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == ""
    assert len(out.stderr.splitlines()) == 1
    assert out.stderr.strip().endswith("another message")
    assert logging.getLogger("__cvxpy__").filters == []
