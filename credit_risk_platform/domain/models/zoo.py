"""Every candidate by name. A new model is one file beside this one and one line here.

Entries are functions, so that asking for one model imports that model only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from credit_risk_platform.domain.models.base import CreditModel, ModelError


def _logistic_regression() -> type[CreditModel]:
    from credit_risk_platform.domain.models.logistic_regression import LogisticRegression

    return LogisticRegression


def _random_forest() -> type[CreditModel]:
    from credit_risk_platform.domain.models.random_forest import RandomForest

    return RandomForest


def _gradient_boosting() -> type[CreditModel]:
    from credit_risk_platform.domain.models.gradient_boosting import GradientBoosting

    return GradientBoosting


def _xgboost() -> type[CreditModel]:
    from credit_risk_platform.domain.models.xgboost import XGBoost

    return XGBoost


def _lightgbm() -> type[CreditModel]:
    from credit_risk_platform.domain.models.lightgbm import LightGBM

    return LightGBM


def _scorecard() -> type[CreditModel]:
    from credit_risk_platform.domain.models.scorecard import Scorecard

    return Scorecard


ZOO: Mapping[str, Callable[[], type[CreditModel]]] = {
    "logistic_regression": _logistic_regression,
    "random_forest": _random_forest,
    "gradient_boosting": _gradient_boosting,
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "scorecard": _scorecard,
}


def model_class(name: str) -> type[CreditModel]:
    """The class behind a name; raises `ModelError` with the names there are."""
    if name not in ZOO:
        raise ModelError(f"no model {name!r} in the zoo; there are {', '.join(ZOO)}")
    return ZOO[name]()
