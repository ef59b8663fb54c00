"""Linear models: each design column contributes weight x (value - background mean), added up per source feature."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from credit_risk_platform.domain.explanation.explainer import Explainer
from credit_risk_platform.domain.models.frame import FeatureTable

Design = Callable[[FeatureTable], np.ndarray]


class LinearExplainer(Explainer):
    """Exact: a sum of columns has no interactions, so Shapley values of features are sums over their columns."""

    def __init__(
        self,
        features: tuple[str, ...],
        sources: Sequence[str],
        weights: np.ndarray,
        intercept: float,
        design: Design,
        background: FeatureTable,
    ) -> None:
        """`sources` names the feature behind each of the w design columns, `weights` is (w,)."""
        self.features = features
        self._places = [features.index(source) for source in sources]
        self._weights, self._intercept, self._design = weights, intercept, design
        self._means = design(background).mean(axis=0)
        self.base = float(intercept + np.sum(weights * self._means))

    def contributions(self, frame: FeatureTable) -> np.ndarray:
        design, found = self._design(frame), np.zeros((frame.rows, len(self.features)))
        # A column at a time, as predicting does: a matrix product would round differently for another batch size.
        for column, place in enumerate(self._places):
            found[:, place] += self._weights[column] * (design[:, column] - self._means[column])
        return found

    def margin(self, frame: FeatureTable) -> np.ndarray:
        design, z = self._design(frame), np.full(frame.rows, self._intercept)
        for column, weight in enumerate(self._weights):
            z += weight * design[:, column]
        return z
