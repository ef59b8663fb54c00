"""The registry, the SQL and the documentation of a feature say the same, or somebody trains on a misunderstanding."""

from __future__ import annotations

import importlib.util
from types import ModuleType
from typing import Any

import pytest
import yaml

from credit_risk_platform.domain.features import (
    MARTS,
    REGISTRY,
    Policy,
    Stage,
    by_name,
    model_features,
    of_stages,
)
from tests.dbt_book import DBT_PROJECT

KEYS = {
    "application_features": [
        "loan_id", "source_system", "subject_token", "decision_date", "issue_month", "meets_credit_policy",
    ],
    "behaviour_features": ["loan_id", "observation_month"],
    "restricted_attributes": ["loan_id"],
    "loan_offers": ["loan_id"],
    "cashflow_features": ["subject_token", "as_of_date"],
}  # fmt: skip


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_feature_docs", DBT_PROJECT / "write_feature_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def documented(mart: str) -> dict[str, Any]:
    (file,) = DBT_PROJECT.glob(f"models/marts/*/{mart}.yml")
    return yaml.safe_load(file.read_text())["models"][0]


@pytest.mark.parametrize("mart", MARTS)
def test_a_mart_has_the_registered_columns_under_an_enforced_contract(mart: str) -> None:
    model = documented(mart)
    features = of_stages(*MARTS[mart])
    assert [column["name"] for column in model["columns"]] == KEYS[mart] + [feature.name for feature in features]
    types = {column["name"]: column["data_type"] for column in model["columns"]}
    assert {feature.name: types[feature.name] for feature in features} == {
        feature.name: "double" if feature.kind == "numeric" else "varchar" for feature in features
    }
    assert model["config"]["contract"] == {"enforced": True}


def test_descriptions_and_ranges_in_yml_are_those_of_the_registry(writer: ModuleType) -> None:
    stale = [path.name for path, text in writer.marts().items() if path.read_text() != text]
    assert stale == [], "run `python dbt_project/write_feature_docs.py`"
    ranges = {each["column"]: each for each in _accepted_ranges("application_features")}
    assert ranges["income_stability"] == {"column": "income_stability", "min": 0.0, "max": 1.0}


def test_at_least_forty_features_each_tell_everything_about_themselves() -> None:
    assert len(REGISTRY) >= 40
    assert len({feature.name for feature in REGISTRY}) == len(REGISTRY)
    for feature in REGISTRY:
        words = (feature.description, feature.formula, feature.unit, feature.as_of_rule, feature.owner)
        assert all(words), feature.name
        assert feature.inputs, feature.name
        assert feature.owner.startswith("team:"), feature.name
        if feature.lower is not None and feature.upper is not None:
            assert feature.lower < feature.upper, feature.name


def test_the_application_model_may_use_no_offer_no_protected_attribute_and_no_behaviour() -> None:
    allowed = {feature.name for feature in model_features()}
    assert len(allowed) >= 30
    assert {"dti", "emi_to_income", "bureau_score", "revolving_utilisation"} <= allowed
    forbidden = {"int_rate", "grade", "emi_contractual", "age", "education", "family_size", "state", "dpd_current"}
    assert not allowed & (forbidden | {"unemployment_rate_pub", "issue_month", "meets_credit_policy"})
    assert by_name("int_rate").stage is Stage.OFFER
    assert by_name("age").policy is Policy.RESTRICTED


def test_a_feature_that_does_not_exist_is_named() -> None:
    with pytest.raises(KeyError, match="karma is not a registered feature"):
        by_name("karma")


def _accepted_ranges(mart: str) -> list[dict[str, Any]]:
    tests = [test["accepted_range"] for test in documented(mart)["data_tests"] if "accepted_range" in test]
    return list(tests[0]["arguments"]["ranges"])
