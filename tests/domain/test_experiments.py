"""Who is in which arm, what the difference is and when to stop: by hand, and as promises over any experiment."""

import hashlib
from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credit_risk_platform.domain.experiments import (
    Arm,
    Experiment,
    ExperimentError,
    Mode,
    StopRule,
    lot,
    paired_effect,
    two_sample_effect,
    verdict,
)

SPLIT = Experiment("winter", "b" * 64, "a" * 64, Mode.SPLIT, datetime(2026, 7, 1), share=0.1)
RULE = StopRule(max_sample=1_000, alpha=0.05, smallest_effect=0.02)


def test_the_lot_is_the_hash_of_experiment_and_token():
    digest = hashlib.sha256(b"winter|token-1").hexdigest()
    assert lot("winter", "token-1") == int(digest[:13], 16) / 16**13


@given(st.text(st.characters(codec="utf-8"), max_size=40), st.floats(0.001, 1))
def test_an_applicant_stays_in_one_arm_and_a_larger_share_only_adds_to_it(token, share):
    wider = replace(SPLIT, share=min(1.0, share * 2))
    narrow = replace(SPLIT, share=share)
    assert narrow.arm(token) is narrow.arm(token)
    assert 0 <= lot("winter", token) < 1
    if narrow.arm(token) is Arm.CHALLENGER:
        assert wider.arm(token) is Arm.CHALLENGER
    assert replace(SPLIT, share=1.0).arm(token) is Arm.CHALLENGER


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5])
@pytest.mark.parametrize("name", ["winter", "spring"])
def test_the_share_is_honoured_within_sampling_error(share, name):
    n = 20_000
    challengers = sum(lot(name, f"token-{k}") < share for k in range(n))
    assert abs(challengers / n - share) < 4 * (share * (1 - share) / n) ** 0.5


def test_two_experiments_split_independently():
    both = sum(lot("winter", f"t{k}") < 0.5 and lot("spring", f"t{k}") < 0.5 for k in range(20_000))
    assert both / 20_000 == pytest.approx(0.25, abs=0.013)


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_a_shadow_never_decides_nor_does_an_experiment_that_ended(token):
    assert replace(SPLIT, mode=Mode.SHADOW, share=1.0).arm(token) is Arm.CHAMPION
    assert replace(SPLIT, share=1.0, ended=datetime(2026, 8, 1)).arm(token) is Arm.CHAMPION


def test_two_samples_worked_out_by_hand():
    """60 % of 400 against 66 % of 400: pooled 0.63, z = 0.06 / sqrt(0.63 * 0.37 * 2 / 400) = 1.7576."""
    effect = two_sample_effect((240, 400), (264, 400), RULE)
    assert effect.difference == pytest.approx(0.06)
    assert effect.p_value == pytest.approx(0.0788, abs=1e-4)
    reach = 1.959964 * (0.6 * 0.4 / 400 + 0.66 * 0.34 / 400) ** 0.5
    assert (effect.low, effect.high) == (pytest.approx(0.06 - reach), pytest.approx(0.06 + reach))
    # 0.02 / 0.03414 - 1.96 = -1.374: a difference of 2 points would rarely be seen with 400 each.
    assert effect.power == pytest.approx(0.0847, abs=1e-3)


def test_pairs_worked_out_by_hand():
    """Of 1,000 applications 30 are approved by the challenger only, 10 by the champion only: +2 points."""
    effect = paired_effect(both=600, only_champion=10, only_challenger=30, neither=360, rule=RULE)
    assert (effect.champion_rate, effect.challenger_rate) == (0.61, 0.63)
    reach = 1.959964 * (0.04 - 0.02**2) ** 0.5 / 1_000**0.5
    assert (effect.low, effect.high) == (pytest.approx(0.02 - reach), pytest.approx(0.02 + reach))
    assert effect.p_value == pytest.approx(0.00157, abs=2e-5)  # z = 20 / sqrt(40) = 3.1623
    same = paired_effect(500, 0, 0, 500, RULE)
    assert (same.difference, same.p_value, same.low, same.high) == (0, 1.0, 0, 0)


def test_nobody_is_told_to_stop_before_the_sample_that_was_agreed():
    clear = paired_effect(600, 10, 30, 360, RULE)
    assert verdict(clear, 999, RULE) == "go on: 999 of 1,000 applications"
    assert verdict(clear, 1_000, RULE) == "stop: the approval rates differ (p 0.0016 at level 0.05)"
    assert verdict(None, 0, RULE).startswith("go on: 0 of")
    quiet = paired_effect(600, 20, 20, 360, RULE)
    assert "no difference shown" in verdict(quiet, 1_000, RULE)
    assert "power" in verdict(quiet, 1_000, RULE)


def test_an_arm_without_applications_shows_nothing():
    assert two_sample_effect((5, 10), (0, 0), RULE) is None
    assert paired_effect(0, 0, 0, 0, RULE) is None


@pytest.mark.parametrize(
    "wrong",
    [{"share": 0.0}, {"share": 1.2}, {"id": ""}, {"id": "a|b"}, {"champion_sha": SPLIT.challenger_sha}],
)
def test_an_experiment_that_cannot_be_run_is_refused(wrong):
    with pytest.raises(ExperimentError):
        replace(SPLIT, **wrong)


def test_a_stop_rule_without_sense_is_refused():
    for wrong in ({"max_sample": 0}, {"alpha": 0.6}, {"smallest_effect": 0}):
        with pytest.raises(ExperimentError):
            StopRule(**wrong)
