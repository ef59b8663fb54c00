"""Months in which loans were at risk: what they were like, and how each month ended.

Belongs here: the columns of a hazard model, one definition for fitting and for forecasting. Does not: the SQL that
makes the months (`adapters/person_months.py`), nor the fit (`hazard_fit.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

UNKNOWN, CURRENT = -1, 0
ARREARS: Final = ("current", "1-29", "30-59", "60-89")
"""Days past due at the observation, by code 0..3; -1 where nothing is known of payments."""
SURVIVED, DEFAULTED, CLOSED = 0, 1, 2
"""How a month ends: still on the book, in default (90 days past due or charged off), or repaid."""
RECOGNITION_LAG_MONTHS = 5
"""Charge-offs are recognised up to so long after the last payment (dbt var of the same name): no default after it."""
FIRST_MONTHS = 3
"""No loan can be 90 days past due in its first three months."""
AGE_KNOTS: Final = (4, 6, 9, 12, 18, 24, 36)
LIFE_KNOTS: Final = (0.25, 0.5, 0.75, 0.9)
AHEAD_FROM: Final = (1, 2, 3, 4, 7, 13, 25)
"""First month of each horizon band: what arrears say today is stale in a year."""
PD_RANGE: Final = (1e-4, 1 - 1e-4)

AGE_COLUMNS: Final = (
    "first months", "log age", *(f"age over {knot}" for knot in AGE_KNOTS), "log term",
    *(f"life over {knot:.0%}" for knot in LIFE_KNOTS), "at term", "past term", "months past term",
)  # fmt: skip
ARREARS_COLUMNS: Final = tuple(f"{name}, {first}+ ahead" for name in ARREARS for first in AHEAD_FROM)
PD_COLUMNS: Final = ("logit PD", "logit PD in arrears")
UNEMPLOYMENT: Final = "unemployment"
COLUMNS: Final = (*AGE_COLUMNS, *ARREARS_COLUMNS, *PD_COLUMNS, UNEMPLOYMENT)


@dataclass(frozen=True)
class PersonMonths:
    """n months at risk. `vintage` is the month of issue, counted from 1970-01; `weight` how many months one stands for.

    `age` is the month on book (1 = the month after issue), `ahead` counts from the observation, `unemployment` is in
    per cent as published by the start of the month.
    """

    age: np.ndarray
    term: np.ndarray
    pd: np.ndarray
    arrears: np.ndarray
    ahead: np.ndarray
    unemployment: np.ndarray
    vintage: np.ndarray
    event: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.age)

    def take(self, rows: np.ndarray) -> PersonMonths:
        return PersonMonths(**{name: values[rows] for name, values in vars(self).items()})

    def design(self) -> np.ndarray:
        """(n, len(COLUMNS)) float64, columns as in `COLUMNS`."""
        score = logit(self.pd)
        pd_part = np.column_stack([score, np.where(self.arrears > CURRENT, score, 0.0)])
        return np.hstack(
            [
                age_part(self.age, self.term),
                arrears_part(self.arrears, self.ahead),
                pd_part,
                np.asarray(self.unemployment, float)[:, None],
            ]
        )


def age_part(age: np.ndarray, term: np.ndarray) -> np.ndarray:
    """(n, len(AGE_COLUMNS)): the shape of the hazard over the life of a loan, in years and in shares of its term."""
    month, length = np.asarray(age, float), np.asarray(term, float)
    life = month / length
    return np.column_stack(
        [
            month <= FIRST_MONTHS,
            np.log(np.maximum(month, 1.0)),
            *(np.maximum(month - knot, 0.0) / 12 for knot in AGE_KNOTS),
            np.log(length),
            *(np.maximum(life - knot, 0.0) for knot in LIFE_KNOTS),
            month == length,
            month > length,
            np.maximum(month - length, 0.0),
        ]
    ).astype(float)


def arrears_part(arrears: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    """(n, len(ARREARS_COLUMNS)) of 0 and 1: arrears at the observation by months since; all 0 where unknown."""
    band = np.searchsorted(AHEAD_FROM, ahead, side="right") - 1
    code = np.asarray(arrears, np.int64) * len(AHEAD_FROM) + band
    found = np.zeros((len(code), len(ARREARS_COLUMNS)))
    known = np.flatnonzero(np.asarray(arrears) >= CURRENT)
    found[known, code[known]] = 1.0
    return found


def logit(pd: np.ndarray) -> np.ndarray:
    """Log-odds (n,) of PDs, which are kept away from 0 and 1."""
    kept = np.clip(np.asarray(pd, float), *PD_RANGE)
    odds: np.ndarray = np.log(kept / (1 - kept))
    return odds
