"""What is asked for and what is lent: purpose, amount, term, date, price and the payment schedule, in exact cents."""

from __future__ import annotations

import numpy as np

from credit_risk_platform.domain.synthetic.applicants import NONE, Array, Columns
from credit_risk_platform.domain.synthetic.vocabulary import PURPOSES, STATES, SUB_GRADE_RATES, TERMS

FIRST_VINTAGE = np.datetime64("2018-01", "M")
LAST_VINTAGE = np.datetime64("2026-06", "M")
"""Lending ends here: a later as-of day shows the same loans, older. An earlier one squeezes them into fewer months."""
YEARLY_GROWTH = 0.12
_PURPOSE_NAMES = tuple(PURPOSES)
_SECURED = tuple(_PURPOSE_NAMES.index(name) for name in ("car", "house"))


def draw_requests(rng: np.random.Generator, people: Columns, last_vintage: np.datetime64) -> Columns:
    """Loan requests of `people`, from 2018-01 to the month `last_vintage` inclusive."""
    n = len(people["age"])
    purpose = _draw(rng, n, np.array(list(PURPOSES.values())))
    modest = np.isin(purpose, [_PURPOSE_NAMES.index(name) for name in ("medical", "vacation", "moving")])
    wanted = people["annual_inc"] * rng.beta(2.0, 6.5, n) * np.where(modest, 0.5, 1.0)
    amount = np.clip(np.round(wanted / 25) * 25, 1_000, 40_000).astype(np.int64)
    term = np.searchsorted([0.15, 0.42], rng.random(n) + 0.25 * (amount / 40_000 - 0.35))
    month = _draw_vintage(rng, n, last_vintage)
    day = rng.integers(1, 25, n)
    application = month.astype("datetime64[D]").astype(np.int64) + day - 1
    issue_day = np.minimum(day + rng.integers(0, 5, n), 28)
    loan_to_value = np.clip(rng.normal(0.78, 0.16, n), 0.30, 1.25)
    secured = np.isin(purpose, _SECURED)
    return {
        "purpose": purpose,
        "loan_amnt": amount,
        "term": np.array(TERMS)[term],
        "issue_month": month.astype(np.int64),
        "issue_day": issue_day,
        "application_date": application,
        "account_open_date": application - people["account_age_days"],
        "earliest_cr_line": month.astype(np.int64) - people["history_months"],
        "collateral_value": np.where(secured, np.round(amount / loan_to_value, -1), NONE).astype(np.int64),
        "addr_state": _draw(rng, n, np.array(list(STATES.values()))),
    }


def price(rng: np.random.Generator, risk: Array, term: Array) -> Array:
    """Sub-grade index 0 (A1) to 34 (G5): the old lender's own, noisier view of the same risk."""
    view = 0.8 * risk + 0.4 * np.log(term / 24) + rng.normal(0, 0.55, len(risk))
    return np.clip(np.floor(7.7 * (view + 1.1)), 0, len(SUB_GRADE_RATES) - 1).astype(np.int64)


def installment_cents(amount: Array, rate_percent: Array, term: Array) -> Array:
    """Monthly annuity payment P·r/(1-(1+r)^-n) with r = rate/12, rounded to the cent."""
    monthly = rate_percent / 1200
    payment = 100 * amount * monthly / -np.expm1(-term * np.log1p(monthly))
    return np.round(payment).astype(np.int64)


def schedule_cents(amount: Array, rate_percent: Array, term: Array) -> tuple[Array, Array]:
    """Contractual principal and interest of each instalment.

    Returns:
        Two (max term, n) int64 arrays in cents; zero after a loan's last instalment. Interest is the monthly rate on
        the scheduled balance, rounded to the cent; the last instalment repays what rounding left over, so the
        principal of a loan always sums to its amount.
    """
    longest, n = max(TERMS), len(amount)
    principal, interest = np.zeros((longest, n), np.int64), np.zeros((longest, n), np.int64)
    payment = installment_cents(amount, rate_percent, term)
    balance = amount * 100
    for k in range(longest):
        interest[k] = np.round(balance * rate_percent / 1200).astype(np.int64)
        principal[k] = np.where(k + 1 >= term, balance, np.minimum(payment - interest[k], balance))
        balance = balance - principal[k]
    return principal, interest


def _draw_vintage(rng: np.random.Generator, n: int, last: np.datetime64) -> Array:
    months = np.arange(FIRST_VINTAGE, last + 1)
    step = np.arange(len(months))
    season = 1 + 0.08 * np.sin(2 * np.pi * (step - 3) / 12)
    picked: Array = months[_draw(rng, n, season * (1 + YEARLY_GROWTH) ** (step / 12))]
    return picked


def _draw(rng: np.random.Generator, n: int, weights: Array) -> Array:
    """Indices drawn with `weights` by inverse transform: one uniform number each, n in all."""
    edges = np.cumsum(weights) / np.sum(weights)
    return np.minimum(np.searchsorted(edges, rng.random(n), side="right"), len(weights) - 1)
