"""Month-by-month PD of loans on the book: two competing hazards, default and repayment.

In each month a loan on the book defaults with chance h(t); if it does not, it is repaid with chance c(t). Both are
logits over `person_months.COLUMNS` (discrete-time hazards: Singer and Willett 1993; competing risks in retail credit:
Stepanova and Thomas 2002). So the PD of month t is S(t-1) h(t), where S is the chance to be on the book still.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from credit_risk_platform.domain.models.base import sigmoid
from credit_risk_platform.domain.provisioning.contents import sha256_of
from credit_risk_platform.domain.provisioning.person_months import (
    AGE_COLUMNS,
    ARREARS,
    ARREARS_COLUMNS,
    COLUMNS,
    CURRENT,
    RECOGNITION_LAG_MONTHS,
    UNEMPLOYMENT,
    UNKNOWN,
    age_part,
    arrears_part,
    logit,
)

KIND = "hazard"
INTERCEPT = "intercept"


@dataclass(frozen=True)
class LoanStates:
    """n loans at an observation day, none of them in default.

    Attributes:
        months_on_book: (n,) whole months since the month of issue.
        term_months: (n,) contractual length.
        pd_origination: (n,) PD at application over the term.
        arrears: (n,) days past due: 0 current, 1 1-29, 2 30-59, 3 60-89, -1 unknown, also for a loan just issued.
    """

    months_on_book: np.ndarray
    term_months: np.ndarray
    pd_origination: np.ndarray
    arrears: np.ndarray

    def __len__(self) -> int:
        return len(self.months_on_book)

    @classmethod
    def at_issue(cls, term_months: np.ndarray, pd_origination: np.ndarray) -> LoanStates:
        """Loans just issued: nothing is known of payments."""
        n = len(term_months)
        return cls(np.zeros(n, np.int64), term_months, pd_origination, np.full(n, UNKNOWN, np.int8))


@dataclass(frozen=True)
class Curves:
    """Chances of month t = 1..horizon from the observation day, unconditional, each (n, horizon).

    The PDs of the first 12 months sum to the 12-month PD, all of them to the lifetime PD.
    """

    default: np.ndarray
    """Marginal PD: the loan defaults in month t."""
    prepaid: np.ndarray
    """The loan is repaid in full in month t, early or at its term."""

    @property
    def alive(self) -> np.ndarray:
        """(n, horizon): on the book and not in default at the end of month t."""
        left: np.ndarray = np.maximum(1.0 - np.cumsum(self.default + self.prepaid, axis=1), 0.0)
        return left

    def within(self, months: int) -> np.ndarray:
        """(n,) PD over the first `months`; 12 for the 12-month PD."""
        total: np.ndarray = self.default[:, :months].sum(axis=1)
        return total

    @property
    def lifetime(self) -> np.ndarray:
        """(n,) lifetime PD."""
        return self.within(self.default.shape[1])


@dataclass(frozen=True)
class HazardModel:
    """Coefficients of both logits by column name. `notes` tell how they came about and take no part in a forecast."""

    default: Mapping[str, float]
    closing: Mapping[str, float]
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, found in (("default", self.default), ("closing", self.closing)):
            unknown = sorted(set(found) - {INTERCEPT, *COLUMNS})
            if unknown:
                raise ValueError(f"hazard of {name}: no such column as {', '.join(unknown)}; known are {COLUMNS}")

    @property
    def unemployment_effect(self) -> float:
        """Log-odds of default in a month per percentage point of unemployment, never negative."""
        return float(self.default.get(UNEMPLOYMENT, 0.0))

    def curves(self, loans: LoanStates, unemployment: np.ndarray, horizon: int) -> Curves:
        """Chances to default and to be repaid in each month ahead.

        Args:
            loans: n loans that are not in default.
            unemployment: (horizon,) per cent, the rate that is public at the start of each month ahead.
            horizon: months; nothing happens later than the term and the recognition lag.
        """
        path = np.asarray(unemployment, float)
        if path.shape != (horizon,):
            raise ValueError(f"unemployment has shape {path.shape}: give one value per month ahead, ({horizon},)")
        defaults, closings = self._log_odds(loans, path, horizon)
        chance, closing = sigmoid(defaults), sigmoid(closings)
        chance[self._over(loans, horizon)] = 0.0
        survival = np.cumprod((1 - chance) * (1 - closing), axis=1)
        before = np.hstack([np.ones((len(loans), 1)), survival[:, :-1]])
        return Curves(default=before * chance, prepaid=before * (1 - chance) * closing)

    def _log_odds(self, loans: LoanStates, path: np.ndarray, horizon: int) -> tuple[np.ndarray, np.ndarray]:
        """(n, horizon) of each logit. Only a few ages, terms and arrears exist: their parts are looked up."""
        ahead = np.arange(1, horizon + 1)
        lives, which = np.unique(
            np.column_stack([loans.months_on_book, loans.term_months]), axis=0, return_inverse=True
        )
        which = which.reshape(-1)
        ages = np.maximum(lives[:, :1] + ahead, 1)
        shape = age_part(ages.reshape(-1), np.repeat(lives[:, 1], horizon))
        codes = np.arange(-1, len(ARREARS))
        spread = arrears_part(np.repeat(codes, horizon), np.tile(ahead, len(codes)))
        score = logit(loans.pd_origination)
        in_arrears = np.asarray(loans.arrears) > CURRENT
        found = []
        for part in (self.default, self.closing):
            odds = (shape @ _vector(part, AGE_COLUMNS)).reshape(len(lives), horizon)[which]
            odds += (spread @ _vector(part, ARREARS_COLUMNS)).reshape(len(codes), horizon)[
                np.asarray(loans.arrears) + 1
            ]
            own = part.get("logit PD", 0.0) * score + part.get("logit PD in arrears", 0.0) * score * in_arrears
            odds += (part.get(INTERCEPT, 0.0) + own)[:, None] + part.get(UNEMPLOYMENT, 0.0) * path
            found.append(odds)
        return found[0], found[1]

    @staticmethod
    def _over(loans: LoanStates, horizon: int) -> np.ndarray:
        """(n, horizon): months after the term and the recognition lag."""
        last = np.asarray(loans.term_months) + RECOGNITION_LAG_MONTHS - np.asarray(loans.months_on_book)
        later: np.ndarray = np.arange(1, horizon + 1) > last[:, None]
        return later

    def to_dict(self) -> dict[str, Any]:
        return {"kind": KIND, "default": dict(self.default), "closing": dict(self.closing), "notes": dict(self.notes)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> HazardModel:
        return cls(stored["default"], stored["closing"], stored["notes"])

    @cached_property
    def sha256(self) -> str:
        return sha256_of(self.to_dict())


def _vector(part: Mapping[str, float], columns: tuple[str, ...]) -> np.ndarray:
    return np.array([part.get(name, 0.0) for name in columns])
