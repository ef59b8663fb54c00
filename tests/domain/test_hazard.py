"""Monthly PDs: what the curves promise, what the fit may not learn, and that nobody's future leaks into a look."""

from dataclasses import replace
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_risk_platform.domain.provisioning import hazard_fit
from credit_risk_platform.domain.provisioning.exposure import at_default, ead_path, expected_loss
from credit_risk_platform.domain.provisioning.hazard import HazardModel, LoanStates
from credit_risk_platform.domain.provisioning.hazard_fit import HazardError
from credit_risk_platform.domain.provisioning.person_months import CLOSED, DEFAULTED, UNEMPLOYMENT, PersonMonths

TENTH, FIFTH = float(np.log(1 / 9)), float(np.log(1 / 4))
"""Log-odds of 0.1 and of 0.2."""
RICH = HazardModel(
    {"intercept": -3.0, "log age": 0.4, "age over 12": -0.3, "logit PD": 0.9, "logit PD in arrears": -0.4,
     "60-89, 1+ ahead": 4.0, "current, 1+ ahead": -5.0, "30-59, 2+ ahead": 2.0, "at term": -2.0, UNEMPLOYMENT: 0.05},
    {"intercept": -4.0, "life over 50%": 1.0, "at term": 6.0, "logit PD": -0.2},
)  # fmt: skip


def states(n: int = 1, months: int = 0, term: int = 36, pd: float = 0.1, arrears: int = -1) -> LoanStates:
    return LoanStates(np.full(n, months), np.full(n, term), np.full(n, pd), np.full(n, arrears, np.int8))


def calm(horizon: int, rate: float = 5.0) -> np.ndarray:
    return np.full(horizon, rate)


# -------------------------------------------------------------------- curves


def test_marginal_pds_are_those_worked_by_hand() -> None:
    """Default 0.1 and repayment 0.2 in every month: 0.1, then 0.9 x 0.2 = 0.18 repay, 0.72 stay; 0.072, 0.1296, ..."""
    curves = HazardModel({"intercept": TENTH}, {"intercept": FIFTH}).curves(states(), calm(3), 3)
    assert curves.default[0] == pytest.approx([0.1, 0.072, 0.05184])
    assert curves.prepaid[0] == pytest.approx([0.18, 0.1296, 0.093312])
    assert curves.alive[0] == pytest.approx([0.72, 0.5184, 0.373248])
    assert curves.lifetime[0] == pytest.approx(0.22384)
    assert curves.within(2)[0] == pytest.approx(0.172)


def test_nothing_defaults_later_than_the_recognition_lag_after_the_term() -> None:
    """Month 30 of 36: six months to the term and five more, then never again."""
    curves = HazardModel({"intercept": TENTH}, {"intercept": -9.0}).curves(states(months=30), calm(20), 20)
    assert (curves.default[0, :11] > 0).all()
    assert (curves.default[0, 11:] == 0).all()


@settings(max_examples=40, deadline=None)
@given(
    months=st.integers(0, 70),
    term=st.sampled_from([12, 36, 60]),
    pd=st.floats(0, 1),
    arrears=st.integers(-1, 3),
    unemployment=st.floats(0, 30),
)
def test_monthly_pds_sum_to_the_lifetime_pd_and_leave_room_for_the_rest(
    months: int, term: int, pd: float, arrears: int, unemployment: float
) -> None:
    curves = RICH.curves(states(1, months, term, pd, arrears), calm(65, unemployment), 65)
    assert curves.default.min() >= 0
    assert curves.prepaid.min() >= 0
    assert curves.default.sum() == pytest.approx(curves.lifetime[0], abs=1e-12)
    assert curves.lifetime[0] + curves.prepaid.sum() + curves.alive[0, -1] == pytest.approx(1, abs=1e-9)
    assert curves.within(12)[0] <= curves.lifetime[0] + 1e-12


def test_more_unemployment_never_lowers_a_lifetime_pd() -> None:
    loans = LoanStates(np.arange(0, 40, 2), np.full(20, 36), np.linspace(0.01, 0.6, 20), np.arange(20) % 5 - 1)
    lifetimes = [RICH.curves(loans, calm(41, rate), 41).lifetime for rate in (3.0, 5.0, 10.0)]
    assert all((later >= earlier).all() for earlier, later in pairwise(lifetimes))
    assert (lifetimes[2] > lifetimes[0]).any()


def test_the_forecast_uses_the_columns_the_fit_was_made_with() -> None:
    """Curves look their parts up; the fit multiplies a design matrix. Both must give the same hazard."""
    loans = LoanStates(np.array([0, 7, 30, 11]), np.array([36, 36, 36, 12]), np.array([0.05, 0.2, 0.1, 0.3]),
                       np.array([-1, 0, 3, 2], np.int8))  # fmt: skip
    curves = RICH.curves(loans, calm(10), 10)
    conditional = curves.default / np.hstack([np.ones((4, 1)), curves.alive[:, :-1]])
    ahead = np.tile(np.arange(1, 11), 4)
    months = PersonMonths(
        age=np.repeat(loans.months_on_book, 10) + ahead,
        term=np.repeat(loans.term_months, 10),
        pd=np.repeat(loans.pd_origination, 10),
        arrears=np.repeat(loans.arrears, 10),
        ahead=ahead,
        unemployment=np.full(40, 5.0),
        vintage=np.zeros(40),
        event=np.zeros(40),
        weight=np.ones(40),
    )
    said = hazard_fit.hazards(RICH, months).reshape(4, 10)
    possible = curves.default > 0
    assert conditional[possible] == pytest.approx(said[possible])
    assert possible.sum() == 10 + 10 + 10 + 6  # the loan of 12 months is over 12 + 5 - 11 months from now


def test_unemployment_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="one value per month ahead"):
        RICH.curves(states(), calm(3), 5)


def test_a_stored_model_is_the_same_model() -> None:
    again = HazardModel.from_dict(RICH.to_dict())
    assert again == RICH
    assert again.sha256 == RICH.sha256
    assert replace(RICH, default={**RICH.default, "intercept": -3.1}).sha256 != RICH.sha256
    with pytest.raises(ValueError, match="no such column as log agee"):
        HazardModel({"log agee": 1.0}, {})


# -------------------------------------------------------------------- estimation

Simulated: TypeAlias = "tuple[PersonMonths, np.ndarray, np.ndarray]"


def book(loans: int, effect: float, seed: int = 3) -> Simulated:
    """Loans of 24 months whose monthly log-odds of default are -4.2 + (logit PD + 2.2) + `effect` (u - 6).

    One in fifty repays each month. Months at risk from issue; last month and fate (0 censored) per loan.
    """
    rng = np.random.default_rng(seed)
    pd = 1 / (1 + np.exp(-rng.normal(-2.2, 0.8, loans)))
    vintage = rng.integers(0, 48, loans)
    economy = 6 + 3 * np.sin(np.arange(100) / 8)
    age = np.arange(1, 25)
    odds = -4.2 + (np.log(pd / (1 - pd)) + 2.2)[:, None] + effect * (economy[vintage[:, None] + age] - 6)
    defaults = (rng.random(odds.shape) < 1 / (1 + np.exp(-odds))) & (age > 3)
    closes = rng.random(odds.shape) < 0.02
    ends = defaults | closes
    last = np.where(ends.any(axis=1), ends.argmax(axis=1) + 1, 24)
    fate = np.where(ends.any(axis=1), np.where(defaults[np.arange(loans), last - 1], DEFAULTED, CLOSED), 0)
    loan, month = np.nonzero(age <= last[:, None])
    months = PersonMonths(
        age=month + 1, term=np.full(len(loan), 24), pd=pd[loan], arrears=np.full(len(loan), -1), ahead=month + 1,
        unemployment=economy[vintage[loan] + month + 1], vintage=vintage[loan],
        event=np.where(month + 1 == last[loan], fate[loan], 0), weight=np.ones(len(loan)),
    )  # fmt: skip
    return months, last, fate


@pytest.fixture(scope="module")
def simulated() -> Simulated:
    return book(5_000, effect=0.15)


@pytest.fixture(scope="module")
def fitted(simulated: Simulated) -> HazardModel:
    return hazard_fit.fit(simulated[0])


def test_the_fit_finds_the_law_the_loans_live_by(fitted: HazardModel) -> None:
    assert fitted.default["logit PD"] == pytest.approx(1.0, abs=0.1)
    assert fitted.unemployment_effect == pytest.approx(0.15, abs=0.05)
    assert UNEMPLOYMENT not in fitted.closing


def test_model_and_kaplan_meier_agree_with_lifelines(simulated: Simulated, fitted: HazardModel) -> None:
    """Repayments are censored, as in Kaplan and Meier: lifelines judges our curve, and our curve the model."""
    from lifelines import KaplanMeierFitter  # a second that only this test needs

    months, last, fate = simulated
    oracle = KaplanMeierFitter().fit(last, fate == DEFAULTED).survival_function_["KM_estimate"]
    counts = np.bincount(months.age, minlength=25)[1:]
    defaults = np.bincount(months.age, months.event == DEFAULTED, minlength=25)[1:]
    seen = hazard_fit.net_default(counts, defaults)
    assert seen == pytest.approx(1 - oracle.reindex(range(1, 25)).to_numpy())
    said = hazard_fit.mean_hazard(hazard_fit.hazards(fitted, months), months, 24, 24)
    assert 1 - np.cumprod(1 - said) == pytest.approx(seen, abs=0.015)


def test_lifetime_pds_come_to_the_defaults_that_happened(simulated: Simulated, fitted: HazardModel) -> None:
    """Over whole lives, with repayment competing: mean lifetime PD against the share that defaulted, +- 3 errors."""
    months, _, fate = simulated
    first = months.take(months.age == 1)
    curves = hazard_fit.from_issue(fitted, first.term, first.pd, months)
    share = float((fate == DEFAULTED).mean())
    assert curves.within(24).mean() == pytest.approx(share, abs=3 * np.sqrt(share * (1 - share) / len(fate)))


def test_a_weighted_sample_of_the_quiet_months_gives_the_same_risk(simulated: Simulated, fitted: HazardModel) -> None:
    months = simulated[0]
    kept = (months.event == DEFAULTED) | (np.random.default_rng(1).random(len(months)) < 0.25)
    some = months.take(kept)
    some = replace(some, weight=np.where(some.event == DEFAULTED, 1.0, 4.0))
    whole, part = (hazard_fit.hazards(model, months).sum() for model in (fitted, hazard_fit.fit(some)))
    assert part == pytest.approx(whole, rel=0.03)


def test_unemployment_that_seems_to_make_loans_safer_is_left_out_and_told() -> None:
    model = hazard_fit.fit(book(2_000, effect=-0.15)[0])
    assert UNEMPLOYMENT not in model.default
    assert model.unemployment_effect == 0.0
    assert str(model.notes["unemployment"]).startswith("left out")


def test_young_vintages_are_expected_from_older_ones_alone(simulated: Simulated) -> None:
    months = simulated[0]
    judged = hazard_fit.out_of_time(months)
    observed = ((months.vintage >= judged.first_vintage) & (months.event == DEFAULTED)).sum()
    assert judged.total["observed"] == observed
    assert 0.2 * (months.event == DEFAULTED).sum() < observed < 0.4 * (months.event == DEFAULTED).sum()
    assert sum(row["observed"] for row in judged.by_vintage) == observed
    assert judged.total["ratio"] == pytest.approx(1.0, abs=0.2)


def test_a_book_with_hardly_a_default_is_refused(simulated: Simulated) -> None:
    months = simulated[0]
    with pytest.raises(HazardError, match="30 are needed"):
        hazard_fit.fit(months.take(np.arange(200)))


# -------------------------------------------------------------------- exposure


def test_exposure_keeps_the_missed_instalments_and_their_interest() -> None:
    """1,200 at 12 %, three instalments of 408.0265 to go: owed 1,200.00, 803.97, 403.99; three months at 1 % on top.

    A default in months 1 to 4 has paid nothing since today: 1,236.00. In month 5 one instalment was paid before the
    three that were missed: 803.9735 x 1.03 = 828.09; in month 6 403.9867 x 1.03 = 416.11; then nothing is left.
    """
    path = ead_path(np.array([1_200.0]), np.array([0.12]), np.array([3]), 7)
    assert path[0] == pytest.approx([1_236, 1_236, 1_236, 1_236, 828.09, 416.11, 0], abs=0.005)


def test_exposure_without_interest_or_past_the_term() -> None:
    """900 over three months free of interest: 900, 600, 300. Past the term all of it is one instalment to come."""
    free, late = ead_path(np.array([900.0, 500.0]), np.array([0.0, 0.12]), np.array([3, -2]), 6)
    assert free == pytest.approx([900, 900, 900, 900, 600, 300])
    assert late == pytest.approx([515, 515, 515, 515, 0, 0])


def test_expected_loss_is_that_of_the_feature_map() -> None:
    assert expected_loss(0.05, 0.65, 10_000) == pytest.approx(325.00)
    assert at_default(np.array([10_000.0]), np.array([0.12]))[0] == pytest.approx(10_300)
