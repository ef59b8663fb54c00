"""What the pictures of a model show: ROC, reliability and KS curves as small tables, ready to plot or to store."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from credit_risk_platform.domain.intervals import wilson
from credit_risk_platform.domain.metrics import checked, equal_count_bins

POINTS = 200


def roc_curve(y: np.ndarray, pd: np.ndarray, points: int = POINTS) -> pa.Table:
    """Columns threshold, false_positive_rate, true_positive_rate; from (0, 0) to (1, 1), at most `points` rows.

    A threshold declines loans with PD >= threshold.
    """
    threshold, bad, good = _cumulative(y, pd)
    rows = _thin(threshold.size, points)
    return pa.table(
        {
            "threshold": threshold[rows],
            "false_positive_rate": good[rows] / good[-1],
            "true_positive_rate": bad[rows] / bad[-1],
        }
    )


def ks_curve(y: np.ndarray, pd: np.ndarray, points: int = POINTS) -> tuple[pa.Table, float, float]:
    """(curve, KS, PD at which it is reached): columns pd, share of good and of bad loans with at least that PD."""
    threshold, bad, good = _cumulative(y, pd)
    distance = np.abs(bad / bad[-1] - good / good[-1])
    widest = int(np.argmax(distance))
    rows = np.union1d(_thin(threshold.size, points), [widest])
    curve = pa.table({"pd": threshold[rows], "bad_share": bad[rows] / bad[-1], "good_share": good[rows] / good[-1]})
    return curve, float(distance[widest]), float(threshold[widest])


def calibration_curve(y: np.ndarray, pd: np.ndarray, bins: int = 10) -> pa.Table:
    """Equal-count bins in rising PD: loans, mean_pd, bad_rate and its Wilson 95 % interval low, high.

    Equal PDs share a bin, so there may be fewer than `bins`.
    """
    labels, scores = checked(y, pd)
    order = np.argsort(scores, kind="stable")
    bin_of = np.unique(equal_count_bins(scores[order], bins), return_inverse=True)[1]
    loans = np.bincount(bin_of)
    rate = np.bincount(bin_of, labels[order]) / loans
    low, high = wilson(rate, loans)
    mean_pd = np.bincount(bin_of, scores[order]) / loans
    return pa.table({"loans": loans, "mean_pd": mean_pd, "bad_rate": rate, "low": low, "high": high})


def _cumulative(y: np.ndarray, pd: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct PDs falling from 'above all', with the bad and good loans at or above each."""
    labels, scores = checked(y, pd)
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    ends = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))
    bad = np.cumsum(labels[order])[ends]
    threshold = np.concatenate([[1.0], falling[ends]])
    return threshold, np.concatenate([[0.0], bad]), np.concatenate([[0.0], ends + 1 - bad])


def _thin(size: int, points: int) -> np.ndarray:
    return np.unique(np.linspace(0, size - 1, min(points, size)).astype(np.int64))
