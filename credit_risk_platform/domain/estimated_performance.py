"""How well a model separates loans whose end nobody knows yet, from its own calibrated PDs.

Confidence-based performance estimation (CBPE; Garg et al. 2022, "Leveraging Unlabeled Data to Predict
Out-of-Distribution Performance"; the method NannyML made known): a loan with PD p counts as p of a bad and 1 - p of a
good loan. That is exact in expectation while PDs are calibrated and loans independent, and *blind to a wrong level or
a changed relation between features and default*: such an estimate stays high when the model fails. It is therefore
shown apart from what came true, and its error is told once the labels are there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from credit_risk_platform.domain.calibration import clip
from credit_risk_platform.domain.metrics import EvaluationError, tie_starts


@dataclass(frozen=True)
class Estimate:
    """Expected metrics of `loans`. `auc_error` is the standard error of an AUC realised on as many loans."""

    loans: int
    bad_rate: float
    auc: float
    auc_error: float
    ks: float
    brier: float
    log_loss: float
    precision: float
    recall: float

    @property
    def gini(self) -> float:
        return 2 * self.auc - 1


def estimate(pd: np.ndarray, cutoff: float) -> Estimate:
    """Expected metrics of PDs (n,); loans with PD >= `cutoff` count as declined. Raises `EvaluationError` below two.

    AUC = sum_{i != j} p_i (1 - p_j) [pd_i > pd_j, ties a half] / sum_{i != j} p_i (1 - p_j): no loan is both ends of a
    pair. Brier: mean p (1 - p). Log-loss: mean entropy. Precision: mean PD of the declined. Recall: their share of
    all expected bad loans. KS: largest gap between the expected cumulative shares.
    """
    p = np.sort(clip(pd))
    if p.size < 2:
        raise EvaluationError("two loans are needed: nothing separates one")
    if np.isnan(p).any():
        raise EvaluationError(f"{int(np.isnan(p).sum())} PDs are not numbers")
    q = 1 - p
    auc, ks = _separation(p, q)
    declined = p[np.searchsorted(p, cutoff, side="left") :].sum()
    refused = p.size - int(np.searchsorted(p, cutoff, side="left"))
    return Estimate(
        loans=p.size,
        bad_rate=float(p.mean()),
        auc=auc,
        auc_error=auc_standard_error(auc, float(p.sum()), float(q.sum())),
        ks=ks,
        brier=float((p * q).mean()),
        log_loss=float(-(p * np.log(p) + q * np.log(q)).mean()),
        precision=float(declined / refused) if refused else 0.0,
        recall=float(declined / p.sum()),
    )


def auc_standard_error(auc: float, bads: float, goods: float) -> float:
    """Standard error of an AUC measured on so many bad and good loans (Hanley and McNeil 1982, equation 2)."""
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    more_bad, more_good = max(bads - 1, 0.0), max(goods - 1, 0.0)
    variance = auc * (1 - auc) + more_bad * (q1 - auc**2) + more_good * (q2 - auc**2)
    return float(np.sqrt(max(variance, 0.0) / (bads * goods)))


def _separation(p: np.ndarray, q: np.ndarray) -> tuple[float, float]:
    """(AUC, KS) in expectation, of PDs in rising order."""
    starts = tie_starts(p)
    bad, good = np.add.reduceat(p, starts), np.add.reduceat(q, starts)
    own = float((p * q).sum())
    below = np.cumsum(good) - good
    wins = float((bad * (below + good / 2)).sum()) - own / 2
    auc = wins / (p.sum() * q.sum() - own)
    ks = np.abs(np.cumsum(bad) / bad.sum() - np.cumsum(good) / good.sum()).max()
    return float(auc), float(ks)
