"""Fitting the two hazards of `hazard.py` to months at risk, and holding them against months they have not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from credit_risk_platform.domain.models.base import sigmoid
from credit_risk_platform.domain.provisioning.hazard import INTERCEPT, Curves, HazardModel, LoanStates
from credit_risk_platform.domain.provisioning.person_months import (
    CLOSED,
    COLUMNS,
    DEFAULTED,
    RECOGNITION_LAG_MONTHS,
    UNEMPLOYMENT,
    PersonMonths,
)

RIDGE = 10.0
"""Inverse of the penalty: a cell without any event ends at about a tenth of one, instead of at minus infinity."""
DIGITS = 8
"""Coefficients are rounded to so many decimals, so that the order of a sum does not make another model."""
FEWEST_EVENTS = 30
DEVELOPMENT_SHARE = 0.7
"""Of the defaults, in the oldest vintages; the younger ones are out of time."""


class HazardError(ValueError):
    """Too little has happened to learn hazards from; the message says what is lacking."""


def fit(months: PersonMonths, notes: Mapping[str, Any] | None = None) -> HazardModel:
    """Two weighted logits: default in a month at risk, and repayment in a month that did not end in default.

    Unemployment may only raise the hazard of default: where the fit says it lowers it, the column is left out and
    `notes["unemployment"]` says so. It takes no part in repayment, so that in a harsher scenario nobody is saved by
    repaying sooner. Raises `HazardError` below 30 defaults.
    """
    design = months.design()
    defaulted = months.event == DEFAULTED
    if defaulted.sum() < FEWEST_EVENTS:
        raise HazardError(f"{defaulted.sum()} months at risk ended in default; {FEWEST_EVENTS} are needed")
    default = _logit(design, defaulted, months.weight, COLUMNS)
    effect = default.get(UNEMPLOYMENT)
    if effect is None:
        told = "left out: not known, or the same in every month"
    elif effect > 0:
        told = f"estimated, {effect:+.4f} log-odds per point"
    else:
        told = f"left out: the estimate was {effect:+.4f}, and unemployment does not make loans safer"
        default = _logit(design, defaulted, months.weight, COLUMNS[:-1])
    stayed = ~defaulted
    closing = _logit(design[stayed], months.event[stayed] == CLOSED, months.weight[stayed], COLUMNS[:-1])
    return HazardModel(default, closing, {**(notes or {}), "unemployment": told})


def hazards(model: HazardModel, months: PersonMonths) -> np.ndarray:
    """Chance (n,) to default in each month at risk."""
    odds = months.design() @ np.array([model.default.get(name, 0.0) for name in COLUMNS])
    return sigmoid(odds + model.default.get(INTERCEPT, 0.0))


def from_issue(model: HazardModel, term: np.ndarray, pd: np.ndarray, months: PersonMonths) -> Curves:
    """Curves over whole lives of loans (n,) just issued, at the mean unemployment of the months at risk."""
    horizon = int(np.max(term, initial=1)) + RECOGNITION_LAG_MONTHS
    usual = float(np.average(months.unemployment, weights=months.weight))
    return model.curves(LoanStates.at_issue(term, pd), np.full(horizon, usual), horizon)


@dataclass(frozen=True)
class OutOfTime:
    """A model of the older vintages against the younger ones: rows of `expected_and_observed`."""

    first_vintage: int
    """Month of issue, counted from 1970-01, from which on vintages are out of time."""
    total: Mapping[str, Any]
    by_vintage: Sequence[Mapping[str, Any]]
    by_term: Sequence[Mapping[str, Any]]
    by_arrears: Sequence[Mapping[str, Any]]


def out_of_time(months: PersonMonths) -> OutOfTime:
    """Fit on the vintages that hold the first 70 % of the defaults, expect the defaults of all later ones.

    Loans are followed from issue, except by arrears, which are known of later looks only. Raises `HazardError` where
    the older vintages hold too few defaults, or there are no younger ones.
    """
    vintages = np.sort(months.vintage[months.event == DEFAULTED])
    if len(vintages) < FEWEST_EVENTS:
        raise HazardError(f"{len(vintages)} defaults are too few to split by vintage")
    first = int(vintages[int(DEVELOPMENT_SHARE * len(vintages))])
    if not (months.vintage < first).any():
        raise HazardError("all defaults are of one vintage")
    model = fit(months.take(months.vintage < first))
    later = months.take(months.vintage >= first)
    chance = hazards(model, later)
    followed = later.ahead == later.age
    issued, expected = later.take(followed), chance[followed]
    return OutOfTime(
        first_vintage=first,
        total=expected_and_observed(expected, issued, np.zeros(len(issued)))[0],
        by_vintage=expected_and_observed(expected, issued, issued.vintage // 3 * 3),
        by_term=expected_and_observed(expected, issued, issued.term),
        by_arrears=expected_and_observed(chance, later, later.arrears),
    )


def expected_and_observed(chance: np.ndarray, months: PersonMonths, by: np.ndarray) -> list[dict[str, Any]]:
    """Per value of `by` (n,): weighted months, expected and observed defaults, their ratio (None without any).

    The sum of the hazards over the months at risk is the expected number of defaults, whatever was censored.
    """
    keys, which = np.unique(by, return_inverse=True)
    which = which.reshape(-1)
    expected = np.bincount(which, months.weight * chance)
    observed = np.bincount(which, months.weight * (months.event == DEFAULTED))
    weight = np.bincount(which, months.weight)
    return [
        {
            "group": int(key),
            "months": float(n),
            "expected": float(e),
            "observed": float(o),
            "ratio": float(o / e) if e > 0 else None,
        }
        for key, n, e, o in zip(keys, weight, expected, observed, strict=True)
    ]


def net_default(at_risk: np.ndarray, defaults: np.ndarray) -> np.ndarray:
    """1 - Kaplan-Meier (T,): chance to have defaulted by each age if nobody repaid; the counts may be expected ones."""
    hazard = np.divide(defaults, at_risk, out=np.zeros(len(at_risk)), where=np.asarray(at_risk) > 0)
    risen: np.ndarray = 1.0 - np.cumprod(1.0 - hazard)
    return risen


def mean_hazard(chance: np.ndarray, months: PersonMonths, term: int, ages: int) -> np.ndarray:
    """Mean hazard (ages,) of the loans of one term at each age 1..ages, followed from issue; 0 where none is."""
    of_term = (months.term == term) & (months.ahead == months.age) & (months.age <= ages)
    place, weight = months.age[of_term] - 1, months.weight[of_term]
    at_risk = np.bincount(place, weight, minlength=ages)
    expected = np.bincount(place, weight * chance[of_term], minlength=ages)
    found: np.ndarray = np.divide(expected, at_risk, out=np.zeros(ages), where=at_risk > 0)
    return found


def _logit(design: np.ndarray, event: np.ndarray, weight: np.ndarray, columns: Sequence[str]) -> dict[str, float]:
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    # Columns that do not vary have nothing to say; the last ones (unemployment) may be left out by name.
    used = [k for k, _ in enumerate(columns) if np.ptp(design[:, k]) > 0]
    model = LogisticRegression(C=RIDGE, solver="newton-cholesky", tol=1e-6, max_iter=200)
    with threadpool_limits(1):  # matrices this narrow take six times as long where BLAS threads spin on shared cores
        model.fit(design[:, used], event, sample_weight=weight)
    found = {columns[k]: round(float(value), DIGITS) for k, value in zip(used, model.coef_[0], strict=True)}
    return {INTERCEPT: round(float(model.intercept_[0]), DIGITS), **found}
