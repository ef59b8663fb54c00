"""The economy the synthetic borrowers live in: five quarterly series shaped like FRED's, all invented.

Belongs here: the series and the stress they put on borrowers. Does not: publication dates (`adapters.sources.macro`).

The economy has its own fixed seed: two books with different seeds still live through the same recession.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

FIRST_QUARTER = np.datetime64("2005-01", "M")
LAST_QUARTER = np.datetime64("2026-04", "M")
ECONOMY_SEED = 20_050_101
CALM_UNEMPLOYMENT = 4.8
"""Per cent; the level at which the economy neither helps nor hurts borrowers."""

Floats = npt.NDArray[np.float64]
Months = npt.NDArray[np.datetime64]


@dataclass(frozen=True)
class Economy:
    """Quarterly values, one per entry of `quarters` (first month of each quarter)."""

    quarters: Months
    series: dict[str, Floats]
    """FRED series id -> values: UNRATE and FEDFUNDS in %, GDPC1 in bn chained $, CPIAUCSL and UMCSENT as indices."""


@cache
def economy() -> Economy:
    """The same invented economy on every call, 2005Q1 to 2026Q2 (86 quarters)."""
    quarters = np.arange(FIRST_QUARTER, LAST_QUARTER + 1, 3)
    rng = np.random.default_rng(ECONOMY_SEED)
    year = 2005 + np.arange(len(quarters)) / 4
    unemployment = CALM_UNEMPLOYMENT + 4.6 * _swell(year, 2009.75, 1.0, 2.6) + 5.9 * _swell(year, 2020.25, 0.2, 0.55)
    unemployment = unemployment - 1.0 * _swell(year, 2023.0, 1.4, 1.6) + _wander(rng, len(year), 0.08)
    inflation = 2.1 - 2.0 * _swell(year, 2009.4, 0.5, 0.5) + 5.4 * _swell(year, 2022.25, 0.8, 0.8)
    inflation = inflation + _wander(rng, len(year), 0.15)
    slack = unemployment - CALM_UNEMPLOYMENT
    growth = 2.4 - 3.0 * np.gradient(unemployment) + _wander(rng, len(year), 0.3)
    policy_rate = np.clip(2.2 + 0.65 * (inflation - 2.0) - 0.7 * slack + _wander(rng, len(year), 0.1), 0.08, None)
    sentiment = 86.0 - 3.2 * slack - 3.0 * (inflation - 2.0) + _wander(rng, len(year), 1.5)
    return Economy(
        quarters,
        {
            "CPIAUCSL": np.round(191.0 * np.cumprod(1 + inflation / 400), 3),
            "FEDFUNDS": np.round(policy_rate, 2),
            "GDPC1": np.round(15_700.0 * np.cumprod(1 + growth / 400), 3),
            "UMCSENT": np.round(sentiment, 1),
            "UNRATE": np.round(unemployment, 1),
        },
    )


def stress_over(first_month: npt.NDArray[np.int64], months: npt.NDArray[np.int64]) -> Floats:
    """Mean excess unemployment (percentage points) over each loan's life, known only in hindsight.

    Args:
        first_month: (n,) months since 1970-01 in which each loan starts, 2005-01 or later.
        months: (n,) length of each loan, in months.

    Months after the series take its last value.
    """
    start = first_month - int(FIRST_QUARTER.astype(int))
    monthly = np.repeat(economy().series["UNRATE"] - CALM_UNEMPLOYMENT, 3)
    beyond = max(int((start + months).max(initial=0)) - len(monthly), 0)
    running = np.cumsum(np.concatenate([[0.0], monthly, np.full(beyond, monthly[-1])]))
    excess: Floats = running[start + months] - running[start]
    return excess / months


def _swell(year: Floats, peak: float, before: float, after: float) -> Floats:
    """A bump of height 1 at `peak` that rises over `before` years and ebbs over `after` years."""
    width = np.where(year < peak, before, after)
    bump: Floats = np.exp(-0.5 * ((year - peak) / width) ** 2)
    return bump


def _wander(rng: np.random.Generator, length: int, scale: float) -> Floats:
    """Noise with memory: each quarter keeps 0.7 of the last one."""
    steps = rng.normal(0.0, scale, length)
    decay = 0.7 ** np.arange(length)
    walk: Floats = np.convolve(steps, decay)[:length]
    return walk
