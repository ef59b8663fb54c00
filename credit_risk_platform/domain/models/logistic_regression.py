"""Logistic regression: the baseline every other model has to beat, and the easiest to defend.

Kept as JSON coefficients. Predicting adds one column after the other, so the bits depend neither on the batch size
nor on which BLAS is installed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from credit_risk_platform.domain.explanation.explainer import Explainer
from credit_risk_platform.domain.explanation.linear import LinearExplainer
from credit_risk_platform.domain.models.base import CreditModel, Progress, sigmoid, to_json
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.models.preprocessing import Style

COEFFICIENTS = "coefficients.json"


class LogisticRegression(CreditModel):
    """L2-penalised maximum likelihood on standardised inputs; `C` is the inverse penalty.

    It does not ask for every row of a large book: a few hundred thousand loans settle some 80 coefficients.
    """

    name = "logistic_regression"
    scales = False
    style = Style.LINEAR
    default_params: ClassVar[Mapping[str, Any]] = {"C": 0.1, "max_iter": 200, "threads": 2}
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {"C": (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)}

    def __init__(self) -> None:
        super().__init__()
        self._intercept = 0.0
        self._weights = np.empty(0)
        self._spread = np.empty(0)

    def explain(self, background: FeatureTable) -> Explainer:
        """In log-odds, exactly."""
        rules = self.preprocessor
        return LinearExplainer(rules.features, rules.sources, self._weights, self._intercept, self.design, background)

    def _fit(
        self,
        train: FeatureTable,
        y: np.ndarray,
        stopping: tuple[FeatureTable, np.ndarray] | None,
        seed: int,
        on_progress: Progress,
    ) -> None:
        from sklearn.linear_model import LogisticRegression as Estimator
        from threadpoolctl import threadpool_limits

        design = self.design(train)
        estimator = Estimator(C=self.params["C"], solver="newton-cholesky", max_iter=self.params["max_iter"])
        with threadpool_limits(limits=self.params["threads"]):
            fitted = estimator.fit(design, y)
        self._intercept, self._weights = float(fitted.intercept_[0]), fitted.coef_[0]
        self._spread = design.std(axis=0)
        on_progress(f"{self.name}: {self._weights.size} coefficients after {int(fitted.n_iter_[0])} Newton steps")

    def _predict(self, design: np.ndarray) -> np.ndarray:
        z = np.full(design.shape[0], self._intercept)
        for j, weight in enumerate(self._weights):
            z += weight * design[:, j]
        return sigmoid(z)

    def _column_weights(self) -> np.ndarray:
        return np.abs(self._weights) * self._spread

    def _directions(self, train: FeatureTable) -> dict[str, int]:
        """Sign of the coefficient: shaping keeps the order of the values, so it is the sign of the effect."""
        numbers = self.preprocessor.numbers
        return {rule.name: int(np.sign(weight)) for rule, weight in zip(numbers, self._weights, strict=False)}

    def _save(self) -> dict[str, bytes]:
        content = {
            "columns": self.preprocessor.columns,
            "intercept": self._intercept,
            "weights": self._weights.tolist(),
            "spread": self._spread.tolist(),
        }
        return {COEFFICIENTS: to_json(content)}

    def _load(self, files: Mapping[str, bytes]) -> None:
        content = json.loads(files[COEFFICIENTS])
        self._intercept = content["intercept"]
        self._weights, self._spread = np.array(content["weights"]), np.array(content["spread"])
