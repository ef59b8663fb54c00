"""Contributions are the Shapley values they claim to be: by hand, by force, and as the shap library tells them."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_risk_platform.domain.explanation import Explainer, explainer, tree
from credit_risk_platform.domain.explanation.forest import Forest, below, down
from credit_risk_platform.domain.explanation.tables import leaf_tables, weights
from credit_risk_platform.domain.models.base import CreditModel
from credit_risk_platform.domain.models.frame import Category, FeatureTable
from credit_risk_platform.domain.models.zoo import ZOO, model_class
from tests.loan_sample import FEATURES, FEW_TREES, loans, trained

TREES = ("random_forest", "gradient_boosting", "xgboost", "lightgbm")
MARGIN = {"xgboost": 1e-5}
"""XGBoost adds its trees in float32; ours are added in float64."""


def frame() -> FeatureTable:
    return FeatureTable.from_arrow(loans()[0], FEATURES)


@cache
def explained(name: str) -> Explainer:
    return explainer(trained(name), frame().take(slice(0, 40)))


def margin(model: CreditModel, rows: FeatureTable) -> np.ndarray:
    """As the library itself gives it."""
    design, inner = model.design(rows), getattr(model, "_booster", None)
    match model.name:
        case "xgboost":
            return inner.inplace_predict(design, predict_type="margin").astype(np.float64)
        case "lightgbm":
            return inner.predict(design, raw_score=True)
        case "gradient_boosting":
            return inner.decision_function(design)
        case "random_forest":
            return model.predict(rows)
    return np.log(model.predict(rows) / (1 - model.predict(rows)))


def mixed(table: FeatureTable, taken: np.ndarray, row: int, loan: int) -> FeatureTable:
    """Rows of `row`'s values where `taken` (m, p) and of `loan`'s elsewhere."""
    width = len(table.numeric_names)
    numeric = np.where(taken[:, :width], table.numeric[row], table.numeric[loan])
    categories = tuple(
        Category(np.where(taken[:, width + k], column.codes[row], column.codes[loan]), column.levels)
        for k, column in enumerate(table.categorical)
    )
    return FeatureTable(numeric, table.numeric_names, categories, table.categorical_names, table.monotone)


def by_force(model: CreditModel, table: FeatureTable, row: int, loans_: range) -> np.ndarray:
    """Shapley values by their definition: every coalition of source features, against every loan."""
    p = len(table.names)
    taken = (np.arange(1 << p)[:, None] >> np.arange(p) & 1).astype(bool)
    value = np.mean([margin(model, mixed(table, taken, row, loan)) for loan in loans_], axis=0)
    size = taken.sum(axis=1)
    share = np.array([math.factorial(s) * math.factorial(max(p - s - 1, 0)) / math.factorial(p) for s in range(p + 1)])
    out = [np.flatnonzero(~taken[:, k]) for k in range(p)]
    return np.array([np.sum(share[size[rows]] * (value[rows | 1 << k] - value[rows])) for k, rows in enumerate(out)])


@pytest.mark.parametrize("players", [12, 3, 0])
@pytest.mark.parametrize("name", ZOO)
def test_contributions_are_those_counted_out_over_every_coalition_of_source_features(name, players, monkeypatch):
    monkeypatch.setattr(tree, "TABLE_PLAYERS", players)
    monkeypatch.setattr(tree, "PART_LEAVES", 50 if players == 3 else 4_096)
    model, table, rows = trained(name), frame(), (1203, 2750)
    told = explainer(model, table.take(slice(0, 4))).contributions(table.take(np.array(rows)))
    truth = np.array([by_force(model, table, row, range(4)) for row in rows])
    assert np.abs(told - truth).max() < MARGIN.get(name, 1e-9)


@pytest.mark.parametrize("name", ZOO)
def test_the_margin_is_the_librarys_own_also_for_values_never_met_in_training(name):
    table = loans()[0].slice(1000, 600)
    strange = pa.array([None, "unheard of", "car"] * 200)
    table = table.set_column(table.column_names.index("purpose"), "purpose", strange)
    table = table.set_column(table.column_names.index("income"), "income", pa.array([None, -5.0, 1e12] * 200))
    rows = FeatureTable.from_arrow(table, FEATURES)
    assert np.abs(explained(name).margin(rows) - margin(trained(name), rows)).max() < MARGIN.get(name, 1e-6)


@pytest.mark.parametrize("name", ZOO)
@settings(max_examples=15, deadline=None)
@given(
    rows=st.lists(st.integers(0, 2_999), min_size=1, max_size=40),
    cells=st.sampled_from([1, 1 << 12, 1 << 18]),
    block=st.sampled_from([7, 4_096]),
)
def test_contributions_sum_to_the_margin_and_company_changes_nothing(name, rows, cells, block):
    why, asked = explained(name), frame().take(np.array(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tree, "CELLS", cells)
        patch.setattr(tree, "BLOCK_ROWS", block)
        told, sums = why.contributions(asked), why.margin(asked)
    assert np.abs(why.base + told.sum(axis=1) - sums).max() < 1e-9
    assert why.contributions(asked.take(slice(0, 1))).tobytes() == told[:1].tobytes()
    assert why.contributions(asked.take(slice(None, None, -1)))[::-1].tobytes() == told.tobytes()


@pytest.mark.parametrize("name", ZOO)
def test_a_feature_the_model_never_saw_a_value_of_explains_nothing(name):
    why = explained(name)
    told = why.contributions(frame().take(slice(100, 200)))
    assert why.features == trained(name).preprocessor.features
    assert (told[:, why.features.index("ltv")] == 0).all()
    assert np.abs(told[:, why.features.index("constant")]).max() < 1e-12


@pytest.mark.parametrize("name", ZOO)
def test_a_loan_against_itself_needs_no_explanation_and_no_rows_give_none(name):
    one = frame().take(slice(7, 8))
    assert np.abs(explainer(trained(name), one).contributions(one)).max() < 1e-12
    assert explained(name).contributions(one.take(slice(0, 0))).shape == (0, 10)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning:shap")  # shap colours a matplotlib map at import
@pytest.mark.parametrize("name", TREES)
def test_the_shap_library_says_the_same_where_every_feature_is_one_column(name):
    import shap

    table, y, _ = loans()
    plain = tuple(f for f in FEATURES if f.name in ("income", "net_worth", "inquiries", "noise"))
    rows = FeatureTable.from_arrow(table, plain)
    model: Any = model_class(name)().fit(rows, y, params=FEW_TREES[name], seed=1)
    background, asked = rows.take(slice(0, 50)), rows.take(slice(500, 560))
    library = model._grown if name == "random_forest" else model._booster
    theirs = shap.TreeExplainer(library, data=model.design(background), feature_perturbation="interventional")
    told = np.asarray(theirs.shap_values(model.design(asked), check_additivity=False))
    told = told[:, :, 1] if told.ndim == 3 else told
    assert np.abs(explainer(model, background).contributions(asked) - told).max() < 1e-6


def test_two_features_that_must_meet_share_what_their_meeting_brings():
    # A leaf worth 6 asks for both features. The row has both; of four loans one has both, one only the first, two none.
    # Against those with none each gets 3, against the one with the first the second gets all 6, against both nothing:
    # first (3 + 3 + 0 + 0) / 4 = 1.5, second (3 + 3 + 6 + 0) / 4 = 3, in all 4.5 = 6 - 6 / 4.
    f, g = leaf_tables(np.array([[0.25, 0.0, 0.25, 0.5]]), np.array([6.0]))
    assert f[0, 0] - g[0, 0b01] == pytest.approx(1.5)
    assert f[0, 0] - g[0, 0b10] == pytest.approx(3.0)
    # A row that fails the first differs only from the loan that has both, by the first: -6 / 4, the second nothing.
    # With the loan that fails the second alone no mixed row reaches the leaf by one change, but by both: +-6 / 8 each.
    assert f[0, 0b01] - g[0, 0b01] == pytest.approx(-6 / 4 - 6 / 8)
    assert f[0, 0b01] - g[0, 0b11] == pytest.approx(6 / 8)


def test_the_weights_of_the_closed_form_are_its_factorials():
    gain, loss = weights(3)
    assert gain[2, 1] == pytest.approx(math.factorial(1) * math.factorial(1) / math.factorial(3))
    assert loss[2, 1] == pytest.approx(math.factorial(2) * math.factorial(0) / math.factorial(3))
    assert (gain[0] == 0).all()
    assert (loss[:, 0] == 0).all()


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6, width=32))
def test_float32_edges_cut_where_the_library_cuts(limit, value):
    assert (np.float32(value) <= down(np.array([limit]))[0]) == (value <= limit)
    assert not np.float32(value) <= below(np.array([value]))[0]
    assert (np.float32(value) <= below(np.array([np.float32(limit)]))[0]) == (value < np.float32(limit))


def test_joined_trees_keep_their_own_children():
    one = Forest.tree(
        np.array([0, 0, 0]), np.zeros(3), np.zeros(3, bool), np.array([1, -1, -1]), np.array([2, -1, -1]), np.ones(3)
    )
    both = Forest.join([one, one], 0.5)
    assert both.roots.tolist() == [0, 3]
    assert both.left.tolist() == [1, -1, -1, 4, -1, -1]
    assert both.bias == 0.5
