"""`score()` with a policy: every model, every batch size, and reasons for all who are not approved."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_risk_platform.domain.bands import Bands
from credit_risk_platform.domain.bundle import BundleError, ModelBundle
from credit_risk_platform.domain.calibration import fit_calibrator
from credit_risk_platform.domain.decision_reasons import AT_MOST
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.policy import Decision, HardRule, Policy
from credit_risk_platform.domain.reasons import INQUIRIES, ReasonCodes, ReasonError
from credit_risk_platform.domain.scoring import SCORE_SCHEMA, score
from tests.loan_sample import FEATURES, MODELS, loans, trained

AS_OF = date(2026, 6, 30)
BANDS = Bands("2026.1", (0.0, 0.02, 0.05, 0.10, 0.20, 1.000001), ("Very Low", "Low", "Medium", "High", "Very High"))
CODE = {feature.name: f"AA{k:02d}" for k, feature in enumerate(FEATURES, 1)} | {"inquiries": "AA21"}
"""A code for each feature of the sample, AA21 for its inquiries as in the seed."""
MUCH_DEBT = HardRule("R01", "much debt", "dti", ">", 0.45, Decision.REFER, CODE["dti"])
OVERDUE = HardRule("D01", "late a month ago", "months_since_delinq", "<", 4.0, Decision.DECLINE, "AA04")
UNKNOWN = HardRule("R02", "no debt figure", "dti", "missing", None, Decision.REFER, "AA90")


def codes() -> ReasonCodes:
    named = {code: f"What is known about {feature} of the applicant" for feature, code in CODE.items()}
    texts = named | {"AA90": "Unable to verify obligations of the applicant"}
    return ReasonCodes("2026.1", texts, dict.fromkeys(texts, 3), CODE | {INQUIRIES: "AA21"})


def policy(*rules: HardRule, approve_below: float = 0.09, decline_from: float = 0.15) -> Policy:
    since = date(2026, 1, 1)
    return Policy("2026.1", since, BANDS, approve_below, decline_from, rules, codes(), assumptions={}, note="tests")


POLICY = policy(MUCH_DEBT, OVERDUE, UNKNOWN)


@cache
def bundle(name: str) -> ModelBundle:
    table, y, _ = loans()
    frame, model = FeatureTable.from_arrow(table, FEATURES), trained(name)
    calibrator = fit_calibrator(model.predict(frame), y)
    kept = frame.take(np.argsort(model.predict(frame))[::6])
    return ModelBundle(name, model, calibrator, FEATURES, "select 1", "fp", "2026.1", 11, background=kept)


@cache
def scored(name: str) -> pa.Table:
    return score(bundle(name), loans()[0], AS_OF, POLICY)


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_decision_and_reasons_do_not_depend_on_the_batch(name: str, data: st.DataObject) -> None:
    picked = np.array(data.draw(st.lists(st.integers(0, 2_999), min_size=1, max_size=40)))
    cuts = sorted(data.draw(st.lists(st.integers(0, picked.size), max_size=3)))
    table = loans()[0].take(picked)
    parts = [table.slice(a, b - a) for a, b in zip([0, *cuts], [*cuts, picked.size], strict=True)]
    alone = pa.concat_tables([score(bundle(name), part, AS_OF, POLICY) for part in parts])
    assert alone.equals(scored(name).take(picked))


@pytest.mark.parametrize("name", MODELS)
def test_nobody_is_refused_without_reasons_that_were_scored(name: str) -> None:
    rows = scored(name).select(["pd", "decision", "reasons", "rules"]).to_pylist()
    assert {row["decision"] for row in rows} == {"approve", "refer", "decline"}
    known = set(POLICY.known_reasons(CODE))
    for row in rows:
        if row["decision"] == "approve":
            assert (row["reasons"], row["rules"]) == (None, [])
            continue
        told = row["reasons"]
        assert 1 <= len(told) <= AT_MOST + ("AA21" in told[AT_MOST:])
        assert len(set(told)) == len(told)
        assert set(told) <= known


@pytest.mark.parametrize("name", MODELS)
def test_a_score_says_the_same_with_and_without_a_policy(name: str) -> None:
    """Behavioural models pass bands only: nothing is decided on a loan that runs."""
    bare = score(bundle(name), loans()[0], AS_OF, BANDS)
    assert (bare.schema, scored(name).schema) == (SCORE_SCHEMA, SCORE_SCHEMA)
    said = ["decision", "reasons", "rules"]
    assert bare.drop_columns(said).equals(scored(name).drop_columns(said))
    assert [bare[column].null_count for column in said] == [bare.num_rows] * 3


def test_reasons_come_from_the_part_that_was_failed() -> None:
    """Comments 9(b)(2)-3 and -5: a rule's own factor where it settled it, the model's where the PD did."""
    rows = scored("logistic_regression").select(["pd", "decision", "reasons", "rules"]).to_pylist()
    by_rule_alone = [row for row in rows if row["decision"] == "decline" and row["pd"] < POLICY.decline_from]
    assert by_rule_alone
    assert all(row["reasons"] == ["AA04"] and "D01" in row["rules"] for row in by_rule_alone)
    by_score = [row for row in rows if row["decision"] == "decline" and row["rules"] in ([], ["R01"])]
    assert by_score
    assert all(row["reasons"][0] != "AA90" for row in by_score), "a referral does not settle a decline"
    both = [row for row in rows if row["decision"] == "refer" and row["rules"] == ["R02"] and row["pd"] >= 0.09]
    assert both
    assert all(row["reasons"][0] == "AA90" and len(row["reasons"]) > 1 for row in both)


def test_a_fifth_reason_is_the_inquiries_and_nothing_else() -> None:
    """FCRA 609(f)(9): rules take the first places, four in all, and inquiries stand last where they counted."""
    crowd = [
        HardRule(f"R{k}", "fires on all", "constant", "==", 7.0, Decision.REFER, code)
        for k, code in enumerate(("AA90", "AA05", "AA07", "AA09"))
    ]
    rows = score(bundle("logistic_regression"), loans()[0], AS_OF, policy(*crowd, decline_from=1.0))
    told = set(map(tuple, rows["reasons"].to_pylist()))
    assert told == {("AA90", "AA05", "AA07", "AA09"), ("AA90", "AA05", "AA07", "AA09", "AA21")}
    riskless = rows.filter(pc.less(rows["pd"], 0.09))["reasons"].to_pylist()
    assert set(map(tuple, riskless)) == {("AA90", "AA05", "AA07", "AA09")}


def test_two_rules_with_one_reason_tell_it_once() -> None:
    twice = policy(MUCH_DEBT, replace(MUCH_DEBT, code="R09", value=0.40), approve_below=0.99, decline_from=1.0)
    rows = score(bundle("logistic_regression"), loans()[0], AS_OF, twice).to_pylist()
    assert {tuple(row["reasons"]) for row in rows if row["rules"] == ["R01", "R09"]} == {(CODE["dti"],)}


def test_only_those_who_fail_the_score_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Explaining costs more than scoring: an approved portfolio must not pay for it, nor one settled by rules."""
    made = bundle("logistic_regression")
    monkeypatch.setattr(type(made), "explainer_at", lambda *_: pytest.fail("asked for an explanation"))
    rows = score(made, loans()[0], AS_OF, policy(OVERDUE, approve_below=0.999, decline_from=1.0))
    assert set(rows["decision"].to_pylist()) == {"approve", "decline"}
    assert {tuple(reasons) for reasons in rows["reasons"].to_pylist() if reasons} == {("AA04",)}


def test_a_bundle_from_before_decisions_says_what_to_do() -> None:
    old = replace(bundle("xgboost"), background=None)
    with pytest.raises(BundleError, match="trained before decisions came; materialise models/champion again"):
        score(old, loans()[0], AS_OF, POLICY)


def test_a_feature_without_a_reason_code_is_refused_and_not_left_out() -> None:
    bare = replace(codes(), features={name: code for name, code in CODE.items() if name != "income"})
    with pytest.raises(ReasonError, match="none for income"):
        score(bundle("xgboost"), loans()[0], AS_OF, replace(POLICY, reason_codes=bare))
