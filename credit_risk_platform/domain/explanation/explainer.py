"""What every explanation offers, whatever the model."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from credit_risk_platform.domain.models.frame import FeatureTable


class Explainer(ABC):
    """Why the margin of a row differs from the mean margin of a background, one number per source feature.

    `features` (p,) are the model's, in its order. `base` is the mean margin of the background. Immutable once made:
    safe to share between threads. A row's numbers never depend on the rows beside it.
    """

    features: tuple[str, ...]
    base: float

    @abstractmethod
    def contributions(self, frame: FeatureTable) -> np.ndarray:
        """Interventional Shapley values, float64 (n, p): `base` + each row's sum is its margin, within rounding."""

    @abstractmethod
    def margin(self, frame: FeatureTable) -> np.ndarray:
        """The margin that is explained, float64 (n,): log-odds of bad, or its probability for a random forest."""
