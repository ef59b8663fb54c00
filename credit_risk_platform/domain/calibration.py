"""From a model's score to a probability one may multiply with money.

Models rank; class weights and boosting bend their probabilities. A calibrator learnt on the validation vintages
(never on training or out-of-time rows) maps score to PD. Platt, isotonic or nothing: whichever predicts held-out
validation folds best by log-loss.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from credit_risk_platform.domain.models.base import sigmoid

CLIP = 1e-6
FOLDS = 5
NEWTON_STEPS = 50


class CalibrationError(ValueError):
    """Validation rows that cannot calibrate anything; the message says why."""


class Method(StrEnum):
    """In order of simplicity: a tie goes to the first."""

    IDENTITY = "identity"
    PLATT = "platt"
    ISOTONIC = "isotonic"


@dataclass(frozen=True)
class Calibrator:
    """`apply` maps scores (n,) in [0, 1] to PDs in [1e-6, 1 - 1e-6]: never certain, so odds and points exist.

    Platt: PD = sigmoid(intercept + slope * logit(score)). Isotonic: straight lines between `knots` (score) and
    `levels` (PD). `log_loss` holds the cross-validated loss of every method that was tried.
    """

    method: Method = Method.IDENTITY
    intercept: float = 0.0
    slope: float = 1.0
    knots: tuple[float, ...] = ()
    levels: tuple[float, ...] = ()
    log_loss: tuple[tuple[str, float], ...] = ()

    def apply(self, score: np.ndarray) -> np.ndarray:
        """PD float64 (n,); non-decreasing in the score unless Platt's slope is negative."""
        if self.method is Method.PLATT:
            return clip(sigmoid(self.intercept + self.slope * logit(score)))
        if self.method is Method.ISOTONIC:
            return clip(np.interp(score, self.knots, self.levels))
        return clip(score)

    def shifted(self, by: float) -> Calibrator:
        """The same ranking with every log-odds moved by `by`: the mend for a level that drifted (Platt only)."""
        if self.method is Method.ISOTONIC:
            raise CalibrationError("an isotonic calibrator has no intercept to shift: fit it again")
        return Calibrator(Method.PLATT, self.intercept + by, self.slope, log_loss=self.log_loss)

    def to_json(self) -> str:
        content = {
            "method": str(self.method),
            "intercept": self.intercept,
            "slope": self.slope,
            "knots": self.knots,
            "levels": self.levels,
            "log_loss": self.log_loss,
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Calibrator:
        content = json.loads(text)
        return cls(
            method=Method(content["method"]),
            intercept=content["intercept"],
            slope=content["slope"],
            knots=tuple(content["knots"]),
            levels=tuple(content["levels"]),
            log_loss=tuple((name, loss) for name, loss in content["log_loss"]),
        )


def fit_calibrator(p: np.ndarray, y: np.ndarray) -> Calibrator:
    """The method with the least log-loss over 5 interleaved folds, fitted again on all rows.

    `p` (n,) uncalibrated probabilities, `y` (n,) 1 = bad. Raises `CalibrationError` unless every fold holds both
    classes: with so few bad loans no calibration can be told from another.
    """
    scores, labels = clip(p), np.asarray(y).astype(np.float64)
    fold = np.arange(scores.size) % FOLDS
    if scores.shape != labels.shape:
        raise CalibrationError(f"{scores.size} scores but {labels.size} labels")
    if any(np.unique(labels[fold == k]).size < 2 for k in range(FOLDS)):
        bad = int(labels.sum())
        raise CalibrationError(f"validation needs good and bad loans in each of {FOLDS} folds; it has {bad} bad")
    losses = {method: _held_out_loss(method, scores, labels, fold) for method in Method}
    best = min(losses, key=lambda method: losses[method])
    fitted = _fit(best, scores, labels)
    tried = tuple((str(method), loss) for method, loss in losses.items())
    return Calibrator(fitted.method, fitted.intercept, fitted.slope, fitted.knots, fitted.levels, tried)


def intercept_shift(p: np.ndarray, y: np.ndarray) -> float:
    """ln(observed odds / predicted odds): how far the level of the PDs has drifted, and the shift that mends it."""
    observed, predicted = float(np.mean(y)), float(np.mean(p))
    return float(logit(np.asarray(observed)) - logit(np.asarray(predicted)))


def logistic_line(x: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, float]:
    """Maximum-likelihood (intercept, slope) of P(y = 1) = sigmoid(intercept + slope * x), by damped Newton steps.

    On separable data the line has no finite optimum; the steps end after a fixed number, the result is steep.
    """
    w = np.ones_like(x) if weights is None else weights
    line = np.array([float(logit(np.asarray(np.average(y, weights=w)))), 0.0])
    loss = _line_loss(line, x, y, w)
    for _ in range(NEWTON_STEPS):
        step = _newton_step(line, x, y, w)
        better, size = loss, 1.0
        while size > 1e-6 and (better := _line_loss(line + size * step, x, y, w)) > loss:
            size /= 2
        if size <= 1e-6 or loss - better < 1e-12 * abs(loss):
            break
        line, loss = line + size * step, better
    return float(line[0]), float(line[1])


def clip(p: np.ndarray) -> np.ndarray:
    """Probabilities as float64, kept off 0 and 1."""
    return np.clip(np.asarray(p, dtype=np.float64), CLIP, 1 - CLIP)


def logit(p: np.ndarray) -> np.ndarray:
    """Log-odds of clipped probabilities."""
    kept = clip(p)
    return np.log(kept / (1 - kept))


def log_loss(p: np.ndarray, y: np.ndarray) -> float:
    """Mean negative log-likelihood."""
    kept = clip(p)
    return float(-np.mean(y * np.log(kept) + (1 - y) * np.log1p(-kept)))


def _held_out_loss(method: Method, scores: np.ndarray, labels: np.ndarray, fold: np.ndarray) -> float:
    parts = []
    for k in range(FOLDS):
        held = fold == k
        fitted = _fit(method, scores[~held], labels[~held])
        parts.append(log_loss(fitted.apply(scores[held]), labels[held]))
    return float(np.mean(parts))


def _fit(method: Method, scores: np.ndarray, labels: np.ndarray) -> Calibrator:
    if method is Method.PLATT:
        intercept, slope = logistic_line(logit(scores), labels)
        return Calibrator(Method.PLATT, intercept, slope)
    if method is Method.ISOTONIC:
        from sklearn.isotonic import IsotonicRegression

        steps = IsotonicRegression(out_of_bounds="clip").fit(scores, labels)
        return Calibrator(Method.ISOTONIC, knots=_floats(steps.X_thresholds_), levels=_floats(steps.y_thresholds_))
    return Calibrator()


def _floats(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _line_loss(line: np.ndarray, x: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
    z = line[0] + line[1] * x
    return float(np.sum(w * (np.logaddexp(0.0, z) - y * z)))


def _newton_step(line: np.ndarray, x: np.ndarray, y: np.ndarray, w: np.ndarray) -> np.ndarray:
    p = sigmoid(line[0] + line[1] * x)
    residual, curve = w * (y - p), w * p * (1 - p)
    gradient = np.array([residual.sum(), (residual * x).sum()])
    cross = (curve * x).sum()
    hessian = np.array([[curve.sum(), cross], [cross, (curve * x * x).sum()]])
    # A whisper of ridge: identical scores make the matrix singular, and then only the intercept can be learnt.
    return np.asarray(np.linalg.solve(hessian + 1e-9 * np.eye(2) * (1 + np.trace(hessian)), gradient))
