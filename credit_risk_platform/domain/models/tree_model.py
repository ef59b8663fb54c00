"""Models made of trees: they hand out their trees, and so can be explained exactly."""

from __future__ import annotations

from abc import abstractmethod

from credit_risk_platform.domain.explanation.explainer import Explainer
from credit_risk_platform.domain.explanation.forest import Forest
from credit_risk_platform.domain.explanation.tree import TreeExplainer
from credit_risk_platform.domain.models.base import CreditModel
from credit_risk_platform.domain.models.frame import FeatureTable


class TreeModel(CreditModel):
    """Subclasses state `_forest` besides what every model states."""

    def explain(self, background: FeatureTable) -> Explainer:
        """In what the trees add up: log-odds for boosting, the probability for a random forest."""
        return TreeExplainer(self._forest(), self.preprocessor, self.absent, background)

    @abstractmethod
    def _forest(self) -> Forest:
        """The trees over the columns of the preprocessor, as the library itself walks them."""
