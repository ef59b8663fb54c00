"""Does a model keep its separation from vintage to vintage? One number that a falling series cannot hide in.

The metric of the "Home Credit - Credit Risk Model Stability" competition (Kaggle 2024):
mean(gini) + 88.0 * min(0, a) - 0.5 * std(residuals), of the least-squares line a * week + b through the Gini values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from credit_risk_platform.domain.splits import MONTH

FALLING_WEIGHT = 88.0
SPREAD_WEIGHT = 0.5
WEEKS_PER_MONTH = 365.25 / 12 / 7
"""The published weights are for weeks. Vintages are months, so their distance is counted in weeks of that length."""
FEWEST_VINTAGES = 3
"""Through two points goes a line without residuals."""


class StabilityError(ValueError):
    """Too few vintages to speak of stability."""


@dataclass(frozen=True)
class Stability:
    """`score` = `mean` + 88 * min(0, `slope`) - 0.5 * `spread`. `slope` is Gini per week, `spread` of residuals."""

    score: float
    mean: float
    slope: float
    spread: float
    vintages: int


def gini_stability(months: np.ndarray, gini: np.ndarray) -> Stability:
    """Stability of the Gini (n,) of the vintages `months` (datetime64[M], n); gaps in the calendar count as they are.

    Raises `StabilityError` for fewer than three vintages, for a vintage that comes twice, and for a Gini that is not
    a number.
    """
    calendar, values = np.asarray(months).astype(MONTH), np.asarray(gini, dtype=np.float64)
    if calendar.size < FEWEST_VINTAGES or np.unique(calendar).size != values.size:
        raise StabilityError(f"{FEWEST_VINTAGES} different vintages are needed, there are {np.unique(calendar).size}")
    if not np.isfinite(values).all():
        raise StabilityError("a vintage without good or without bad loans has no Gini: leave it out")
    weeks = (calendar - calendar.min()).astype(np.float64) * WEEKS_PER_MONTH
    centred = weeks - weeks.mean()
    slope = float((centred * (values - values.mean())).sum() / (centred**2).sum())
    residuals = values - values.mean() - slope * centred
    mean, spread = float(values.mean()), float(residuals.std())
    score = mean + FALLING_WEIGHT * min(0.0, slope) - SPREAD_WEIGHT * spread
    return Stability(score, mean, slope, spread, int(values.size))
