"""A scorecard anybody can add up, that says the same as the library its bins came from."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_risk_platform.domain.models.base import ModelError, sigmoid
from credit_risk_platform.domain.models.frame import Category, FeatureTable
from credit_risk_platform.domain.models.scorecard import CARD, Scorecard
from credit_risk_platform.domain.models.scorecard_table import ScorecardTable
from credit_risk_platform.domain.models.woe import Binned, LevelBins, NumberBins
from credit_risk_platform.domain.points import POINTS_FACTOR, POINTS_OFFSET, points
from tests.loan_sample import FEATURES, loans

ROWS = 10_000
NEARLY_ALL = {"min_iv": 0.001, "special_codes": {"dti": [999.0]}}


@pytest.fixture(scope="module")
def book() -> tuple[FeatureTable, np.ndarray]:
    """Ten thousand loans; one dti in twenty says 999, and nobody borrows for a wedding."""
    table, y, _ = loans(ROWS, seed=8)
    frame = FeatureTable.from_arrow(table, FEATURES)
    frame.numeric[::20, 0] = 999.0
    car, wedding = (frame.categorical[0].levels.index(level) for level in ("car", "wedding"))
    codes = frame.categorical[0].codes
    codes = np.where(codes == wedding, car, codes)
    purpose = Category(codes, frame.categorical[0].levels)
    changed = (purpose, *frame.categorical[1:])
    return FeatureTable(frame.numeric, frame.numeric_names, changed, frame.categorical_names, frame.monotone), y


@pytest.fixture(scope="module")
def card(book) -> Scorecard:
    return Scorecard().fit(*book, params=NEARLY_ALL)


def one(book: tuple[FeatureTable, np.ndarray], **values: float) -> FeatureTable:
    """The first loan with other numbers."""
    frame = book[0].take(slice(0, 1))
    numeric = frame.numeric.copy()
    for name, value in values.items():
        numeric[0, frame.numeric_names.index(name)] = value
    return FeatureTable(numeric, frame.numeric_names, frame.categorical, frame.categorical_names, frame.monotone)


def gap(card: Scorecard, before: FeatureTable, after: FeatureTable) -> float:
    scores = [points(card.predict(frame))[0] for frame in (before, after)]
    return float(scores[1] - scores[0])


def as_pandas(frame: FeatureTable) -> pd.DataFrame:
    columns = {name: frame.numeric[:, j] for j, name in enumerate(frame.numeric_names)}
    for name, column in zip(frame.categorical_names, frame.categorical, strict=True):
        columns[name] = np.array([*column.levels, None], dtype=object)[column.codes]
    return pd.DataFrame(columns)


def test_the_table_scores_as_optbinning_does(book, card):
    from optbinning import BinningProcess
    from optbinning import Scorecard as Reference
    from sklearn.linear_model import LogisticRegression

    lines = {line.feature: line.binned.bins for line in card.table.characteristics}
    fixed = {}
    for name, bins in lines.items():
        if isinstance(bins, NumberBins):
            cuts = list(bins.edges)
        else:
            cuts = np.array([np.array(group, dtype=object) for group in bins.groups], dtype=object)
        codes = {"special_codes": [999.0]} if name == "dti" else {}
        fixed[name] = {"user_splits": cuts, "user_splits_fixed": [True] * len(cuts), "monotonic_trend": None, **codes}
    texts = [name for name, bins in lines.items() if isinstance(bins, LevelBins)]
    reference = Reference(
        BinningProcess(list(lines), categorical_variables=texts, binning_fit_params=fixed),
        LogisticRegression(C=1.0, solver="newton-cholesky", max_iter=200),
        scaling_method="pdo_odds",
        scaling_method_params={"pdo": 20, "odds": 50, "scorecard_points": 600},
    )
    table = as_pandas(book[0])[list(lines)]
    reference.fit(table, book[1].astype(int), metric_special="empirical", metric_missing="empirical")
    assert len(lines) == 7
    assert points(card.predict(book[0])) == pytest.approx(reference.score(table), abs=1e-8)


def test_the_same_loans_give_the_same_card_to_the_byte(book, card):
    again = Scorecard().fit(*book, params=NEARLY_ALL)
    hashes = {hashlib.sha256(model.save()[CARD]).hexdigest() for model in (card, again)}
    assert len(hashes) == 1


def test_a_card_by_hand_gives_the_pd_of_its_points():
    # ln(0.98 / 0.02) = 3.8918203 = 1 * ln 2.25 - 0.5 * WOE 0 + intercept, all against bad: 599.417073 points.
    lender = Binned.count("x", NumberBins((1.0,)), np.repeat([0.0, 1.0], 100), np.tile(np.arange(100) < 10, 2) * 1.0)
    good = Binned("x", lender.bins, (100, 100, 0), (10, 30, 0), (0.8109302162163288, -0.5389965007326869, 0.0), 0.42)
    flat = Binned("z", NumberBins(()), (200, 0), (40, 0), (0.0, 0.0), 0.0)
    intercept = -(np.log(49) - 0.8109302162163288)
    table = ScorecardTable.scaled([good, flat], [0, 1], [-1.0, -0.5], intercept, [])
    design = np.array([[0.5, 7.0]])
    assert table.probability(design)[0] == pytest.approx(0.02, abs=1e-12)
    assert table.points(design).sum() == pytest.approx(599.417073, abs=1e-6)
    assert table.points(design)[0, 1] == pytest.approx((POINTS_OFFSET - POINTS_FACTOR * intercept) / 2)


@settings(deadline=None, max_examples=40)
@given(
    rows=st.lists(
        st.tuples(st.floats(-1, 1e3), st.floats(0, 1e7), st.one_of(st.none(), st.floats(0, 90))), min_size=1, max_size=9
    )
)
def test_the_points_of_any_application_sum_to_its_score(book, card, rows):
    sampled = book[0].take(np.arange(len(rows)))  # a copy
    for k, (dti, income, delinq) in enumerate(rows):
        sampled.numeric[k, :3] = (dti, income, np.nan if delinq is None else delinq)
    parts = card.table.points(card.design(sampled))
    assert parts.sum(axis=1) == pytest.approx(points(card.predict(sampled)), abs=1e-9)


def test_missing_and_special_values_get_the_points_of_their_own_bins(book, card):
    line = next(line for line in card.table.characteristics if line.feature == "dti")
    code, missing = line.points[-2], line.points[-1]
    base = one(book, dti=0.1)
    ordinary = line.of(np.array([0.1]))[0]
    assert gap(card, base, one(book, dti=999.0)) == pytest.approx(code - ordinary)
    assert gap(card, base, one(book, dti=np.nan)) == pytest.approx(missing - ordinary)
    assert line.binned.rows[-2] == ROWS / 20
    assert code != missing


def test_a_category_nobody_saw_in_training_scores_as_the_average_loan(book, card):
    frame = one(book)
    unseen = Category(np.zeros(1, np.int32), ("space_tourism",))
    strange = FeatureTable(
        frame.numeric, frame.numeric_names, (unseen, *frame.categorical[1:]), frame.categorical_names, frame.monotone
    )
    place = card.table.features.index("purpose")
    line = card.table.characteristics[place]
    assert line.binned.woe[-2] == 0.0
    assert card.table.points(card.design(strange))[0, place] == line.points[-2]


def test_every_line_pays_for_what_is_better(card):
    for line in card.table.characteristics:
        assert line.coefficient <= 0
        assert np.array(line.points)[np.argsort(line.binned.woe)].tolist() == sorted(line.points)


def test_a_feature_the_regression_would_turn_round_is_left_out_and_named():
    # `copy` is `x` with noise: once x is in, a good `copy` has nothing to add, and these labels make it add the wrong.
    rng = np.random.default_rng(0)
    x = rng.normal(size=6_000)
    copy = x + 0.4 * rng.normal(size=x.size)
    y = (rng.random(x.size) < sigmoid(-1.5 + 2 * x - 0.9 * copy)).astype(np.float64)
    frame = FeatureTable(np.column_stack([x, copy]), ("x", "copy"), (), (), (1, 1))
    model = Scorecard().fit(frame, y)
    assert model.table.features == ("x",)
    assert [(gone.feature, gone.why) for gone in model.table.dropped] == [
        ("copy", "its coefficient had the wrong sign beside the others")
    ]
    assert model.importance() == {"x": 1.0, "copy": 0.0}


def test_weak_features_are_left_out_but_never_all_of_them(book):
    told: list[str] = []
    model = Scorecard().fit(*book, params={"min_iv": 99.0}, on_progress=told.append)
    assert len(model.table.features) == 1
    assert {gone.why for gone in model.table.dropped} == {"information value below 99"}
    assert told[-1] == "scorecard: 1 of 9 features score"


def test_a_feature_that_is_too_good_to_be_true_is_pointed_out(book):
    y = book[1]
    spied = book[0].numeric.copy()
    spied[:, 6] = y + np.random.default_rng(1).normal(scale=0.8, size=y.size)  # noise
    frame = FeatureTable(spied, book[0].numeric_names, book[0].categorical, book[0].categorical_names, book[0].monotone)
    told: list[str] = []
    model = Scorecard().fit(frame, y, on_progress=told.append)
    assert any("noise has an information value of" in line and "above 0.5" in line for line in told)
    shown = {row["feature"]: row["finding"] for row in model.tables()["scorecard_features"].to_pylist()}
    assert shown["noise"] == "scores; IV above 0.5: is it known at the time?"


def test_the_explanation_is_the_points_lost_against_the_background(book, card):
    background, asked = book[0].take(slice(0, 50)), book[0].take(slice(50, 150))
    explainer = card.explain(background)
    found = explainer.contributions(asked)
    scored = card.table.points(card.design(asked)), card.table.points(card.design(background))
    expected = -(scored[0] - scored[1].mean(axis=0)) / POINTS_FACTOR
    places = [explainer.features.index(name) for name in card.table.features]
    assert found[:, places] == pytest.approx(expected, abs=1e-12)
    assert np.delete(found, places, axis=1).any() == np.False_
    assert sigmoid(explainer.base + found.sum(axis=1)) == pytest.approx(card.predict(asked), abs=1e-9)


def test_what_the_card_shows_adds_up(card):
    shown = card.tables()["scorecard_points"].to_pylist()
    dti = [row for row in shown if row["feature"] == "dti"]
    assert sum(row["loans"] for row in dti) == ROWS
    assert sum(row["share"] for row in dti) == pytest.approx(1.0)
    assert [row["bin"] for row in dti[-2:]] == ["code 999", "missing"]
    ivs = [row["iv"] for row in card.tables()["scorecard_features"].to_pylist()]
    assert ivs == sorted(ivs, reverse=True)


def test_scoring_needs_neither_optbinning_nor_scikit_learn(card, tmp_path):
    for name, content in card.save().items():
        (tmp_path / name).write_bytes(content)
    code = (
        "import sys, numpy as np; from pathlib import Path;"
        "from credit_risk_platform.domain.models.frame import Category, FeatureTable;"
        "from credit_risk_platform.domain.models.zoo import model_class;"
        f"files = {{p.name: p.read_bytes() for p in Path({str(tmp_path)!r}).iterdir()}};"
        "card = model_class('scorecard').load(files); rules = card.preprocessor;"
        "numbers = tuple(r.name for r in rules.numeric); texts = tuple(r.name for r in rules.categorical);"
        "empty = tuple(Category(np.full(1, -1, np.int32), ()) for _ in texts);"
        "frame = FeatureTable(np.full((1, len(numbers)), np.nan), numbers, empty, texts, (0,) * len(numbers));"
        "print(float(card.predict(frame)[0]) > 0, [m for m in ('optbinning', 'sklearn', 'cvxpy') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "True []"


def test_codes_for_a_feature_that_is_no_number_are_refused(book):
    with pytest.raises(ModelError, match="special codes for purpose: no numeric feature of that name"):
        Scorecard().fit(*book, params={"special_codes": {"purpose": [1]}})


def test_the_stored_card_names_its_scale(card):
    stored = json.loads(card.save()[CARD])
    assert (stored["factor"], stored["offset"]) == (POINTS_FACTOR, POINTS_OFFSET)
