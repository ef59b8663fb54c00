"""Six models, one interface: they learn, they repeat themselves to the byte, they survive being saved."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import skops.io

from credit_risk_platform.domain.metrics import auc
from credit_risk_platform.domain.models import skops_format
from credit_risk_platform.domain.models.base import ModelError, sigmoid, strided
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.models.zoo import ZOO, model_class
from tests.loan_sample import FEATURES, FEW_TREES, MODELS, fit, loans, trained


@pytest.fixture(scope="module")
def unseen() -> tuple[FeatureTable, np.ndarray]:
    table, y, _ = loans()
    return FeatureTable.from_arrow(table, FEATURES).take(slice(2_400, 3_000)), y[2_400:]


def test_the_zoo_holds_the_six_candidates():
    assert tuple(ZOO) == MODELS
    assert all(model_class(name).name == name for name in ZOO)
    with pytest.raises(ModelError, match="no model 'oracle' in the zoo; there are logistic_regression"):
        model_class("oracle")


@pytest.mark.parametrize("name", MODELS)
def test_every_model_ranks_loans_it_has_not_seen(name, unseen):
    frame, y = unseen
    p = trained(name).predict(frame)
    assert p.shape == y.shape
    assert p.dtype == np.float64
    assert ((p > 0) & (p < 1)).all()
    assert auc(y, p) > 0.65


@pytest.mark.parametrize("name", MODELS)
def test_training_twice_gives_the_same_bytes(name):
    assert fit(name).save() == trained(name).save()


@pytest.mark.parametrize("name", MODELS)
def test_a_saved_model_predicts_the_same_bits_and_saves_the_same_bytes(name, unseen):
    files = trained(name).save()
    again = model_class(name).load(files)
    assert again.predict(unseen[0]).tobytes() == trained(name).predict(unseen[0]).tobytes()
    assert again.save() == files
    assert again.importance() == trained(name).importance()
    assert again.params == trained(name).params


@pytest.mark.parametrize("name", MODELS)
def test_importance_is_per_feature_and_sums_to_one(name):
    shares = trained(name).importance()
    assert set(shares) == {feature.name for feature in FEATURES}
    assert sum(shares.values()) == pytest.approx(1.0)
    assert min(shares.values()) >= 0
    assert shares["ltv"] == 0
    assert next(iter(shares)) in ("dti", "income", "inquiries", "purpose")


@pytest.mark.parametrize("name", MODELS)
def test_the_sign_of_an_effect_is_the_true_one(name):
    directions = trained(name).directions
    assert (directions["dti"], directions["income"], directions["inquiries"]) == (1, -1, 1)
    assert directions.get("constant", 0) == 0
    assert "purpose" not in directions


@pytest.mark.parametrize("name", ["gradient_boosting", "xgboost", "lightgbm"])
def test_the_stopping_split_ends_boosting_early(name):
    table, y, _ = loans()
    frame = FeatureTable.from_arrow(table, FEATURES)
    rounds = {"gradient_boosting": "max_iter"}.get(name, "n_estimators")
    told: list[str] = []
    model_class(name)().fit(
        frame.take(slice(0, 2_400)), y[:2_400], frame.take(slice(2_400, 3_000)), y[2_400:],
        params={rounds: 400, "learning_rate": 0.3}, seed=1, on_progress=told.append,
    )  # fmt: skip
    kept = int(told[-1].split(" of 400")[0].split()[-1])
    assert kept < 120


@pytest.mark.parametrize("name", ["gradient_boosting", "xgboost", "lightgbm"])
def test_a_monotone_model_never_rewards_a_higher_dti(name, unseen):
    model = fit(name, monotone=True)
    frame = unseen[0].take(np.zeros(50, dtype=np.int64))
    numeric = frame.numeric.copy()
    numeric[:, frame.numeric_names.index("dti")] = np.linspace(0, 1, 50)
    raised = FeatureTable(numeric, frame.numeric_names, frame.categorical, frame.categorical_names, frame.monotone)
    assert (np.diff(model.predict(raised)) >= 0).all()


def test_xgboost_starts_from_the_parameters_of_the_source_system():
    defaults = model_class("xgboost").default_params
    expected = {"max_depth": 6, "learning_rate": 0.1, "n_estimators": 200, "objective": "binary:logistic",
                "scale_pos_weight": "auto"}  # fmt: skip
    assert {name: defaults[name] for name in expected} == expected


def test_the_class_weight_inflates_xgboosts_raw_probability_as_its_docstring_warns(unseen):
    frame, y = unseen
    assert fit("xgboost").predict(frame).mean() > 1.5 * y.mean()
    assert fit("xgboost", scale_pos_weight=1.0).predict(frame).mean() == pytest.approx(y.mean(), rel=0.25)


def test_xgboost_in_blocks_learns_the_rows_with_their_own_labels(monkeypatch, unseen):
    from credit_risk_platform.domain.models import xgboost as module

    monkeypatch.setattr(module, "MATRIX_ROWS", 500)  # five blocks and cut points from a sample
    frame, y = unseen
    assert auc(y, fit("xgboost").predict(frame)) == pytest.approx(auc(y, trained("xgboost").predict(frame)), abs=0.02)


def test_logistic_regression_equals_its_formula_by_hand(unseen):
    model, frame = trained("logistic_regression"), unseen[0].take(slice(0, 5))
    stored = json.loads(model.save()["coefficients.json"])
    by_hand = 1 / (1 + np.exp(-(stored["intercept"] + model.design(frame) @ np.array(stored["weights"]))))
    assert model.predict(frame) == pytest.approx(by_hand, rel=1e-12)


@pytest.mark.parametrize(
    ("y", "complaint"),
    [
        (np.zeros(2_400), "all labels are equal"),
        (np.full(2_400, np.nan), "labels must be 0 or 1"),
        (np.zeros(7), r"2400 rows but labels of shape \(7,\)"),
    ],
)
def test_labels_that_cannot_teach_are_refused(y, complaint):
    frame = FeatureTable.from_arrow(loans()[0], FEATURES).take(slice(0, 2_400))
    with pytest.raises(ModelError, match=complaint):
        model_class("logistic_regression")().fit(frame, y)


def test_a_misspelt_parameter_is_refused_instead_of_ignored():
    with pytest.raises(ModelError, match="xgboost has no parameter max_dept; it knows max_depth"):
        fit("xgboost", max_dept=3)


def test_an_untrained_model_says_so(unseen):
    with pytest.raises(ModelError, match="not trained yet"):
        model_class("lightgbm")().predict(unseen[0])


def test_files_of_another_model_are_refused():
    with pytest.raises(ModelError, match="hold a logistic_regression model, not xgboost"):
        model_class("xgboost").load(trained("logistic_regression").save())


@pytest.mark.parametrize("name", ["random_forest", "gradient_boosting"])
def test_a_skops_archive_with_a_foreign_type_is_refused(name):
    file = next(name for name in trained(name).save() if name.endswith(".skops"))
    foreign = skops.io.dumps({"model": subprocess.Popen.__init__.__class__, "x": io.BytesIO})
    with pytest.raises(ModelError, match="types no model of ours holds"):
        model_class(name).load({**trained(name).save(), file: foreign})


def test_skops_bytes_carry_no_address_and_no_date():
    with zipfile.ZipFile(io.BytesIO(trained("random_forest").save()["forest.skops"])) as source:
        names = [info.filename for info in source.infolist()]
        assert {info.date_time for info in source.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert sorted(names)[:2] == ["000001.npy", "000002.npy"]


def test_padding_bytes_of_record_arrays_do_not_reach_the_archive():
    kind = np.dtype({"names": ["a", "b"], "formats": ["u1", "f8"], "offsets": [0, 8], "itemsize": 16})
    bodies = []
    for filler in (0, 255):
        raw = np.full(32, filler, np.uint8)
        records = raw.view(kind)
        records["a"], records["b"] = [1, 2], [0.5, 0.25]
        target = io.BytesIO()
        np.save(target, records)
        bodies.append(skops_format._without_padding(target.getvalue()))
    assert bodies[0] == bodies[1]


def test_asking_for_one_model_does_not_load_the_libraries_of_the_others():
    code = (
        "import sys; from credit_risk_platform.domain.models.zoo import model_class;"
        "import credit_risk_platform.domain.scoring;"
        "model_class('logistic_regression'); model_class('xgboost');"
        "print([m for m in ('xgboost', 'lightgbm', 'sklearn', 'skops', 'scipy', 'pandas') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_helpers_by_hand():
    assert sigmoid(np.array([0.0, -800.0, 800.0])).tolist() == [0.5, 0.0, 1.0]
    assert strided(5, 10) == slice(None)
    assert strided(100, 3).tolist() == [0, 49, 99]
    assert set(FEW_TREES) == set(ZOO)
