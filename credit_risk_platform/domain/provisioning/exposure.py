"""Exposure at default of level-payment loans: principal owed when payments stop, plus the interest that is not paid.

A loan defaults when its oldest instalment is 90 days past due, so three instalments were missed by then: their
principal is still owed, and their interest is, too.
"""

from __future__ import annotations

import numpy as np

MISSED_INSTALMENTS = 3
"""Instalments that fell due and were not paid when the oldest of them is 90 days past due."""
MONTHS_A_YEAR = 12


def ead_path(balance: np.ndarray, annual_rate: np.ndarray, remaining_months: np.ndarray, horizon: int) -> np.ndarray:
    """What is owed if a loan defaults in month t = 1..horizon from today, (n, horizon) in money.

    A default in month t follows on instalments t-3, t-2 and t-1 that were missed, so the principal is the one owed at
    the start of month max(t - 3, 1), and three months' interest on it is added. Level payments: after k of N
    instalments at monthly rate r a share ((1+r)^N - (1+r)^k) / ((1+r)^N - 1) of the balance is owed; without interest
    (N - k) / N. A loan past its term that still owes has one instalment to go.

    Args:
        balance: (n,) principal owed today, money.
        annual_rate: (n,) nominal rate a year as a share: 0.12 is 12 %.
        remaining_months: (n,) instalments still to fall due.
        horizon: months ahead.
    """
    paid = np.maximum(np.arange(1, horizon + 1) - MISSED_INSTALMENTS, 1) - 1
    owed = _share_owed(np.asarray(annual_rate, float) / MONTHS_A_YEAR, np.maximum(remaining_months, 1), paid)
    with_interest: np.ndarray = at_default(np.asarray(balance, float), np.asarray(annual_rate, float))[:, None] * owed
    return with_interest


def at_default(principal: np.ndarray, annual_rate: np.ndarray) -> np.ndarray:
    """Principal owed plus the interest of the missed instalments: 10,000 at 12 % -> 10,000 x (1 + 3 x 1 %) = 10,300."""
    owed: np.ndarray = principal * (1 + MISSED_INSTALMENTS * annual_rate / MONTHS_A_YEAR)
    return owed


def expected_loss(pd: np.ndarray | float, lgd: np.ndarray | float, ead: np.ndarray | float) -> np.ndarray:
    """PD x LGD x EAD, all of the same horizon: 0.05 x 0.65 x 10,000 = 325.00."""
    return np.asarray(pd, float) * np.asarray(lgd, float) * np.asarray(ead, float)


def _share_owed(rate: np.ndarray, instalments: np.ndarray, paid: np.ndarray) -> np.ndarray:
    """(n, horizon) share of the balance still owed after `paid` (horizon,) of the `instalments` (n,) to come."""
    count = np.asarray(instalments, float)[:, None]
    left = np.maximum(count - paid, 0.0)
    growth = np.log1p(np.maximum(rate, 0.0))[:, None]
    # ((1+r)^N - (1+r)^k) / ((1+r)^N - 1), divided by (1+r)^N so that no power overflows.
    level = np.expm1(-growth * left) / np.where(growth > 0, np.expm1(-growth * count), 1.0)
    share: np.ndarray = np.where(growth > 0, level, left / count)
    return share
