"""The decision policy by hand: which rule fires on what, which decision follows, and what makes two versions differ."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_risk_platform.domain.bands import Bands
from credit_risk_platform.domain.models.frame import CATEGORICAL, NUMERIC, FeatureTable, InputFeature
from credit_risk_platform.domain.policy import SEVERITY, Decision, HardRule, Policy, PolicyError
from tests.policy_book import reason_codes

FEATURES = (InputFeature("dti", NUMERIC), InputFeature("inquiries_6m", NUMERIC), InputFeature("purpose", CATEGORICAL))
EDGES, NAMES = (0.0, 0.02, 0.05, 0.12, 0.25, 1.000001), ("Very Low", "Low", "Medium", "High", "Very High")
TOO_MUCH_DEBT = HardRule("D01", "debt", "dti", ">", 0.65, Decision.DECLINE, "AA04")
MUCH_DEBT = HardRule("R01", "debt", "dti", ">", 0.5, Decision.REFER, "AA04")
SHOPPING = HardRule("R02", "inquiries", "inquiries_6m", ">=", 6, Decision.REFER, "AA21")
BUSINESS = HardRule("R03", "purpose", "purpose", "in", ("small_business", "moving"), Decision.REFER, "AA10")
UNKNOWN = HardRule("R04", "no debt figure", "dti", "missing", None, Decision.REFER, "AA05")


def policy(*rules: HardRule, version: str = "2007.1", **changed: Any) -> Policy:
    first = Policy(
        version=version,
        effective_from=date(2007, 1, 1),
        bands=Bands(version, EDGES, NAMES),
        approve_below=0.155,
        decline_from=0.25,
        rules=rules,
        reason_codes=reason_codes(),
        assumptions={"margin": 0.12, "loss_given_default": 0.65},
        note="for tests",
    )
    return replace(first, **changed)


def frame(*rows: tuple[float | None, float | None, str | None]) -> FeatureTable:
    columns = zip(*rows, strict=True)
    kinds = (pa.float64(), pa.float64(), pa.string())
    arrays = {f.name: pa.array(list(c), k) for f, c, k in zip(FEATURES, columns, kinds, strict=True)}
    return FeatureTable.from_arrow(pa.table(arrays), FEATURES)


def decisions(rules: Policy, applicants: FeatureTable, pd: list[float]) -> list[str]:
    found: list[str] = rules.decide(applicants, np.array(pd)).decision.to_pylist()
    return found


PLAIN = (0.2, 0.0, "car")


def test_a_cut_off_belongs_to_the_harder_side() -> None:
    """Approve is PD < 0.155, decline is PD >= 0.25: the next number below each edge still gets the milder answer."""
    pd = [0.01, float(np.nextafter(0.155, 0)), 0.155, float(np.nextafter(0.25, 0)), 0.25, 0.99]
    assert decisions(policy(), frame(*[PLAIN] * 6), pd) == [
        "approve",
        "approve",
        "refer",
        "refer",
        "decline",
        "decline",
    ]


def test_the_hardest_decision_anything_asks_for_is_taken() -> None:
    rules = policy(TOO_MUCH_DEBT, MUCH_DEBT, SHOPPING, BUSINESS)
    applicants = frame(PLAIN, (0.51, 0.0, "car"), (0.66, 0.0, "car"), (0.2, 6.0, "moving"), (0.51, 9.0, "car"))
    decided = rules.decide(applicants, np.array([0.01, 0.01, 0.01, 0.01, 0.30]))
    assert decided.decision.to_pylist() == ["approve", "refer", "decline", "refer", "decline"]
    assert decided.rules.to_pylist() == [[], ["R01"], ["D01", "R01"], ["R02", "R03"], ["R01", "R02"]]


def test_only_what_asked_for_the_decision_caused_it() -> None:
    """Comment 9(b)(2)-3: the last applicant is declined by the PD; two referrals are not why."""
    rules = policy(TOO_MUCH_DEBT, MUCH_DEBT, SHOPPING)
    applicants = frame((0.66, 6.0, "car"), (0.51, 6.0, "car"), (0.51, 6.0, "car"), PLAIN)
    decided = rules.decide(applicants, np.array([0.20, 0.20, 0.30, 0.01]))
    assert decided.decision.to_pylist() == ["decline", "refer", "decline", "approve"]
    assert decided.caused.tolist() == [[True, False, False], [False, True, True], [False] * 3, [False] * 3]
    assert decided.caused_by_score.tolist() == [False, True, True, False]


@pytest.mark.parametrize(
    ("op", "value", "fires_on"),
    [("<", 0.5, [0.4]), ("<=", 0.5, [0.4, 0.5]), (">", 0.5, [0.6]), (">=", 0.5, [0.5, 0.6]), ("==", 0.5, [0.5])],
)
def test_each_comparison_at_its_edge(op: Any, value: float, fires_on: list[float]) -> None:
    rule = replace(MUCH_DEBT, op=op, value=value)
    values = [0.4, 0.5, 0.6, None]
    fired = rule.fires(frame(*[(dti, 0.0, "car") for dti in values]))
    assert [dti for dti, hit in zip(values, fired, strict=True) if hit] == fires_on


def test_a_missing_value_fires_nothing_but_missing() -> None:
    applicants = frame((None, None, None), PLAIN)
    rules = policy(TOO_MUCH_DEBT, MUCH_DEBT, SHOPPING, BUSINESS, UNKNOWN)
    assert rules.decide(applicants, np.array([0.01, 0.01])).rules.to_pylist() == [["R04"], []]
    no_purpose = HardRule("R05", "no purpose", "purpose", "missing", None, Decision.REFER, "AA10")
    assert no_purpose.fires(applicants).tolist() == [True, False]


def test_a_text_rule_fires_on_its_texts_only() -> None:
    applicants = frame(*[(0.2, 0.0, purpose) for purpose in ("car", "moving", "small_business", None)])
    assert BUSINESS.fires(applicants).tolist() == [False, True, True, False]
    assert replace(BUSINESS, op="==", value="car").fires(applicants).tolist() == [True, False, False, False]


def test_the_same_application_under_two_versions_gives_both_results() -> None:
    first, strict = policy(), policy(MUCH_DEBT, version="2026.2", approve_below=0.10)
    applicant = frame((0.55, 0.0, "car"), PLAIN, PLAIN)
    pd = [0.05, 0.12, 0.05]
    assert decisions(first, applicant, pd) == ["approve", "approve", "approve"]
    assert decisions(strict, applicant, pd) == ["refer", "refer", "approve"]


@pytest.mark.parametrize(
    "edit",
    [
        {"approve_below": 0.15},
        {"decline_from": 0.26},
        {"rules": ()},
        {"rules": (replace(MUCH_DEBT, value=0.51),)},
        {"bands": Bands("2007.1", (0.0, 0.02, 0.05, 0.13, 0.25, 1.000001), NAMES)},
        {"effective_from": date(2007, 1, 2)},
        {"assumptions": {"margin": 0.12, "loss_given_default": 0.60}},
        {"reason_codes": replace(reason_codes(), texts={**reason_codes().texts, "AA04": "Debt service too high"})},
    ],
    ids=lambda edit: next(iter(edit)),
)
def test_a_version_that_was_edited_in_place_is_found_out(edit: dict[str, Any]) -> None:
    assert policy(MUCH_DEBT).sha256 == policy(MUCH_DEBT).sha256
    assert policy(MUCH_DEBT, **edit).sha256 != policy(MUCH_DEBT).sha256


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_a_decision_does_not_depend_on_who_else_applies(data: st.DataObject) -> None:
    number = st.none() | st.floats(0, 10)
    applicant = st.tuples(number, number, st.sampled_from(["car", "moving", "boat", None]), st.floats(0.001, 0.999))
    rows = data.draw(st.lists(applicant, min_size=1, max_size=12))
    rules = policy(TOO_MUCH_DEBT, MUCH_DEBT, SHOPPING, BUSINESS, UNKNOWN)
    together = rules.decide(frame(*[row[:3] for row in rows]), np.array([row[3] for row in rows]))
    alone = [rules.decide(frame(row[:3]), np.array([row[3]])) for row in rows]
    assert together.decision.to_pylist() == [one.decision[0].as_py() for one in alone]
    assert together.rules.to_pylist() == [one.rules[0].as_py() for one in alone]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.0001, 0.9999), min_size=2, max_size=20))
def test_more_risk_never_means_a_milder_decision(pds: list[float]) -> None:
    given_ = decisions(policy(), frame(*[PLAIN] * len(pds)), sorted(pds))
    severities = [SEVERITY.index(Decision(decision)) for decision in given_]
    assert severities == sorted(severities)


def test_nobody_and_no_rules_are_decided_too() -> None:
    nobody = frame(PLAIN).take(slice(0))
    for rules in ((), (MUCH_DEBT,)):
        decided = policy(*rules).decide(nobody, np.array([]))
        assert (decided.decision.to_pylist(), decided.rules.to_pylist()) == ([], [])
    assert decisions(policy(), frame(PLAIN), [0.1]) == ["approve"]


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        ({"approve_below": 0.3}, r"approve_below, decline_from: 0.3 and 0.25 must be PDs"),
        ({"approve_below": 0.0}, "must be PDs"),
        ({"decline_from": 25.0}, "must be PDs"),
        ({"rules": (MUCH_DEBT, MUCH_DEBT)}, "R01 stands there twice"),
        ({"rules": (replace(MUCH_DEBT, reason="ZZ99"),)}, "rule R01: reason ZZ99 has no approved text"),
        ({"bands": Bands("2030.1", EDGES, NAMES)}, "2007.1 is given the bands of version 2030.1"),
    ],
)
def test_a_policy_that_contradicts_itself_is_refused(edit: dict[str, Any], complaint: str) -> None:
    with pytest.raises(PolicyError, match=complaint):
        policy(**edit)


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        ({"op": "~"}, "op is '~', expected one of <"),
        ({"decision": Decision.APPROVE}, "a hard rule says refer or decline"),
        ({"value": "much"}, "does not go with '>': write a number"),
        ({"value": True}, "write a number"),
        ({"value": float("nan")}, "write a number"),
        ({"op": "in", "value": 0.5}, "write a list of texts"),
        ({"op": "in", "value": ()}, "write a list of texts"),
        ({"op": "missing"}, "leave value out"),
    ],
)
def test_a_rule_that_says_nothing_is_refused(edit: dict[str, Any], complaint: str) -> None:
    with pytest.raises(PolicyError, match=complaint):
        replace(MUCH_DEBT, **edit)


def test_a_rule_over_what_the_model_does_not_read_names_it() -> None:
    """Otherwise a replay from the stored inputs could not decide again."""
    rule = replace(MUCH_DEBT, feature="ltv")
    with pytest.raises(PolicyError, match="rule R01 reads ltv, which is no input of the model"):
        policy(rule).decide(frame(PLAIN), np.array([0.1]))
    with pytest.raises(PolicyError, match="dti is a number, '==' 'car' is about texts"):
        replace(MUCH_DEBT, op="==", value="car").fires(frame(PLAIN))
