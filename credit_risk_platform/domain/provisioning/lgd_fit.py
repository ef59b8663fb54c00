"""Realised losses of closed workouts, and the LGD model they give.

What is left out and counted instead: workouts that still run, and loans whose recoveries nobody published.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from credit_risk_platform.domain.provisioning.exposure import MONTHS_A_YEAR, at_default
from credit_risk_platform.domain.provisioning.lgd import MAX_LGD, LgdLoans, LgdModel

RECOVERY_MONTHS = 12
"""Mean time from default to cash. Books tell totals only, no dates: half of the 24 months of a workout."""
COLLECTION_COST = 0.14
"""Share of what is recovered that collecting it costs: LendingClub's published collection fees are 13.9 % of the
recoveries on its 6,431 charged-off loans of 2007 to 2011. Own staff and courts are not in it."""
ASSUMED_LGD = 0.65
"""Of the feature map's expected-loss example, and what policies assume: used while too few workouts are closed."""
FEWEST_WORKOUTS = 30
CLEARLY = 2.0
"""Standard errors by which unemployment must raise the LGD before an add-on is believed."""
DIGITS = 8


@dataclass(frozen=True)
class Workouts:
    """n closed workouts. Money in `principal` (owed at default) and `recovered` (gross, since then); rates are shares.

    `cured` (n,) bool: the borrower paid up, so nothing was lost. `unemployment` (n,) per cent at default, NaN unknown.
    """

    loans: LgdLoans
    principal: np.ndarray
    recovered: np.ndarray
    annual_rate: np.ndarray
    cured: np.ndarray
    unemployment: np.ndarray

    def __len__(self) -> int:
        return len(self.principal)

    def realised(self) -> np.ndarray:
        """LGD (n,) in [0, 1.2] of each: 1 - recovered (1 - costs) (1 + rate)^(-1 year) / exposure at default.

        10,000 owed at 12 %, 2,000 recovered: EAD 10,300, 2,000 x 0.86 / 1.12 = 1,535.71, LGD = 1 - 0.14910 = 0.85090.
        """
        ead = at_default(self.principal, self.annual_rate)
        net = self.recovered * (1 - COLLECTION_COST) * (1 + self.annual_rate) ** (-RECOVERY_MONTHS / MONTHS_A_YEAR)
        back = np.divide(net, ead, out=np.ones(len(self)), where=ead > 0)
        return np.where(self.cured, 0.0, np.clip(1.0 - back, 0.0, MAX_LGD))


def fit(workouts: Workouts, notes: Mapping[str, Any] | None = None) -> LgdModel:
    """Mean per group, pulled towards the mean of all, and the downturn add-on.

    With fewer than 30 closed workouts nothing is estimated: LGD is 0.65 for all and `notes["basis"]` says so.
    """
    told = dict(notes or {})
    if len(workouts) < FEWEST_WORKOUTS:
        basis = f"assumed: {len(workouts)} closed workouts, {FEWEST_WORKOUTS} are needed for an estimate"
        return LgdModel(ASSUMED_LGD, {}, notes={**told, "basis": basis})
    realised = workouts.realised()
    names, which = np.unique(workouts.loans.groups(), return_inverse=True)
    levels = shrunk(realised, which.reshape(-1), len(names))
    slope, reference, told["downturn"] = _downturn(realised, workouts.unemployment)
    return LgdModel(
        mean=round(float(realised.mean()), DIGITS),
        groups={str(name): round(float(level), DIGITS) for name, level in zip(names, levels, strict=True)},
        per_point=round(slope, DIGITS),
        reference_unemployment=round(reference, DIGITS),
        notes={**told, "basis": "estimated"},
    )


def shrunk(values: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """Credibility means (groups,): n / (n + within / between) of the own mean, the rest the mean of all.

    Bühlmann and Straub (1970) with the usual estimates of both variances. Where groups differ by no more than chance
    would have it, all get the mean. `group` (n,) holds 0..groups-1, each at least once.
    """
    n = np.bincount(group, minlength=groups).astype(float)
    means = np.bincount(group, values, minlength=groups) / n
    total, mean = n.sum(), values.mean()
    if total <= groups:
        return np.full(groups, mean)
    within = float(((values - means[group]) ** 2).sum() / (total - groups))
    spread = float((n * (means - mean) ** 2).sum()) - (groups - 1) * within
    between = max(spread, 0.0) / max(total - (n**2).sum() / total, 1.0)
    if between == 0.0:
        return np.full(groups, mean)
    weight = n / (n + within / between)
    credible: np.ndarray = weight * means + (1 - weight) * mean
    return credible


def _downturn(realised: np.ndarray, unemployment: np.ndarray) -> tuple[float, float, str]:
    """(LGD per point, mean unemployment, words). The slope of a straight line, if clearly above 0, else 0."""
    known = np.isfinite(unemployment)
    if known.sum() < FEWEST_WORKOUTS or np.ptp(unemployment[known]) == 0:
        return 0.0, 0.0, "none: unemployment at default is not known or never changed"
    x, y = unemployment[known], realised[known]
    away = x - x.mean()
    slope = float(away @ y / (away @ away))
    rest = y - y.mean() - slope * away
    error = float(np.sqrt(rest @ rest / (len(x) - 2) / (away @ away)))
    told = f"{slope:+.4f} per point of unemployment, standard error {error:.4f}"
    if slope <= CLEARLY * error:
        return 0.0, float(x.mean()), f"none: not clearly above 0 ({told})"
    return slope, float(x.mean()), told
