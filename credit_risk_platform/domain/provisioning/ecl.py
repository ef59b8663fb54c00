"""Expected credit loss of a book on one day: one engine for IFRS 9 (stages) and CECL (lifetime for all).

Loss of a default in month t = marginal PD_t x LGD_t x EAD_t, discounted to the day at the loan's effective rate and
weighted over scenarios (IFRS 9 5.5.17, B5.5.44). The 12-month figure is the lifetime loss of defaults *within* the next
12 months, so it is the head of the same sum. A loan in default costs LGD x what is owed.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import date
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from credit_risk_platform.domain.provisioning import exposure, staging
from credit_risk_platform.domain.provisioning.hazard import HazardModel, LoanStates
from credit_risk_platform.domain.provisioning.lgd import WORKOUT_MONTHS, LgdLoans, LgdModel
from credit_risk_platform.domain.provisioning.person_months import RECOGNITION_LAG_MONTHS, UNKNOWN
from credit_risk_platform.domain.provisioning.scenarios import (
    LONG_RUN_UNEMPLOYMENT,
    SUPPORTABLE_MONTHS,
    Scenario,
    ScenarioSet,
)

Floats = npt.NDArray[np.float64]
YEAR = 12
ARREARS_FROM = (1, 30, 60)
"""Days past due from which a loan is in arrears of code 1, 2 and 3."""
DAYS_A_MONTH = 30


class Framework(StrEnum):
    """Whose rule says how much of the life is provided for."""

    IFRS9 = "ifrs9"
    CECL = "cecl"


@dataclass(frozen=True)
class Loans:
    """n loans on the book on the day; arrays (n,).

    `days_past_due` is -1 where the source does not tell. `in_default`: a default is on record, cured or not, since
    `months_in_default`. `annual_rate` is nominal, as a share; `balance` the principal owed.
    """

    balance: Floats
    annual_rate: Floats
    term_months: npt.NDArray[np.int64]
    months_on_book: npt.NDArray[np.int64]
    days_past_due: npt.NDArray[np.int64]
    in_default: npt.NDArray[np.bool_]
    months_in_default: Floats
    pd_origination: Floats
    purpose: npt.NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.balance)

    @property
    def non_performing(self) -> npt.NDArray[np.bool_]:
        """Stage 3, which needs no PD to be seen."""
        nothing = np.zeros(len(self))
        reason = staging.reasons(self.days_past_due, self.in_default, nothing, nothing)
        return np.asarray(staging.stage_of(reason) == 3)

    def take(self, rows: npt.NDArray[np.bool_]) -> Loans:
        return Loans(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def priced_by(self, pd_origination: Floats) -> Loans:
        """The same loans with the PDs of another model at origination."""
        return replace(self, pd_origination=pd_origination)


@dataclass(frozen=True)
class Basis:
    """What turns loans into losses: two models and the scenarios. Three names make a figure repeatable."""

    hazard: HazardModel
    lgd: LgdModel
    scenarios: ScenarioSet


@dataclass(frozen=True)
class Allowance:
    """Figures per loan (n,): stage and reason code, PDs, LGD, EAD in money, losses in money, effective annual rate.

    PDs and LGD are means over the scenarios. `ead` is what is owed today: principal and interest accrued on arrears.
    """

    reason: npt.NDArray[np.int8]
    pd_12m: Floats
    pd_lifetime: Floats
    pd_lifetime_at_origination: Floats
    lgd: Floats
    ead: Floats
    ecl_12m: Floats
    ecl_lifetime: Floats
    ecl_cecl: Floats
    eir: Floats

    @property
    def stage(self) -> npt.NDArray[np.int8]:
        return staging.stage_of(self.reason)

    def of(self, framework: Framework) -> Floats:
        """The allowance under one framework."""
        if framework is Framework.CECL:
            return self.ecl_cecl
        return np.where(self.stage == 1, self.ecl_12m, self.ecl_lifetime)


def measure(loans: Loans, basis: Basis, day: date, *, with_cecl: bool = True) -> Allowance:
    """The allowance of every loan on `day`, under both frameworks; without CECL, NaN stands for it."""
    bad = loans.non_performing
    found = {f.name: np.empty(len(loans), dtype=np.int8 if f.name == "reason" else float) for f in fields(Allowance)}
    for rows, measured in ((~bad, _performing), (bad, _in_default)):
        if rows.any():
            part = measured(loans.take(rows), basis, day, with_cecl)
            for name, values in found.items():
                values[rows] = getattr(part, name)
    return Allowance(**found)


def discounted_losses(marginal_pd: Floats, lgd: Floats, ead: Floats, annual_rate: Floats) -> Floats:
    """Loss of a default in month t = 1..horizon, as of today: (n, horizon) in money.

    `lgd` is (n, horizon) or broadcasts to it. A nominal rate i a year is an effective one of (1 + i/12)^12 - 1, so a
    month's factor is 1 / (1 + i/12): 12 % and t = 2 give 1 / 1.01^2 = 0.980296.
    """
    months = np.arange(1, marginal_pd.shape[1] + 1)
    factors = np.exp(-np.log1p(annual_rate / YEAR)[:, None] * months)
    return np.asarray(marginal_pd * lgd * ead * factors)


def pd_expected_at_origination(loans: Loans, hazard: HazardModel) -> Floats:
    """PD (n,) of the rest of the life, as it was expected on the day of issue of a loan that would get this far.

    That day's own forecast was not kept for old loans; unemployment at its long-run mean stands for it.
    """
    horizon = int(loans.term_months.max()) + RECOGNITION_LAG_MONTHS
    unknown = np.full(len(loans), UNKNOWN)
    fresh = LoanStates(np.zeros(len(loans), dtype=np.int64), loans.term_months, loans.pd_origination, unknown)
    curves = hazard.curves(fresh, np.full(horizon, LONG_RUN_UNEMPLOYMENT), horizon)
    age = np.clip(loans.months_on_book, 0, horizon)[:, None]
    so_far = np.take_along_axis(np.pad(np.cumsum(curves.default, axis=1), ((0, 0), (1, 0))), age, axis=1)[:, 0]
    alive = np.take_along_axis(np.pad(curves.alive, ((0, 0), (1, 0)), constant_values=1.0), age, axis=1)[:, 0]
    rest = np.maximum(curves.lifetime - so_far, 0.0)
    return np.divide(rest, alive, out=np.zeros_like(rest), where=alive > 0)


def _performing(loans: Loans, basis: Basis, day: date, with_cecl: bool) -> Allowance:
    """Stages 1 and 2."""
    horizon = max(int((loans.term_months - loans.months_on_book).max()) + RECOGNITION_LAG_MONTHS, YEAR)
    ead = exposure.ead_path(loans.balance, loans.annual_rate, loans.term_months - loans.months_on_book, horizon)
    total = {name: np.zeros(len(loans)) for name in ("pd_12m", "pd_lifetime", "lgd", "ecl_12m", "ecl_lifetime")}
    cecl = np.zeros(len(loans)) if with_cecl else np.full(len(loans), np.nan)
    for scenario, weight in basis.scenarios.weighted():
        forecast = scenario.monthly(day, horizon)
        found = _under(loans, basis, ead, forecast)
        for name, values in total.items():
            values += weight * found[name]
        if with_cecl:
            supportable = scenario.monthly(day, horizon, SUPPORTABLE_MONTHS)
            same = np.array_equal(supportable, forecast)
            cecl += weight * (found if same else _under(loans, basis, ead, supportable))["ecl_lifetime"]
    expected = pd_expected_at_origination(loans, basis.hazard)
    reason = staging.reasons(loans.days_past_due, loans.in_default, total["pd_lifetime"], expected)
    return Allowance(
        reason, pd_lifetime_at_origination=expected, ead=_owed(loans), ecl_cecl=cecl, eir=_effective(loans), **total
    )


def _under(loans: Loans, basis: Basis, ead: Floats, unemployment: Floats) -> dict[str, Floats]:
    """Figures (n,) under one path of unemployment (horizon,)."""
    horizon = len(unemployment)
    states = LoanStates(loans.months_on_book, loans.term_months, loans.pd_origination, _arrears(loans))
    curves = basis.hazard.curves(states, unemployment, horizon)
    lgd = basis.lgd.path(LgdLoans(loans.term_months, loans.purpose), unemployment)
    losses = discounted_losses(curves.default, lgd, ead, loans.annual_rate)
    return {
        "pd_12m": curves.within(YEAR),
        "pd_lifetime": curves.lifetime,
        "lgd": lgd[:, :YEAR].mean(axis=1),
        "ecl_12m": losses[:, :YEAR].sum(axis=1),
        "ecl_lifetime": losses.sum(axis=1),
    }


def _in_default(loans: Loans, basis: Basis, day: date, _: bool) -> Allowance:
    """Stage 3: what is owed, less what is still to be recovered. The PD is 1, and recoveries are discounted already."""
    kinds = LgdLoans(loans.term_months, loans.purpose)
    lgd = np.zeros(len(loans))
    for scenario, weight in basis.scenarios.weighted():
        lgd += weight * basis.lgd.in_default(kinds, loans.months_in_default, _during_workout(scenario, day))
    ead = exposure.at_default(loans.balance, loans.annual_rate)
    loss, one = lgd * ead, np.ones(len(loans))
    nothing = np.zeros(len(loans))
    reason = staging.reasons(loans.days_past_due, loans.in_default, nothing, nothing)
    unknown = np.full(len(loans), np.nan)
    return Allowance(reason, one, one, unknown, lgd, ead, loss, loss, loss, _effective(loans))


def _during_workout(scenario: Scenario, day: date) -> float:
    return float(scenario.monthly(day, WORKOUT_MONTHS).mean())


def _arrears(loans: Loans) -> npt.NDArray[np.int64]:
    """Codes of `LoanStates`; nothing was due yet of a loan in its month of issue."""
    code = np.searchsorted(ARREARS_FROM, loans.days_past_due, side="right")
    unknown = (loans.days_past_due < 0) | (loans.months_on_book < 1)
    return np.where(unknown, UNKNOWN, code)


def _owed(loans: Loans) -> Floats:
    """Principal, and the interest that fell due with the instalments in arrears."""
    months = np.maximum(loans.days_past_due, 0) / DAYS_A_MONTH
    return np.asarray(loans.balance * (1 + loans.annual_rate / YEAR * months))


def _effective(loans: Loans) -> Floats:
    """Effective annual rate of a nominal one. Fees are not known, so they are not in it."""
    return np.asarray(np.expm1(YEAR * np.log1p(loans.annual_rate / YEAR)))
