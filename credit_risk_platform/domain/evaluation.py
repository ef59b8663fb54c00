"""How good a model is, and how sure we are of it: the 14 metrics (feature map 1b.3) with bootstrap 95 % intervals."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from credit_risk_platform.domain.economics import Economics
from credit_risk_platform.domain.metrics import NAMES, EvaluationError, Ranked, Reference, auc, checked, ece

__all__ = ["METRICS", "Economics", "EvaluationError", "MetricWithInterval", "auc", "ece", "evaluate"]

BOOTSTRAP_ROWS = 200_000
"""Above this many rows the resamples come from a seeded sample of this size."""
DEFAULT_ECONOMICS = Economics()
METRICS = (*NAMES, "psi")


@dataclass(frozen=True)
class MetricWithInterval:
    """Value with the 95 % interval [low, high]; `rows` measured, `bootstrap_rows` per resample.

    Where fewer rows were resampled than measured, the interval is narrowed by the square root of their ratio and
    centred on the value (m-out-of-n bootstrap).
    """

    value: float
    low: float
    high: float
    rows: int
    bootstrap_rows: int

    def as_dict(self) -> dict[str, float | int]:
        return asdict(self)


def evaluate(
    y: np.ndarray,
    pd: np.ndarray,
    *,
    cutoff: float,
    bootstrap: int = 200,
    seed: int = 0,
    reference: np.ndarray | None = None,
    economics: Economics = DEFAULT_ECONOMICS,
) -> dict[str, MetricWithInterval]:
    """All metrics of PDs `pd` (n,) against labels `y` (n,), 1 = bad. Loans with PD >= `cutoff` count as declined.

    auc, gini, ks, log_loss, brier, ece (10 equal-count bins), calibration_slope, calibration_intercept, precision,
    recall, f1, accuracy, lift_10 (bad rate of the riskiest 10 % over the overall one), expected_profit (per unit of
    loan applied for) and, where `reference` holds the training PDs, psi against them. Raises `EvaluationError`
    unless there are good and bad loans.
    """
    labels, scores = checked(y, pd)
    fixed = None if reference is None else Reference.of(reference)
    whole = Ranked.of(labels, scores, cutoff, economics)
    point = _measure(whole, np.ones(labels.size), fixed)
    rng = np.random.default_rng(seed)
    size = min(labels.size, BOOTSTRAP_ROWS)
    part, centre = whole, point
    if size < labels.size:
        rows = rng.choice(labels.size, size=size, replace=False)
        part = Ranked.of(labels[rows], scores[rows], cutoff, economics)
        centre = _measure(part, np.ones(size), fixed)
    draws = np.array([_measure(part, _resample(rng, size), fixed) for _ in range(bootstrap)])
    low, high = _interval(point, centre, draws, np.sqrt(size / labels.size))
    names = NAMES if fixed is None else METRICS
    return {
        name: MetricWithInterval(float(point[k]), float(low[k]), float(high[k]), labels.size, size)
        for k, name in enumerate(names)
    }


def _measure(ranked: Ranked, weights: np.ndarray, reference: Reference | None) -> np.ndarray:
    found = ranked.metrics(weights)
    return found if reference is None else np.append(found, ranked.psi(weights, reference))


def _resample(rng: np.random.Generator, size: int) -> np.ndarray:
    """How often each row is drawn, with replacement."""
    return np.bincount(rng.integers(size, size=size), minlength=size)


def _interval(point: np.ndarray, centre: np.ndarray, draws: np.ndarray, shrink: float) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval of the draws that hold both classes; resamples of a tiny sample may not."""
    usable = draws[~np.isnan(draws[:, 0])] if draws.size else draws
    if not len(usable):
        return point, point
    spread = (np.percentile(usable, (2.5, 97.5), axis=0) - centre) * shrink
    # A percentile interval of a biased metric (KS, ECE) can miss its own value: it is widened to hold it.
    return np.minimum(point + spread[0], point), np.maximum(point + spread[1], point)
