"""Backtesting PDs: were there as many bad loans as the PDs said, per risk band and in total?

Binomial test per band: were all loans of a band independent with its mean PD, the count of bad ones would be binomial
(Basel Committee, Working Paper 14, 2005, "Studies on the Validation of Internal Rating Systems", section III.4).
Traffic lights at the levels of Tasche (2003), "A traffic lights approach to PD validation": 95 % and 99.9 %.
Hosmer and Lemeshow (1980) judge all bands at once. Loans of one vintage share the economy, so both tests are strict:
red says "more than chance", and the ratio of observed to expected says how much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

AMBER, RED = 0.05, 0.001
"""Chances below which a light changes."""
FEWEST_EXPECTED = 5.0
"""Bad and good loans that a group must be expected to hold for chi-squared to describe it (Cochran's rule)."""


class Light(StrEnum):
    """`FAIL` only where PDs were too low; PDs that were too high cost business, not capital, and are `AMBER`."""

    PASS = "pass"  # noqa: S105 a verdict
    AMBER = "amber"
    FAIL = "fail"


@dataclass(frozen=True)
class Graded:
    """One band: `loans` of mean PD `pd`, `bads` of them bad."""

    grade: str
    loans: int
    pd: float
    bads: int

    @property
    def expected(self) -> float:
        return self.loans * self.pd

    @property
    def bad_rate(self) -> float:
        return self.bads / self.loans


@dataclass(frozen=True)
class BandVerdict:
    """`p_too_low`: chance of this many bad loans or more, were the PDs right; `p_too_high`: of this many or fewer."""

    p_too_low: float
    p_too_high: float

    @property
    def light(self) -> Light:
        if self.p_too_low < RED:
            return Light.FAIL
        return Light.AMBER if min(self.p_too_low, self.p_too_high) < AMBER else Light.PASS


@dataclass(frozen=True)
class HosmerLemeshow:
    """`statistic` is chi-squared with `groups` degrees of freedom, for the PDs were not fitted to these loans."""

    statistic: float
    groups: int
    p_value: float


def grade(names: Sequence[str], indices: np.ndarray, pd: np.ndarray, bad: np.ndarray) -> list[Graded]:
    """The bands that hold loans, lowest PD first: `indices` (n,) into `names`, PDs (n,), `bad` (n,) 0 or 1."""
    size = len(names)
    loans = np.bincount(indices, minlength=size)
    pds = np.bincount(indices, pd, minlength=size)
    bads = np.bincount(indices, bad, minlength=size)
    return [
        Graded(name, int(loans[k]), float(pds[k] / loans[k]), round(float(bads[k])))
        for k, name in enumerate(names)
        if loans[k]
    ]


def in_total(bands: Sequence[Graded], name: str = "all") -> Graded:
    """All bands as one. Its binomial spread is a little wider than that of the mixed PDs, so it is a mild test."""
    loans = sum(band.loans for band in bands)
    return Graded(name, loans, sum(band.expected for band in bands) / loans, sum(band.bads for band in bands))


def binomial_test(band: Graded) -> BandVerdict:
    """Both one-sided p-values; exact, so that small bands need no approximation."""
    from scipy.stats import binom

    return BandVerdict(
        float(binom.sf(band.bads - 1, band.loans, band.pd)),
        float(binom.cdf(band.bads, band.loans, band.pd)),
    )


def hosmer_lemeshow(bands: Sequence[Graded]) -> HosmerLemeshow | None:
    """Sum (bads - expected)^2 / (loans * pd * (1 - pd)) over groups; `None` where not even all loans make one.

    Neighbouring bands are joined until each group is expected to hold 5 bad and 5 good loans.
    """
    from scipy.stats import chi2

    groups = _joined(bands)
    if not groups:
        return None
    statistic = sum((g.bads - g.expected) ** 2 / (g.expected * (1 - g.pd)) for g in groups)
    return HosmerLemeshow(statistic, len(groups), float(chi2.sf(statistic, len(groups))))


def _joined(bands: Sequence[Graded]) -> list[Graded]:
    groups: list[Graded] = []
    waiting: list[Graded] = []
    for band in bands:
        waiting.append(band)
        if _enough(joined := in_total(waiting, band.grade)):
            groups.append(joined)
            waiting = []
    if waiting and groups:
        groups[-1] = in_total([groups[-1], *waiting], groups[-1].grade)
    return groups


def _enough(band: Graded) -> bool:
    return min(band.expected, band.loans - band.expected) >= FEWEST_EXPECTED
