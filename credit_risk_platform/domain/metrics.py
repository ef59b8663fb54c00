"""The arithmetic of model metrics: each one a weighted statistic of rows sorted once by PD.

The point estimate weighs every row 1, a bootstrap resample weighs it by how often it was drawn: 200 resamples cost
200 passes and not 200 sorts. No BLAS: these numbers go into the bundle, whose bytes must not depend on its threads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from credit_risk_platform.domain.calibration import clip, logistic_line, logit
from credit_risk_platform.domain.drift import psi, quantile_edges
from credit_risk_platform.domain.economics import Economics
from credit_risk_platform.domain.models.base import sigmoid, strided

ECE_BINS = 10
TOP_SHARE = 0.10
LINE_ROWS = 200_000

NAMES = (
    "auc",
    "gini",
    "ks",
    "log_loss",
    "brier",
    "ece",
    "calibration_slope",
    "calibration_intercept",
    "precision",
    "recall",
    "f1",
    "accuracy",
    "lift_10",
    "expected_profit",
)


class EvaluationError(ValueError):
    """Labels or PDs nothing can be measured on; the message says why."""


def auc(y: np.ndarray, pd: np.ndarray) -> float:
    """Chance that a random bad loan has a higher PD than a random good one; ties count half."""
    labels, scores = checked(y, pd)
    order = np.argsort(scores, kind="stable")
    starts = tie_starts(scores[order])
    bad = np.add.reduceat(labels[order], starts)
    return _auc(bad, np.diff(np.append(starts, labels.size)) - bad)


def ece(y: np.ndarray, pd: np.ndarray) -> float:
    """Expected calibration error: mean gap between PD and bad rate over 10 equal-count bins, weighted by count."""
    labels, scores = checked(y, pd)
    order = np.argsort(scores, kind="stable")
    return _ece(equal_count_bins(scores[order], ECE_BINS), labels[order], scores[order], np.ones(labels.size))


def checked(y: np.ndarray, pd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels and clipped PDs as float64, or an `EvaluationError` that says why nothing can be measured."""
    labels, scores = np.asarray(y).astype(np.float64), clip(pd)
    if labels.shape != scores.shape:
        raise EvaluationError(f"{labels.size} labels but {scores.size} PDs")
    if np.isnan(scores).any():
        raise EvaluationError(f"{int(np.isnan(scores).sum())} PDs are not numbers")
    if np.unique(labels).size < 2:
        raise EvaluationError("good and bad loans are needed: nothing separates a single class")
    return labels, scores


def equal_count_bins(ranked: np.ndarray, bins: int) -> np.ndarray:
    """Bin number of each row of a sorted sample; equal values share a bin, so row order has no say in it."""
    starts = tie_starts(ranked)
    ends = np.append(starts[1:], ranked.size)
    middle = (starts + ends) * min(bins, ranked.size) // (2 * ranked.size)
    return np.repeat(middle, ends - starts)


@dataclass(frozen=True)
class Reference:
    """Training PDs in ten fixed bins, for the PSI of the PD."""

    edges: np.ndarray
    shares: np.ndarray

    @classmethod
    def of(cls, pd: np.ndarray) -> Reference:
        edges = quantile_edges(clip(pd))
        counts = np.bincount(np.searchsorted(edges, clip(pd), side="left"), minlength=edges.size + 1)
        return cls(edges, counts / pd.size)


@dataclass(frozen=True)
class Ranked:
    """Rows in rising order of PD, with everything that stays the same from resample to resample.

    `sums` (7, n) holds what is only ever summed: log-loss, squared error, and the gradient and curvature of the
    calibration likelihood at `line`, its optimum (on large books that of every k-th row).
    """

    y: np.ndarray
    pd: np.ndarray
    ties: np.ndarray
    bins: np.ndarray
    sums: np.ndarray
    line: tuple[float, float]
    declined: int
    economics: Economics

    @classmethod
    def of(cls, y: np.ndarray, pd: np.ndarray, cutoff: float, economics: Economics) -> Ranked:
        """`y`, `pd` as from `checked`; loans with PD >= `cutoff` are declined."""
        order = np.argsort(pd, kind="stable")
        labels, scores = y[order], pd[order]
        some = strided(y.size, LINE_ROWS)
        line = logistic_line(logit(scores[some]), labels[some])
        return cls(
            y=labels,
            pd=scores,
            ties=tie_starts(scores),
            bins=equal_count_bins(scores, ECE_BINS),
            sums=_summands(labels, scores, line),
            line=line,
            declined=int(np.searchsorted(scores, cutoff, side="left")),
            economics=economics,
        )

    def metrics(self, weights: np.ndarray) -> np.ndarray:
        """Every metric with row weights (n,), in the order of `NAMES`; NaN if the weights leave one class only."""
        w = weights.astype(np.float64)
        bad, good = w * self.y, w * (1 - self.y)
        if not bad.sum() or not good.sum():
            return np.full(len(NAMES), np.nan)
        bad_ties, good_ties = np.add.reduceat(bad, self.ties), np.add.reduceat(good, self.ties)
        area = _auc(bad_ties, good_ties)
        loss, squares, *line = (self.sums * w).sum(axis=1)
        return np.array(
            [
                area,
                2 * area - 1,
                np.max(np.abs(np.cumsum(bad_ties) / bad.sum() - np.cumsum(good_ties) / good.sum())),
                loss / w.sum(),
                squares / w.sum(),
                _ece(self.bins, self.y, self.pd, w),
                *self._calibration(*line),
                *self._decisions(bad, good),
                _lift(bad_ties[::-1], (bad_ties + good_ties)[::-1]),
                self._profit(bad, good),
            ]
        )

    def psi(self, weights: np.ndarray, reference: Reference) -> float:
        """PSI of the PDs, weighted, against the reference."""
        held = np.append(0.0, np.cumsum(weights))
        ends = np.concatenate([[0], np.searchsorted(self.pd, reference.edges, side="right"), [self.pd.size]])
        return psi(reference.shares, np.diff(held[ends]) / held[-1])

    def _calibration(self, g0: float, g1: float, h00: float, h01: float, h11: float) -> tuple[float, float]:
        """(slope, intercept) of bad on logit(PD): one Newton step from `line`, where the likelihood is a parabola."""
        hessian = np.array([[h00, h01], [h01, h11]]) + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, np.array([g0, g1]))
        return self.line[1] + float(step[1]), self.line[0] + float(step[0])

    def _decisions(self, bad: np.ndarray, good: np.ndarray) -> tuple[float, float, float, float]:
        """precision, recall, F1, accuracy of 'declined' as a prediction of bad; 0 where nobody is declined."""
        caught, refused = bad[self.declined :].sum(), good[self.declined :].sum()
        precision = caught / (caught + refused) if caught + refused else 0.0
        recall = caught / bad.sum()
        f1 = 2 * precision * recall / (precision + recall) if caught else 0.0
        return precision, recall, f1, (caught + good[: self.declined].sum()) / (bad.sum() + good.sum())

    def _profit(self, bad: np.ndarray, good: np.ndarray) -> float:
        """Per unit of loan applied for: margins of the accepted good loans less losses of the accepted bad ones."""
        earned = self.economics.margin * good[: self.declined].sum()
        lost = self.economics.lgd * bad[: self.declined].sum()
        return float((earned - lost) / (bad.sum() + good.sum()))


def _summands(y: np.ndarray, pd: np.ndarray, line: tuple[float, float]) -> np.ndarray:
    x = logit(pd)
    p = sigmoid(line[0] + line[1] * x)
    residual, curve = y - p, p * (1 - p)
    loss = -(y * np.log(pd) + (1 - y) * np.log1p(-pd))
    return np.stack([loss, (pd - y) ** 2, residual, residual * x, curve, curve * x, curve * x * x])


def tie_starts(scores: np.ndarray) -> np.ndarray:
    """First row of each run of equal scores."""
    return np.flatnonzero(np.append(True, scores[1:] != scores[:-1]))


def _auc(bad: np.ndarray, good: np.ndarray) -> float:
    """Mann-Whitney from weights per tie group, in rising order of PD."""
    below = np.cumsum(good) - good
    return float(np.sum(bad * (below + good / 2)) / (bad.sum() * good.sum()))


def _ece(bins: np.ndarray, y: np.ndarray, pd: np.ndarray, w: np.ndarray) -> float:
    return float(np.abs(np.bincount(bins, w * (pd - y))).sum() / w.sum())


def _lift(bad: np.ndarray, all_rows: np.ndarray) -> float:
    """Bad rate of the riskiest tenth over the overall one, from weights per tie group in falling order of PD.

    The group on the edge counts in proportion, so ties have no say in the result.
    """
    room = TOP_SHARE * all_rows.sum() - (np.cumsum(all_rows) - all_rows)
    share = np.clip(np.divide(room, all_rows, out=np.zeros_like(all_rows), where=all_rows > 0), 0.0, 1.0)
    return float(np.sum(share * bad) / TOP_SHARE / bad.sum())
