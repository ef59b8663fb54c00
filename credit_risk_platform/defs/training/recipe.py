"""What every training in this room shares: how much effort, and where its loans come from."""

import os
from collections.abc import Sequence

from credit_risk_platform.adapters import training_data
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.models.frame import FeatureLike
from credit_risk_platform.domain.splits import Split
from credit_risk_platform.domain.training import Labelled, Recipe, Rows
from credit_risk_platform.settings import Settings

CODE_VERSION = "1"
"""Raised when the way candidates are made changes; a part of every bundle."""


def share_cores() -> None:
    """Let waiting OpenMP threads sleep. Spinning, two of them made XGBoost 13 times slower on busy cores.

    Has its effect only before the first model library is loaded, so it stands at the start of an asset.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def recipe_of(settings: Settings) -> Recipe:
    return Recipe(
        trials=settings.tuning_trials,
        bootstrap=settings.bootstrap_samples,
        sample_rows=settings.training_sample_rows,
        seed=settings.seed,
    )


def loans_of(warehouse: Warehouse, features: Sequence[FeatureLike], seed: int) -> Rows:
    """The training set's loans as model inputs, a split at a time: a large book is never in memory whole."""
    names = [feature.name for feature in features]

    def rows(splits: Sequence[Split], at_most: int | None) -> Labelled:
        return Labelled.from_arrow(training_data.read(warehouse, names, splits, at_most=at_most, seed=seed), features)

    return rows
