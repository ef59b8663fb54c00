"""A feature computed for one application online must be the feature the model was trained on, to the last bit."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from credit_risk_platform.adapters.feature_sql import FeatureSql, FeatureSqlError
from credit_risk_platform.domain.features import MARTS, of_stages
from credit_risk_platform.domain.parity import differences
from tests.mart_book import built_marts, compiled_project


@pytest.fixture(scope="module")
def feature_sql() -> FeatureSql:
    return FeatureSql.from_manifest(compiled_project()[1])


@pytest.fixture(scope="module")
def stored() -> pa.Table:
    return built_marts().warehouse.query("select * from gold.application_features order by loan_id")


@pytest.fixture(scope="module")
def applications() -> pa.Table:
    return built_marts().warehouse.query("select * from silver.int_applications order by loan_id")


@pytest.fixture(scope="module")
def macro() -> pa.Table:
    return built_marts().warehouse.query("select * from silver.int_macro_published")


def test_the_whole_book_recomputed_equals_the_mart(feature_sql, stored, applications, macro) -> None:
    computed = feature_sql.compute(applications, macro)
    assert differences(stored, computed, "loan_id") == ()
    assert computed.num_rows == 1_500
    assert {feature.name for feature in of_stages(*MARTS["application_features"])} <= set(computed.column_names)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 1_499), min_size=1, max_size=40, unique=True))
def test_a_feature_does_not_depend_on_who_else_is_in_the_batch_or_in_what_order(
    feature_sql, stored, applications, macro, rows: list[int]
) -> None:
    computed = feature_sql.compute(applications.take(rows), macro)
    assert differences(stored.take(rows), computed, "loan_id") == ()


def test_two_loans_of_one_applicant_are_two_rows(feature_sql, applications, macro) -> None:
    same_person = pa.array(["one"] * 2)
    pair = applications.slice(0, 2)
    pair = pair.set_column(pair.schema.get_field_index("subject_token"), "subject_token", same_person)
    assert feature_sql.compute(pair, macro).num_rows == 2


def test_what_was_published_after_the_decision_changes_nothing(feature_sql, applications, macro) -> None:
    one = applications.slice(700, 1)
    known = macro.filter(pc.less_equal(macro["valid_from"], one["decision_date"][0]))
    assert 0 < known.num_rows < macro.num_rows
    assert differences(feature_sql.compute(one, macro), feature_sql.compute(one, known), "loan_id") == ()


def test_the_sql_and_its_hash_are_what_the_mart_was_built_with(feature_sql) -> None:
    specs = [spec for asset in built_marts().definitions.assets for spec in asset.specs]
    (mart,) = (spec for spec in specs if spec.key.path[-1] == "application_features")
    assert feature_sql.sql.strip() in mart.metadata["sql"].value
    assert FeatureSql(feature_sql.sql).sha256 == feature_sql.sha256
    assert FeatureSql(feature_sql.sql + " ").sha256 != feature_sql.sha256


def test_a_column_the_caller_left_out_is_named(feature_sql, applications, macro) -> None:
    with pytest.raises(FeatureSqlError, match="annual_income"):
        feature_sql.compute(applications.drop_columns(["annual_income"]), macro)


def test_an_application_sent_twice_is_refused_rather_than_scored_twice(feature_sql, applications, macro) -> None:
    with pytest.raises(FeatureSqlError, match="loan_id must be unique"):
        feature_sql.compute(pa.concat_tables([applications.slice(0, 1)] * 2), macro)


def test_an_empty_batch_gives_an_empty_table_with_all_columns(feature_sql, stored, applications, macro) -> None:
    computed = feature_sql.compute(applications.slice(0, 0), macro)
    assert computed.num_rows == 0
    assert computed.column_names == stored.column_names
