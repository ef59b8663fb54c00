"""A bounded search for parameters: few trials, seeded, judged on later vintages than they were trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from credit_risk_platform.domain.metrics import auc
from credit_risk_platform.domain.models.base import CreditModel, Progress, silent
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.splits import latest, time_folds

STOP_SHARE = 0.15


@dataclass(frozen=True)
class Trial:
    """One set of parameters and the AUC it reached on each fold's later vintages."""

    number: int
    params: Mapping[str, Any]
    fold_auc: tuple[float, ...]

    @property
    def mean(self) -> float:
        return float(np.mean(self.fold_auc))

    @property
    def sd(self) -> float:
        return float(np.std(self.fold_auc))


@dataclass(frozen=True)
class Tuning:
    """All trials; the best is the one with the highest mean AUC, the earlier one on a tie."""

    trials: tuple[Trial, ...]

    @property
    def best(self) -> Trial:
        """The chosen trial; without any trials, the untried defaults."""
        return max(self.trials, key=lambda trial: (trial.mean, -trial.number), default=Trial(0, {}, ()))

    def table(self) -> pa.Table:
        """One row per trial: trial, mean_auc, sd_auc, fold_auc LIST<DOUBLE>, params (text), chosen."""
        return pa.table(
            {
                "trial": pa.array([trial.number for trial in self.trials], pa.int64()),
                "mean_auc": pa.array([trial.mean for trial in self.trials], pa.float64()),
                "sd_auc": pa.array([trial.sd for trial in self.trials], pa.float64()),
                "fold_auc": pa.array([list(trial.fold_auc) for trial in self.trials], pa.list_(pa.float64())),
                "params": pa.array([_text(trial.params) for trial in self.trials], pa.string()),
                "chosen": pa.array([trial is self.best for trial in self.trials], pa.bool_()),
            }
        )


def tune(
    model: type[CreditModel],
    table: FeatureTable,
    y: np.ndarray,
    issue_month: np.ndarray,
    *,
    trials: int,
    folds: int = 3,
    seed: int = 0,
    on_progress: Progress = silent,
) -> Tuning:
    """Try the defaults and then `trials` - 1 seeded draws from the model's search space on time-ordered folds.

    `issue_month` datetime64[M] (n,). Boosting is stopped inside each fold by the last vintages of its own training
    part. `on_progress` hears of every trial: number, mean AUC, spread.
    """
    windows = list(time_folds(issue_month, folds))
    done: list[Trial] = []
    candidates = draw(model, trials, seed)
    for number, params in enumerate(candidates, start=1):
        scores = tuple(
            _fold_auc(model, table, y, issue_month, train, test, params=params, seed=seed) for train, test in windows
        )
        done.append(Trial(number, params, scores))
        finding = f"AUC {done[-1].mean:.4f} ± {done[-1].sd:.4f} with {_text(params)}"
        on_progress(f"{model.name}: trial {number}/{len(candidates)} {finding}")
    return Tuning(tuple(done))


def draw(model: type[CreditModel], trials: int, seed: int) -> list[dict[str, Any]]:
    """The overrides to try: none first, then distinct random points; fewer if the space is smaller than asked."""
    space = model.search_space
    size = math.prod(len(options) for options in space.values())
    # One more than wanted: the defaults may be a point of the space, and are tried already.
    picks = np.random.default_rng(seed).choice(size, size=min(max(trials, 0), size), replace=False)
    points = [_point(space, int(index)) for index in picks]
    news = [point for point in points if any(model.default_params[name] != value for name, value in point.items())]
    return [{}, *news][:trials]


def _point(space: Mapping[str, Sequence[Any]], index: int) -> dict[str, Any]:
    """The index-th point of the grid, counting the last name fastest."""
    point: dict[str, Any] = {}
    for name in reversed(list(space)):
        index, digit = divmod(index, len(space[name]))
        point[name] = space[name][digit]
    return dict(reversed(point.items()))


def _fold_auc(
    model: type[CreditModel],
    table: FeatureTable,
    y: np.ndarray,
    issue_month: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    *,
    params: Mapping[str, Any],
    seed: int,
) -> float:
    stop = latest(issue_month[train], STOP_SHARE)
    learn, halt = train[~stop], train[stop]
    fitted = model().fit(table.take(learn), y[learn], table.take(halt), y[halt], params=params, seed=seed)
    return auc(y[test], fitted.predict(table.take(test)))


def _text(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in params.items()) or "defaults"
