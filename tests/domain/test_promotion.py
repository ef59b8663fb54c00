"""Who may become champion, and what stands in the way. Numbers chosen by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from credit_risk_platform.domain.baseline import declined_by_rules, lift_over_rules
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.promotion import Contender, GateName, Rules, judge, may_promote, sampling_ece, weigh

RULES = Rules()
SOUND = {"auc": 0.70, "log_loss": 0.40, "ece": 0.01, "calibration_slope": 1.0, "psi": 0.05}


def contender(name: str = "a", loss: float = 0.40, train_auc: float = 0.72, **out_of_time: float) -> Contender:
    return Contender(
        name=name,
        sha=name * 64,
        validation_loss=loss,
        intercept_shift=0.4055,
        metrics={
            "train": {**SOUND, "auc": train_auc},
            "validation": dict(SOUND),
            "out_of_time": {**SOUND, **out_of_time},
        },
    )


def red(challenger: Contender, champion: Contender | None = None, leaks: tuple[str, ...] = ()) -> list[GateName]:
    gates = weigh(judge([challenger], RULES), champion, leaks, RULES)
    return [gate.name for gate in gates if not gate.passed]


def test_validation_ranks_and_a_better_out_of_time_auc_does_not():
    verdicts = judge([contender("a", loss=0.41, auc=0.71), contender("b", loss=0.39, auc=0.69)], RULES)
    assert [verdict.contender.name for verdict in verdicts] == ["b", "a"]


def test_a_model_that_memorised_its_training_loans_is_passed_over_however_low_its_loss():
    verdicts = judge([contender("a", loss=0.30, train_auc=0.80), contender("b", loss=0.45)], RULES)
    assert verdicts[0].contender.name == "b"
    assert verdicts[1].reason == "overfit: AUC falls by 0.100 from train to out-of-time (limit 0.05)"


def test_a_bundle_that_was_rolled_back_does_not_return_by_the_next_training():
    verdicts = judge([contender("a", loss=0.30), contender("b", loss=0.45)], RULES, withdrawn={"a" * 64})
    assert verdicts[0].contender.name == "b"
    assert verdicts[1].reason.startswith("withdrawn")


def test_the_first_champion_needs_no_rival():
    assert red(contender()) == []


@pytest.mark.parametrize(("metric", "value"), [("auc", 0.6989), ("log_loss", 0.4006)])
@pytest.mark.parametrize("split", ["validation", "out_of_time"])
def test_a_challenger_worse_on_either_split_in_either_measure_is_refused(split, metric, value):
    challenger = contender("b")
    challenger.metrics[split][metric] = value
    assert red(challenger, contender("a")) == [GateName.BETTER]


def test_a_challenger_within_the_tolerances_may_take_over():
    assert red(contender("b", auc=0.6991, log_loss=0.4004), contender("a")) == []


def test_the_champion_itself_is_never_worse_than_itself():
    same = contender("a")
    assert red(same, replace(same, metrics={})) == []


@pytest.mark.parametrize(
    ("broken", "gate"),
    [
        ({"ece": 0.0201}, GateName.CALIBRATION),
        ({"calibration_slope": 0.79}, GateName.CALIBRATION),
        ({"calibration_slope": 1.26}, GateName.CALIBRATION),
        ({"auc": 0.801}, GateName.TOO_GOOD),
        ({"psi": 0.2501}, GateName.STABILITY),
    ],
)
def test_each_threshold_turns_its_own_gate_red(broken, gate):
    assert red(contender(train_auc=0.74, **broken)) == [gate]


def test_a_metric_that_could_not_be_measured_is_no_pass():
    nothing = {"ece": math.nan, "calibration_slope": math.nan, "psi": math.nan}
    assert red(contender(**nothing)) == [GateName.CALIBRATION, GateName.STABILITY]
    unmeasured = contender("b", log_loss=math.nan)
    assert red(unmeasured, contender("a")) == [GateName.BETTER]
    assert not judge([contender(auc=math.nan)], RULES)[0].eligible


def test_a_red_calibration_gate_says_by_how_much_to_shift_the_intercept():
    gates = weigh(judge([contender(ece=0.05)], RULES), None, (), RULES)
    assert "+0.4055 = ln(observed odds / predicted odds)" in gates[2].next_step


def test_a_leak_stops_the_promotion_and_is_named():
    gates = weigh(judge([contender()], RULES), None, ["total_pymnt is not in the feature registry"], RULES)
    assert [gate.finding for gate in gates if not gate.passed] == ["total_pymnt is not in the feature registry"]
    assert not may_promote(gates)


def test_a_moved_population_warns_and_does_not_stop():
    gates = weigh(judge([contender(psi=0.9)], RULES), None, (), RULES)
    assert not gates[-1].passed
    assert may_promote(gates)


def test_without_an_eligible_candidate_the_reasons_of_all_are_shown():
    (gate,) = weigh(judge([contender("a", train_auc=0.9), contender("b", train_auc=0.8)], RULES), None, (), RULES)
    assert not gate.passed
    assert "a: overfit" in gate.finding
    assert "b: overfit" in gate.finding


@given(auc=st.floats(0.5, 1.0), ece=st.floats(0, 0.2), slope=st.floats(0, 3), psi=st.floats(0, 1), leak=st.booleans())
def test_a_promotion_needs_every_blocking_gate(auc, ece, slope, psi, leak):
    challenger = contender(train_auc=auc, auc=auc, ece=ece, calibration_slope=slope, psi=psi)
    gates = weigh(judge([challenger], RULES), None, ["x"] if leak else [], RULES)
    healthy = auc <= 0.80 and ece <= 0.02 and 0.8 <= slope <= 1.25 and not leak
    assert may_promote(gates) == healthy


def frame(**columns: list[float]) -> FeatureTable:
    numeric = np.array(list(columns.values()), dtype=np.float64).T
    return FeatureTable(numeric, tuple(columns), (), (), tuple(0 for _ in columns))


def test_the_watch_list_wants_strain_and_recent_trouble():
    loans = frame(
        dti=[0.45, 0.45, 0.10, 0.10, np.nan],
        revolving_utilisation=[0.9, 0.9, 0.9, 0.2, np.nan],
        delinq_2y=[0, 0, 1, 1, np.nan],
        inquiries_6m=[2, 0, 0, 0, np.nan],
    )
    assert declined_by_rules(loans).tolist() == [True, False, True, False, False]


def test_lift_compares_model_and_rules_at_the_same_number_of_declined_loans():
    y = np.array([1, 1, 0, 0, 0, 0, 0, 0, 0, 0], dtype=float)
    declined = np.array([True, False, True, False, False, False, False, False, False, False])
    lift = lift_over_rules(y, np.linspace(0.9, 0.0, 10), declined)
    assert lift is not None
    assert (lift.declined_share, lift.rules, lift.model) == pytest.approx((0.2, 2.5, 5.0))


def test_lift_counts_loans_tied_at_the_margin_in_proportion():
    y = np.array([1, 0, 0, 0], dtype=float)
    lift = lift_over_rules(y, np.full(4, 0.3), np.array([True, False, False, False]))
    assert lift is not None
    assert (lift.rules, lift.model) == pytest.approx((4.0, 1.0))


def test_lift_is_not_made_up_where_the_rules_decline_nobody():
    assert lift_over_rules(np.array([1.0, 0.0]), np.array([0.2, 0.1]), np.zeros(2, dtype=bool)) is None


def test_a_small_book_is_not_refused_for_an_error_that_sampling_alone_explains():
    assert sampling_ece(10_618, 0.157) == pytest.approx(0.0089, abs=1e-4)  # sqrt(2/pi * 0.157 * 0.843 * 10/10618)
    assert Rules(ece_noise=sampling_ece(10_618, 0.157)).ece_limit == 0.02
    assert Rules(ece_noise=sampling_ece(400, 0.09)).ece_limit == pytest.approx(0.0542, abs=1e-3)
