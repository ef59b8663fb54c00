"""The rules a model must beat: what an underwriter without one would decline. Same loans, same share declined.

The rule is the classic watch list: a strained borrower (debt service or revolving use is high) who also shows recent
trouble (a delinquency, or many inquiries).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from credit_risk_platform.domain.models.frame import FeatureTable

STRAIN = {"dti": 0.25, "revolving_utilisation": 0.80}
"""Feature -> the value above which it counts as strain; ratios."""
TROUBLE = {"delinq_2y": 1.0, "inquiries_6m": 2.0}
"""Feature -> the count from which it counts as recent trouble."""


@dataclass(frozen=True)
class Lift:
    """Bad rate among the declined over the overall bad rate, for rules and model at the same `declined_share`."""

    declined_share: float
    rules: float
    model: float


def declined_by_rules(frame: FeatureTable) -> np.ndarray:
    """Mask (n,) of the loans the rules would decline; a missing value triggers nothing."""
    columns = {name: frame.numeric[:, j] for j, name in enumerate(frame.numeric_names)}
    nothing = np.zeros(frame.rows, dtype=bool)
    strained = [columns[name] > limit for name, limit in STRAIN.items() if name in columns]
    troubled = [columns[name] >= limit for name, limit in TROUBLE.items() if name in columns]
    return np.logical_or.reduce([nothing, *strained]) & np.logical_or.reduce([nothing, *troubled])


def lift_over_rules(y: np.ndarray, pd: np.ndarray, declined: np.ndarray) -> Lift | None:
    """Decline as many loans by the highest PD `pd` (n,) as the rules decline; `None` when rules decline none or all.

    `y` (n,) 1 = bad. Loans that tie at the margin count in proportion.
    """
    count = int(declined.sum())
    if count in (0, y.size) or not y.sum():
        return None
    edge = np.partition(pd, y.size - count)[y.size - count]
    above, tied = pd > edge, pd == edge
    caught = y[above].sum() + y[tied].mean() * (count - above.sum())
    overall = y.mean()
    return Lift(count / y.size, float(y[declined].mean() / overall), float(caught / count / overall))
