"""The search is bounded, repeatable, and judges parameters on later vintages than it trained them on."""

from __future__ import annotations

import numpy as np
import pytest

from credit_risk_platform.domain.models import tuning
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.models.tuning import Tuning, draw, tune
from credit_risk_platform.domain.models.zoo import ZOO, model_class
from tests.loan_sample import FEATURES, loans


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def result(told: list[str]) -> Tuning:
    table, y, months = loans()
    return tune(
        model_class("logistic_regression"), FeatureTable.from_arrow(table, FEATURES), y, months,
        trials=3, folds=3, seed=5, on_progress=told.append,
    )  # fmt: skip


def test_the_defaults_come_first_and_progress_counts_trials_with_their_spread(result, told):
    assert result.trials[0].params == {}
    assert [line.split(" AUC")[0] for line in told] == [f"logistic_regression: trial {k}/3" for k in (1, 2, 3)]
    assert f"{result.trials[1].mean:.4f} ± {result.trials[1].sd:.4f}" in told[1]


def test_the_best_trial_has_the_highest_mean_and_the_table_marks_it(result):
    table = result.table()
    assert result.best.mean == max(table["mean_auc"].to_pylist())
    assert sum(table["chosen"].to_pylist()) == 1
    assert table["params"][0].as_py() == "defaults"
    assert [len(folds) for folds in table["fold_auc"].to_pylist()] == [3, 3, 3]
    assert table["sd_auc"][1].as_py() == pytest.approx(np.std(result.trials[1].fold_auc))


def test_the_search_repeats_itself(result):
    table, y, months = loans()
    again = tune(
        model_class("logistic_regression"),
        FeatureTable.from_arrow(table, FEATURES),
        y,
        months,
        trials=3,
        folds=3,
        seed=5,
    )
    assert again == result


def test_no_fold_trains_or_stops_on_a_later_vintage_than_it_tests(monkeypatch):
    table, y, months = loans()
    frame = FeatureTable.from_arrow(table, FEATURES)
    position = {row.tobytes(): k for k, row in enumerate(frame.numeric)}
    seen: list[tuple[np.datetime64, np.datetime64, np.datetime64]] = []
    real = model_class("lightgbm")

    class Spy(real):
        def fit(self, train, y, stop=None, y_stop=None, **options):
            self.learnt = self.months(train), self.months(stop)
            return super().fit(train, y, stop, y_stop, **{**options, "params": {"n_estimators": 5}})

        def predict(self, table):
            if table.rows > 100 and hasattr(self, "learnt") and self._preprocessor is not None:
                seen.append((self.learnt[0].max(), self.learnt[1].min(), self.months(table).min()))
            return super().predict(table)

        def _directions(self, train):
            return {}

        @staticmethod
        def months(part):
            return months[[position[row.tobytes()] for row in part.numeric]]

    tune(Spy, frame, y, months, trials=1, folds=3)
    assert len(seen) == 3
    assert all(train < stop < test for train, stop, test in seen)


@pytest.mark.parametrize("name", ZOO)
def test_every_drawn_point_lies_in_the_search_space_and_none_comes_twice(name):
    model = model_class(name)
    points = draw(model, 6, seed=3)
    assert len(points) == 6
    assert points[0] == {}
    assert len({tuple(sorted(point.items())) for point in points}) == 6
    for point in points[1:]:
        assert all(value in model.search_space[option] for option, value in point.items())
        assert {**model.default_params, **point} != dict(model.default_params)
    assert draw(model, 6, seed=3) == points


def test_a_small_space_ends_the_search_early():
    assert len(draw(model_class("logistic_regression"), 50, seed=0)) == 7  # seven values of C, one of them the default


def test_without_trials_the_defaults_stand():
    assert Tuning(()).best.params == {}
    assert draw(model_class("xgboost"), 0, seed=0) == []
    assert tuning.Tuning(()).table().num_rows == 0
