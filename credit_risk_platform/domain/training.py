"""How a candidate is made: tune, fit, calibrate, measure. Pure: the caller says where rows come from.

Each split has one job and lends itself to no other: `train` teaches, `early_stop` ends boosting (models that do not
boost learn from it too), `validation` calibrates and ranks, `out_of_time` only judges. Samples are always stated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from credit_risk_platform.domain.baseline import Lift, declined_by_rules, lift_over_rules
from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.calibration import Calibrator, fit_calibrator, intercept_shift
from credit_risk_platform.domain.evaluation import Economics, MetricWithInterval, evaluate
from credit_risk_platform.domain.explanation.background import over_ranks
from credit_risk_platform.domain.models.base import CreditModel, Progress, silent
from credit_risk_platform.domain.models.frame import FeatureLike, FeatureTable
from credit_risk_platform.domain.models.preprocessing import Style
from credit_risk_platform.domain.models.tuning import Tuning, tune
from credit_risk_platform.domain.splits import Split


@dataclass(frozen=True)
class Labelled:
    """n loans a model may learn from or be judged on: inputs, `y` float64 1 = bad, `issue_month` datetime64[M].

    Of an observed loan, `issue_month` is the month of the observation: the one by which the splits follow in time.
    """

    frame: FeatureTable
    y: np.ndarray
    issue_month: np.ndarray

    @classmethod
    def from_arrow(cls, table: pa.Table, features: Sequence[FeatureLike]) -> Labelled:
        """From a table with `issue_month`, `is_bad` and the features; raises `FrameError` as `FeatureTable` does."""
        return cls(
            frame=FeatureTable.from_arrow(table, features),
            y=table["is_bad"].to_numpy().astype(np.float64),
            issue_month=table["issue_month"].to_numpy().astype("datetime64[M]"),
        )

    def take(self, rows: np.ndarray) -> Labelled:
        return Labelled(self.frame.take(rows), self.y[rows], self.issue_month[rows])


Rows = Callable[[Sequence[Split], int | None], Labelled]
"""Loans of some splits in the order of time; with a number, a fixed sample of at most that many."""


SLOW_TUNING_ROWS = 10_000
"""A model that does not scale is tuned on at most this many loans: its trials would take longer than all else."""


@dataclass(frozen=True)
class Recipe:
    """How much effort a candidate gets. `sample_rows` caps tuning, and the training of models that do not scale."""

    trials: int
    bootstrap: int
    sample_rows: int
    seed: int
    folds: int = 3
    economics: Economics = field(default_factory=Economics)

    @property
    def cutoff(self) -> float:
        """Break-even PD: above it a loan loses money on average."""
        return self.economics.break_even


@dataclass(frozen=True)
class Predicted:
    """Labels and calibrated PDs (n,) of one split, for curves."""

    y: np.ndarray
    pd: np.ndarray


@dataclass(frozen=True)
class Trained:
    """A calibrated candidate with its measurements. `lift` is out-of-time, against the rules baseline."""

    model: CreditModel
    calibrator: Calibrator
    tuning: Tuning | None
    metrics: Mapping[str, Mapping[str, MetricWithInterval]]
    predicted: Mapping[str, Predicted]
    lift: Lift | None
    learnt_rows: int
    tuned_rows: int
    background: FeatureTable
    """Validation loans evenly over the ranks of their PD: what the bundle's explanations compare with."""

    @property
    def validation_loss(self) -> float:
        """Log-loss of the calibrated PDs on validation folds the calibrator had not seen: what ranks candidates."""
        return dict(self.calibrator.log_loss)[str(self.calibrator.method)]

    @property
    def intercept_shift(self) -> float:
        """ln(observed odds / predicted odds) out-of-time: how far the level of defaults has moved."""
        judged = self.predicted[Split.OUT_OF_TIME]
        return intercept_shift(judged.pd, judged.y)


def train_candidate(kind: type[CreditModel], rows: Rows, recipe: Recipe, on_progress: Progress = silent) -> Trained:
    """Train one model of the zoo. Raises what the parts raise: `ModelError`, `CalibrationError`, `SplitError`.

    The same rows, recipe and code give the same model to the last byte.
    """
    limit = None if kind.scales else recipe.sample_rows
    stops = stops_early(kind)
    learn = rows((Split.TRAIN,) if stops else (Split.TRAIN, Split.EARLY_STOP), limit)
    tuned, tuning = _tune(kind, learn, recipe, on_progress)
    params = dict(tuning.best.params) if tuning else {}
    halt = rows((Split.EARLY_STOP,), limit) if stops else None
    on_progress(f"{kind.name}: fitting on {learn.y.size:,} loans with {params or 'its defaults'}")
    model = kind().fit(
        learn.frame, learn.y, halt.frame if halt else None, halt.y if halt else None,
        params=params, seed=recipe.seed, on_progress=on_progress,
    )  # fmt: skip
    validation = rows((Split.VALIDATION,), None)
    calibrator = fit_calibrator(model.predict(validation.frame), validation.y)
    on_progress(f"{kind.name}: calibrated by {calibrator.method}")
    judged = rows((Split.OUT_OF_TIME,), None)
    predicted = {
        str(Split.TRAIN): _predict(model, calibrator, learn if stops else rows((Split.TRAIN,), limit)),
        str(Split.VALIDATION): _predict(model, calibrator, validation),
        str(Split.OUT_OF_TIME): _predict(model, calibrator, judged),
    }
    return Trained(
        model=model,
        calibrator=calibrator,
        tuning=tuning,
        metrics=_measure(predicted, recipe),
        predicted=predicted,
        lift=lift_over_rules(judged.y, predicted[Split.OUT_OF_TIME].pd, declined_by_rules(judged.frame)),
        learnt_rows=learn.y.size,
        tuned_rows=tuned,
        background=validation.frame.take(over_ranks(predicted[Split.VALIDATION].pd)),
    )


def stops_early(kind: type[CreditModel]) -> bool:
    """Boosting models (the zoo's `native` style) are ended by a split of their own; the others have no use for one."""
    return kind.style is Style.NATIVE


def predictions(bundle: ModelBundle, rows: Rows, at_most: int | None = None) -> dict[str, Predicted]:
    """What an existing bundle says of the present validation and out-of-time loans, or of a sample of each."""
    splits = (Split.VALIDATION, Split.OUT_OF_TIME)
    return {str(split): _predict(bundle.model, bundle.calibrator, rows((split,), at_most)) for split in splits}


def judge_bundle(bundle: ModelBundle, rows: Rows, recipe: Recipe) -> dict[str, dict[str, float]]:
    """Metrics (split -> metric -> value) of an existing bundle on all those loans: how a champion is challenged."""
    measured = _measure(predictions(bundle, rows), recipe)
    return {split: {name: metric.value for name, metric in found.items()} for split, found in measured.items()}


def to_bundle(
    trained: Trained,
    features: Sequence[Any],
    *,
    feature_sql: str,
    intake_sql: str = "",
    fingerprint: str,
    policy_version: str,
    recipe: Recipe,
    created_from: Mapping[str, str],
) -> ModelBundle:
    """The candidate with everything its scores will depend on; nothing in it tells one run from another."""
    return ModelBundle(
        name=trained.model.name,
        model=trained.model,
        calibrator=trained.calibrator,
        features=tuple(features),
        feature_sql=feature_sql,
        training_fingerprint=fingerprint,
        policy_version=policy_version,
        seed=recipe.seed,
        params=trained.model.params,
        metrics={split: {name: _stored(m) for name, m in found.items()} for split, found in trained.metrics.items()},
        created_from=created_from,
        intake_sql=intake_sql,
        background=trained.background,
    )


def _tune(kind: type[CreditModel], learn: Labelled, recipe: Recipe, on_progress: Progress) -> tuple[int, Tuning | None]:
    if recipe.trials < 1:
        return 0, None
    sample, limit = learn, recipe.sample_rows if kind.scales else min(recipe.sample_rows, SLOW_TUNING_ROWS)
    if learn.y.size > limit:
        chosen = np.random.default_rng(recipe.seed).choice(learn.y.size, size=limit, replace=False)
        sample = learn.take(np.sort(chosen))
        on_progress(f"{kind.name}: tuning on a sample of {limit:,} of {learn.y.size:,} loans")
    tuning = tune(
        kind, sample.frame, sample.y, sample.issue_month,
        trials=recipe.trials, folds=recipe.folds, seed=recipe.seed, on_progress=on_progress,
    )  # fmt: skip
    return sample.y.size, tuning


def _predict(model: CreditModel, calibrator: Calibrator, loans: Labelled) -> Predicted:
    return Predicted(loans.y, calibrator.apply(model.predict(loans.frame)))


def _measure(predicted: Mapping[str, Predicted], recipe: Recipe) -> dict[str, dict[str, MetricWithInterval]]:
    reference = predicted.get(str(Split.TRAIN))
    return {
        split: evaluate(
            found.y, found.pd, cutoff=recipe.cutoff, bootstrap=recipe.bootstrap, seed=recipe.seed,
            reference=reference.pd if reference else None, economics=recipe.economics,
        )
        for split, found in predicted.items()
    }  # fmt: skip


def _stored(metric: MetricWithInterval) -> dict[str, float | int | None]:
    """As the bundle keeps it: JSON has no NaN, so what could not be measured is null."""
    return {name: value if math.isfinite(value) else None for name, value in metric.as_dict().items()}
