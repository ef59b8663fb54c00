"""Why a score is what it is: exact interventional Shapley values against marginal approvals, without the shap library.

Belongs here: the maths. Which explanation fits a model, that model says itself (`CreditModel.explain`). Does not: texts
for applicants (`domain/reasons.py`).
"""

from __future__ import annotations

from typing import Protocol

from credit_risk_platform.domain.explanation.explainer import Explainer
from credit_risk_platform.domain.models.frame import FeatureTable

__all__ = ["Explainable", "Explainer", "explainer"]


class Explainable(Protocol):
    """A trained model that knows how it can be explained."""

    def explain(self, background: FeatureTable) -> Explainer: ...


def explainer(model: Explainable, background: FeatureTable) -> Explainer:
    """The explanation of `model` against `background`, compiled once: making it is dear, using it is cheap."""
    return model.explain(background)
