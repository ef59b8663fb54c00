"""Inputs are prepared by rules from training alone; a scoring batch teaches nothing."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from credit_risk_platform.domain.models.base import to_json
from credit_risk_platform.domain.models.frame import FeatureTable, FrameError, InputFeature
from credit_risk_platform.domain.models.preprocessing import Preprocessor, Shape, Style, skewness
from tests.loan_sample import FEATURES, loans


def numbers(*values: float | None) -> FeatureTable:
    return FeatureTable.from_arrow(pa.table({"x": pa.array(values, pa.float64())}), [InputFeature("x", "numeric", 1)])


def texts(values: list[str | None]) -> FeatureTable:
    return FeatureTable.from_arrow(pa.table({"c": pa.array(values, pa.string())}), [InputFeature("c", "categorical")])


@pytest.fixture(scope="module")
def book() -> FeatureTable:
    return FeatureTable.from_arrow(loans()[0], FEATURES)


def test_missing_numbers_take_the_training_median_and_say_so():
    rules = Preprocessor.fit(numbers(1, 2, 3, 4, 100, None), Style.FILLED)
    assert rules.columns == ("x", "x=missing")
    assert rules.transform(numbers(None, 50)).tolist() == [[3.0, 1.0], [50.0, 0.0]]


def test_a_number_that_was_never_missing_in_training_gets_no_indicator_but_is_filled():
    rules = Preprocessor.fit(numbers(1, 2, 3), Style.FILLED)
    assert rules.transform(numbers(None)).tolist() == [[2.0]]


def test_standardising_uses_the_training_mean_and_spread():
    rules = Preprocessor.fit(numbers(*range(11)), Style.LINEAR)
    prepared = rules.transform(numbers(5, 5 + np.arange(11).std()))
    assert prepared[0, 0] == pytest.approx(0.0, abs=1e-12)
    assert prepared[1, 0] == pytest.approx(1.0, abs=0.02)  # the cut at 1 % and 99 % narrows the spread a little


def test_values_beyond_the_training_quantiles_are_cut():
    rules = Preprocessor.fit(numbers(*range(1001)), Style.LINEAR)
    cut = rules.transform(numbers(990, 5_000, 1e12))[:, 0]
    assert cut[0] == cut[1] == cut[2]


@pytest.mark.parametrize(
    ("values", "shape"),
    [
        (np.random.default_rng(0).lognormal(11, 1, 2_000), Shape.LOG),
        (np.random.default_rng(0).normal(size=2_000), Shape.PLAIN),
        (np.random.default_rng(0).gamma(0.3, 2, 2_000) - 0.2, Shape.SIGNED_LOG),
    ],
)
def test_skewed_numbers_are_straightened_and_others_left_alone(values, shape):
    rules = Preprocessor.fit(numbers(*values), Style.LINEAR)
    assert rules.numeric[0].shape is shape
    assert abs(skewness(rules.transform(numbers(*values))[:, 0])) <= abs(skewness(values))


def test_skewness_of_a_known_sample():
    assert skewness(np.array([0.0, 0.0, 0.0, 4.0])) == pytest.approx(2 / np.sqrt(3))
    assert skewness(np.ones(5)) == 0.0


def test_rare_and_unseen_levels_join_other_and_nothing_is_missing():
    rules = Preprocessor.fit(texts(["A"] * 50 + ["B"] * 30 + ["rare"] * 3 + [None]), Style.NATIVE)
    assert rules.columns == ("c=A", "c=B", "c=other", "c=missing")
    prepared = rules.transform(texts(["A", "B", "rare", "never seen", None]))
    assert prepared.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def test_an_absent_level_can_be_missing_for_sparse_learners():
    rules = Preprocessor.fit(texts(["A"] * 50), Style.NATIVE)
    assert np.isnan(rules.transform(texts(["A"]), absent=np.nan)[0]).tolist() == [False, True, True]


def test_trees_that_understand_missing_get_it_untouched():
    rules = Preprocessor.fit(numbers(1, 2, None), Style.NATIVE)
    assert np.isnan(rules.transform(numbers(None))[0, 0])


def test_a_feature_nobody_ever_knew_gets_no_column(book):
    for style in Style:
        rules = Preprocessor.fit(book, style)
        assert "ltv" in rules.features
        assert "ltv" not in rules.sources


def test_a_row_is_prepared_the_same_whoever_else_is_in_the_batch(book):
    for style in Style:
        rules = Preprocessor.fit(book.take(slice(0, 2_000)), style)
        whole = rules.transform(book)
        picked = np.array([2_999, 5, 17])
        assert rules.transform(book.take(picked)).tobytes() == whole[picked].tobytes()


def test_rules_survive_json_to_the_last_bit(book):
    for style in Style:
        rules = Preprocessor.fit(book, style)
        again = Preprocessor.from_dict(json.loads(to_json(rules.to_dict())))
        assert again == rules
        assert again.transform(book).tobytes() == rules.transform(book).tobytes()


def test_monotone_directions_belong_to_numbers_only(book):
    rules = Preprocessor.fit(book, Style.FILLED)
    signed = {column: sign for column, sign in zip(rules.columns, rules.monotone, strict=True) if sign}
    assert signed == {"dti": 1, "income": -1, "inquiries": 1}


def test_features_in_another_order_are_refused_rather_than_mixed_up(book):
    rules = Preprocessor.fit(book, Style.NATIVE)
    other = FeatureTable.from_arrow(loans()[0], tuple(reversed(FEATURES)))
    with pytest.raises(FrameError, match="fitted on dti, income"):
        rules.transform(other)


def test_a_model_that_bins_gets_numbers_as_they_are_and_one_column_of_positions_per_category():
    table = pa.table({"x": pa.array([1.5, None, -3.0]), "c": pa.array(["b", None, "never"]), "empty": pa.nulls(3)})
    features = [InputFeature("x", "numeric", 1), InputFeature("c", "categorical"), InputFeature("empty", "numeric")]
    train = pa.table({"x": pa.array([0.0] * 60), "c": pa.array(["a", "b", None] * 20), "empty": pa.nulls(60)})
    rules = Preprocessor.fit(FeatureTable.from_arrow(train, features), Style.BINNED)
    design = rules.transform(FeatureTable.from_arrow(table, features))
    assert rules.columns == rules.sources == ("x", "c")
    assert rules.monotone == (1, 0)
    assert design.dtype == np.float64
    np.testing.assert_array_equal(design, [[1.5, 1.0], [np.nan, 3.0], [-3.0, 2.0]])  # a, b, other, missing
    assert Preprocessor.from_dict(rules.to_dict()) == rules
