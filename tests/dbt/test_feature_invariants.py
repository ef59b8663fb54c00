"""Whatever an applicant writes, no feature is infinite, out of its registered range or moved the wrong way."""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from credit_risk_platform.adapters.feature_sql import FeatureSql
from credit_risk_platform.domain.features import Stage, of_stages
from tests.dbt_story import Story

NUMERIC = [feature for feature in of_stages(Stage.APPLICATION) if feature.kind == "numeric"]
DECIDED = date(2020, 6, 15)

money = st.none() | st.just(0.0) | st.floats(0.01, 1e8).map(lambda value: round(value, 2))
count = st.none() | st.integers(0, 60)
day = st.none() | st.integers(0, 20_000).map(lambda days: DECIDED - timedelta(days=days))
share = st.none() | st.floats(0, 1)
applications = st.fixed_dictionaries({
    "loan_amount": st.floats(1, 1e7).map(lambda value: round(value, 2)),
    "term_months": st.integers(1, 480),
    "annual_income": money,
    "monthly_debt_service": st.none() | st.floats(0, 1).map(lambda value: round(value, 2)),
    "total_debt": money,
    "collateral_value": money,
    "revolving_balance": money,
    "revolving_limit": st.none() | st.just(0.0),
    "reported_utilisation": st.none() | st.floats(0, 2),
    "reported_dti": st.none() | st.floats(0, 9.9),
    "bureau_score": st.none() | st.floats(300, 850),
    "employment_length_years": st.none() | st.integers(0, 10),
    "income_cv_12m": st.none() | st.floats(0, 50),
    "job_changes_5y": count,
    "txn_income_regularity_90d": share,
    "n_open_accounts": count,
    "n_total_accounts": count,
    "earliest_credit_line": day,
    "account_open_date": day,
})  # fmt: skip


@pytest.fixture(scope="module")
def feature_sql(story: Story) -> FeatureSql:
    return FeatureSql(story.feature_sql)


def typed(rows: list[dict[str, Any]], columns: dict[str, str]) -> pa.Table:
    """Rows as the warehouse types them; what a row leaves out is null."""
    given_as_text = {
        name: pa.array([None if row.get(name) is None else str(row[name]) for row in rows], pa.string())
        for name in columns
    }
    casts = ", ".join(f"cast({name} as {kind}) as {name}" for name, kind in columns.items())
    with duckdb.connect() as connection:
        connection.register("rows", pa.table(given_as_text))
        return connection.execute(f"select {casts} from rows").to_arrow_table()


def features(sql: FeatureSql, story: Story, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    numbered = [row | {"loan_id": str(number), "decision_date": DECIDED} for number, row in enumerate(rows)]
    published = typed([], story.macro_columns)
    return sql.compute(typed(numbered, story.application_columns), published).to_pylist()


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(rows=st.lists(applications, min_size=5, max_size=15))
def test_no_feature_is_infinite_or_out_of_its_registered_range(
    feature_sql: FeatureSql, story: Story, rows: list[dict[str, Any]]
) -> None:
    for row, computed in zip(rows, features(feature_sql, story, rows), strict=True):
        for feature in NUMERIC:
            value = computed[feature.name]
            if value is None or (feature.name == "dti" and row["monthly_debt_service"] is not None):
                continue
            assert math.isfinite(value), (feature.name, value, row)
            assert feature.lower is None or value >= feature.lower, (feature.name, value, row)
            assert feature.upper is None or value <= feature.upper, (feature.name, value, row)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=st.lists(applications, min_size=5, max_size=15))
def test_more_income_or_longer_employment_never_looks_riskier(
    feature_sql: FeatureSql, story: Story, rows: list[dict[str, Any]]
) -> None:
    known = [row | {"annual_income": row["annual_income"] or 1.0} for row in rows]
    known = [row | {"employment_length_years": row["employment_length_years"] or 0} for row in known]
    better = [row | {"annual_income": row["annual_income"] * 2} for row in known]
    steadier = [row | {"employment_length_years": min(row["employment_length_years"] + 1, 10)} for row in known]
    base = features(feature_sql, story, known)
    for before, after in zip(base, features(feature_sql, story, better), strict=True):
        for name in ("emi_to_income", "loan_to_income", "debt_to_annual_income", "revolving_balance_to_income"):
            assert before[name] is None or after[name] <= before[name], name
    for before, after in zip(base, features(feature_sql, story, steadier), strict=True):
        assert after["income_stability"] >= before["income_stability"] - 1e-12


def test_an_income_of_zero_gives_nulls_and_a_flag(feature_sql: FeatureSql, story: Story) -> None:
    asked = {"loan_amount": 1_000, "term_months": 12, "annual_income": 0, "monthly_debt_service": 10}
    (computed,) = features(feature_sql, story, [asked])
    assert computed["income_is_missing"] == 1.0
    for name in ("dti", "emi_to_income", "post_loan_dti", "loan_to_income"):
        assert computed[name] is None
