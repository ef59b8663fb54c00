"""Stages and expected credit loss against figures worked by hand. Monthly hazards here are the loan's own PD."""

from datetime import date

import numpy as np
import pytest

from credit_risk_platform.domain.provisioning.ecl import (
    Allowance,
    Basis,
    Framework,
    Loans,
    discounted_losses,
    measure,
    pd_expected_at_origination,
)
from credit_risk_platform.domain.provisioning.exposure import expected_loss
from credit_risk_platform.domain.provisioning.hazard import HazardModel
from credit_risk_platform.domain.provisioning.lgd import LgdModel
from credit_risk_platform.domain.provisioning.person_months import AHEAD_FROM
from credit_risk_platform.domain.provisioning.scenarios import Quarter, Scenario, ScenarioSet
from credit_risk_platform.domain.provisioning.staging import WORDS

DAY = date(2026, 6, 30)
LONG_RUN = 5.7
LGD = LgdModel(mean=0.65, groups={})
ODDS = {"logit PD": 1.0}
"""Default in a month has the odds of the PD at origination: the hazard is that PD."""
NEVER, AT_ONCE = {"intercept": -80.0}, {"intercept": 80.0}
"""Nobody repays early; everyone who has not defaulted repays within the month."""


def flat(rate: float, weight: float = 1.0, name: str = "baseline") -> tuple[Scenario, float]:
    return Scenario(name, Quarter.of(2026, 3), (rate,) * 40), weight


def scenarios(*given: tuple[Scenario, float]) -> ScenarioSet:
    return ScenarioSet(tuple(one for one, _ in given), {one.name: weight for one, weight in given})


def basis(default: dict[str, float] = ODDS, closing: dict[str, float] = NEVER, lgd: LgdModel = LGD,
          *given: tuple[Scenario, float]) -> Basis:  # fmt: skip
    return Basis(HazardModel(default, closing), lgd, scenarios(*(given or (flat(LONG_RUN),))))


def loans(count: int, **given: object) -> Loans:
    """14 months to go of 36, 14,000 owed, no interest, paid up to date, PD 1 % a month, unless said otherwise."""
    usual = {
        "balance": 14_000.0, "annual_rate": 0.0, "term_months": 36, "months_on_book": 22, "days_past_due": 0,
        "in_default": False, "months_in_default": 0.0, "pd_origination": 0.01, "purpose": "car",
    }  # fmt: skip
    return Loans(**{name: np.array(given.get(name, [value] * count)) for name, value in usual.items()})  # type: ignore[arg-type]


# Three instalments are missed before a default, so months 1 to 4 find all 14,000 still owed; then 1,000 less each.
OWED = [14_000] * 4 + [14_000 - 1_000 * k for k in range(1, 15)]
LIFETIME = sum(0.01 * 0.99**month * 0.65 * owed for month, owed in enumerate(OWED))
"""1 % of the 0.99^(t-1) that are left default in month t, and lose 65 % of what is owed: 904.65."""
YEAR = sum(0.01 * 0.99**month * 0.65 * owed for month, owed in enumerate(OWED[:12]))
"""The same of months 1 to 12 only: 819.38."""

GOLDEN = [
    # days past due, default on record, months in default -> stage, reason, IFRS 9, CECL
    (0, False, 0, 1, 5, YEAR, LIFETIME),
    (29, False, 0, 1, 5, YEAR, LIFETIME),
    (30, False, 0, 1, 5, YEAR, LIFETIME),  # 30 is not more than 30
    (31, False, 0, 2, 2, LIFETIME, LIFETIME),
    (89, False, 0, 2, 2, LIFETIME, LIFETIME),
    (90, False, 0, 3, 0, 9_100.0, 9_100.0),  # 14,000 x 0.65
    # half of the 24 months of the workout are over, so half of the 35 % are recovered: 1 - 0.35 / 2 = 0.825
    (450, True, 12, 3, 0, 11_550.0, 11_550.0),
    (400, True, 30, 3, 0, 14_000.0, 14_000.0),  # the workout is over: all of it is lost
    (15, True, 2, 3, 1, 14_000 * (1 - 0.35 * 22 / 24), 14_000 * (1 - 0.35 * 22 / 24)),
    (0, True, 2, 2, 3, LIFETIME, LIFETIME),  # cured
]


def test_ten_loans_get_the_stages_and_losses_worked_by_hand() -> None:
    dpd, on_record, months, stage, reason, ifrs9, cecl = (list(column) for column in zip(*GOLDEN, strict=True))
    book = loans(10, days_past_due=dpd, in_default=on_record, months_in_default=[float(m) for m in months])
    found = measure(book, basis(), DAY)

    assert pytest.approx(904.65, abs=0.005) == LIFETIME
    assert pytest.approx(819.38, abs=0.005) == YEAR
    assert found.stage.tolist() == stage
    assert [WORDS[code] for code in found.reason] == [WORDS[code] for code in reason]
    assert found.of(Framework.IFRS9) == pytest.approx(ifrs9)
    assert found.of(Framework.CECL) == pytest.approx(cecl)
    assert found.ead[:3] == pytest.approx([14_000.0] * 3)
    assert found.ead[5] == 14_000.0


def test_an_expected_loss_of_325_is_325_through_the_whole_engine() -> None:
    """PD 5 % in the one month before repayment, LGD 65 %, 10,000 owed, no interest: 0.05 x 0.65 x 10,000."""
    book = loans(1, balance=[10_000.0], pd_origination=[0.05])
    found = measure(book, basis(closing=AT_ONCE), DAY)
    assert found.of(Framework.IFRS9) == pytest.approx([325.0])
    assert found.pd_12m == pytest.approx([0.05])
    assert expected_loss(0.05, 0.65, 10_000.0) == pytest.approx(325.0)


def test_losses_are_discounted_month_by_month_at_the_rate_of_the_loan() -> None:
    """12 % a year: month 1 / 1.01 = 0.990099, month 2 / 1.01^2 = 0.980296; of 325 each, 321.782 and 318.596."""
    pd = np.array([[0.05, 0.05]])
    found = discounted_losses(pd, np.array([0.65]), np.full((1, 2), 10_000.0), np.array([0.12]))
    assert found == pytest.approx(np.array([[321.782, 318.596]]), abs=0.001)
    # Through the engine three months' interest is owed too: 325 x 1.03 / 1.01 = 331.436; effective 1.01^12 - 1.
    one = measure(loans(1, balance=[10_000.0], pd_origination=[0.05], annual_rate=[0.12]), basis(closing=AT_ONCE), DAY)
    assert one.ecl_12m == pytest.approx([331.436], abs=0.001)
    assert one.eir == pytest.approx([0.126825], abs=1e-6)


def test_interest_on_arrears_is_owed_and_shown() -> None:
    """60 days at 12 % a year are two months at 1 %: 10,000 x 1.02; in default it is three."""
    book = loans(2, balance=[10_000.0] * 2, annual_rate=[0.12] * 2, days_past_due=[60, 90])
    assert measure(book, basis(), DAY).ead == pytest.approx([10_200.0, 10_300.0])


# -------------------------------------------------------------------- significant increase in credit risk


def doubled(odds_ratio: float) -> dict[str, float]:
    """A hazard that arrears of 1 to 29 days raise by an odds ratio, in every month ahead."""
    return {**ODDS, **{f"1-29, {first}+ ahead": float(np.log(odds_ratio)) for first in AHEAD_FROM}}


def test_a_loan_whose_lifetime_pd_has_doubled_since_origination_is_in_stage_2() -> None:
    """Today's PD is compared with what was expected *then for the same remaining life*: 19 months at 1 %."""
    book = loans(3, days_past_due=[0, 10, 10], pd_origination=[0.01, 0.01, 0.0001])
    found = measure(book, basis(doubled(3.0)), DAY)
    assert found.pd_lifetime_at_origination[0] == pytest.approx(1 - 0.99**19)
    assert found.pd_lifetime[0] == pytest.approx(1 - 0.99**19)
    assert found.pd_lifetime[1] > 2 * found.pd_lifetime_at_origination[1]
    # The third has tripled as well, from 0.2 to 0.6 %: less than 2 points, so it stays where it is.
    assert found.pd_lifetime[2] > 2.9 * found.pd_lifetime_at_origination[2]
    assert found.stage.tolist() == [1, 2, 1]
    assert WORDS[found.reason[1]].startswith("lifetime PD at least doubled")


def test_a_loan_that_came_this_far_is_not_blamed_for_the_defaults_of_its_first_months() -> None:
    """The PD expected at origination is that of the rest of the life, given survival: it falls as the loan ages."""
    hazard = HazardModel(ODDS, {"intercept": -3.0})
    ages = np.array([0, 12, 24, 35, 41])
    rest = pd_expected_at_origination(loans(5, months_on_book=ages), hazard)
    assert (np.diff(rest) < 0).all()
    assert rest[-1] == 0.0  # the term and the recognition lag are over


def test_unemployment_that_is_expected_to_rise_moves_loans_to_stage_2() -> None:
    sensitive = {"logit PD": 1.0, "unemployment": 0.3, "intercept": -0.3 * LONG_RUN}
    book = loans(1)
    calm, crisis = (measure(book, basis(sensitive, NEVER, LGD, flat(rate)), DAY) for rate in (LONG_RUN, 10.0))
    assert calm.stage.tolist() == [1]
    assert crisis.stage.tolist() == [2]


# -------------------------------------------------------------------- scenarios and frameworks


def measured_under(*rates: float) -> list[Allowance]:
    sensitive = {"logit PD": 1.0, "unemployment": 0.1}
    downturn = LgdModel(0.65, {}, per_point=0.01, reference_unemployment=5.0)
    return [measure(loans(1), basis(sensitive, NEVER, downturn, flat(rate)), DAY) for rate in rates]


def test_losses_rise_with_unemployment_through_pd_and_lgd() -> None:
    found = measured_under(4.0, 6.0, 8.0, 10.0)
    assert (np.diff([one.ecl_lifetime[0] for one in found]) > 0).all()
    assert [one.lgd[0] for one in found] == pytest.approx([0.65, 0.66, 0.68, 0.70])


def test_the_allowance_is_the_weighted_mean_of_the_scenarios_and_not_that_of_a_mean_scenario() -> None:
    sensitive = {"logit PD": 1.0, "unemployment": 0.1}
    both = basis(sensitive, NEVER, LGD, flat(4.0, 0.75), flat(10.0, 0.25, "severely_adverse"))
    mild, severe = (measure(loans(1), basis(sensitive, NEVER, LGD, flat(rate)), DAY) for rate in (4.0, 10.0))
    found = measure(loans(1), both, DAY)
    assert found.ecl_12m == pytest.approx(0.75 * mild.ecl_12m + 0.25 * severe.ecl_12m)
    middle = measure(loans(1), basis(sensitive, NEVER, LGD, flat(5.5)), DAY)
    assert found.ecl_12m[0] > middle.ecl_12m[0]  # losses are convex in unemployment


def test_cecl_reverts_to_the_long_run_mean_after_two_years_and_never_falls_below_stage_1() -> None:
    sensitive = {"logit PD": 1.0, "unemployment": 0.1, "intercept": -2.0}
    young = loans(2, months_on_book=[1, 1], term_months=[60, 60], pd_origination=[0.002, 0.03])
    crisis = measure(young, basis(sensitive, NEVER, LGD, flat(10.0)), DAY)
    assert (crisis.ecl_cecl < crisis.ecl_lifetime).all()  # the crisis of the file lasts ten years, CECL's two
    boom = measure(young, basis(sensitive, NEVER, LGD, flat(2.0)), DAY)
    assert (boom.ecl_cecl > boom.ecl_lifetime).all()
    for found in (crisis, boom):
        first = found.stage == 1
        assert (found.of(Framework.CECL)[first] >= found.of(Framework.IFRS9)[first]).all()


def test_a_source_without_payments_has_no_backstop_and_a_matured_loan_that_still_owes_breaks_nothing() -> None:
    book = loans(3, days_past_due=[-1, -1, 12], in_default=[False, True, False], months_on_book=[22, 22, 60])
    found = measure(book, basis(), DAY)
    assert found.stage.tolist() == [1, 3, 1]
    assert np.isfinite(found.of(Framework.IFRS9)).all()
