"""People who apply: who they are, what the bureau and their bank know of them on the day they ask.

Every function draws whole columns for `n` people. `quality` (care with money) and `means` (earning power) are latent:
they shape many columns at once, so that the columns hang together as real files do, and are never written out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from credit_risk_platform.domain.synthetic.vocabulary import EMP_LENGTH_UNKNOWN, HOMES

Array = npt.NDArray[Any]
Columns = dict[str, Array]
"""Column name -> (n,) values. Money is whole dollars unless the name ends in `_cents`; -1 means "no value"."""

NONE = -1
PERMANENT, CONTRACT, SELF_EMPLOYED, RETIRED, UNEMPLOYED = range(5)
RENT, MORTGAGE, OWN = range(3)


def draw_applicants(rng: np.random.Generator, n: int) -> Columns:
    """All application-day columns of `n` people."""
    people = _people(rng, n)
    people |= _bureau(rng, people)
    people |= _debts(rng, people)
    return people | _bank(rng, people)


def _people(rng: np.random.Generator, n: int) -> Columns:
    quality = rng.standard_normal(n)
    means = 0.3 * quality + np.sqrt(1 - 0.3**2) * rng.standard_normal(n)
    age = np.clip(21 + rng.gamma(2.6, 7.2, n), 21, 78).astype(np.int64)
    kind = np.searchsorted([0.76, 0.86, 0.97], rng.random(n))
    kind = np.where(kind == RETIRED, UNEMPLOYED, kind)  # the first pass draws only people of working age
    kind = np.where((age >= 62) & (rng.random(n) < 0.7), RETIRED, kind)
    works = kind < RETIRED
    years = np.minimum(rng.exponential(7.5, n), age - 20.0)
    pay = np.array([0.0, -0.10, 0.05, -0.35, -0.75])[kind]
    income = 60_000 * np.exp(0.46 * means + 0.010 * (np.minimum(age, 50) - 38) + pay)
    home = np.searchsorted([0.40, 0.88], rng.random(n) + 0.006 * (age - 40) + 0.07 * means)
    return {
        "quality": quality,
        "means": means,
        "age": age,
        "employment_type": kind,
        "emp_length": np.where(works, np.minimum(years, 10).astype(np.int64), EMP_LENGTH_UNKNOWN),
        "job_changes_5y": np.where(works & (years < 5), 1 + rng.poisson(0.15 + 0.5 * (kind == CONTRACT), n), 0),
        "annual_inc": np.clip(np.round(income, -2), 9_000, 400_000).astype(np.int64),
        "home_ownership": np.where(rng.random(n) < 0.003, len(HOMES) - 1, home),
        "verification_status": np.searchsorted([0.34, 0.72], rng.random(n)),
        "education": np.searchsorted([0.28, 0.55, 0.86], rng.random(n) + 0.08 * means),
        "family_size": 1 + rng.poisson(np.clip(0.4 + 0.05 * (age - 21), 0.4, 1.8), n),
    }


def _bureau(rng: np.random.Generator, people: Columns) -> Columns:
    quality, n = people["quality"], len(people["age"])
    history = np.clip((people["age"] - 19) * 12 * rng.beta(4, 2, n), 6, 660).astype(np.int64)
    total = 3 + rng.poisson(0.085 * history * np.exp(0.25 * people["means"]))
    open_lines = 1 + rng.binomial(total - 1, 0.45)
    cards = rng.binomial(open_lines, 0.65)
    limit = np.round(cards * np.exp(8.25 + 0.45 * people["means"] + 0.2 * quality + rng.normal(0, 0.45, n)), -2)
    balance = np.round(limit * _utilisation(rng, quality)).astype(np.int64)
    late_2y = rng.poisson(0.24 * np.exp(-0.6 * quality))
    records = rng.poisson(0.15 * np.exp(-0.5 * quality))
    bankruptcies = rng.binomial(records, 0.6)
    file: Columns = {
        "history_months": history,
        "total_acc": total,
        "open_acc": open_lines,
        "revolving_limit": limit.astype(np.int64),
        "revol_bal": balance,
        "revol_util_tenths": np.where(limit > 0, np.round(1000 * balance / np.maximum(limit, 1)), NONE).astype(
            np.int64
        ),
        "delinq_2yrs": late_2y,
        "mths_since_last_delinq": _months_since_late(rng, late_2y, quality, history),
        "pub_rec": records,
        "pub_rec_bankruptcies": bankruptcies,
        "tax_liens": rng.binomial(records - bankruptcies, 0.5),
        "mths_since_last_record": np.where(records > 0, np.minimum(rng.integers(12, 119, n), history), NONE),
        "inq_last_6mths": rng.poisson(0.6 * np.exp(-0.3 * quality)),
        "acc_open_past_24mths": np.minimum(rng.poisson(4.0 * np.exp(-0.1 * quality)), total),
        "mort_acc": np.minimum(rng.poisson(np.array([0.4, 2.3, 1.4, 0.6])[people["home_ownership"]]), total),
        "collections_12_mths_ex_med": (rng.random(n) < 0.012).astype(np.int64),
        "chargeoff_within_12_mths": (rng.random(n) < 0.006).astype(np.int64),
        "acc_now_delinq": ((late_2y > 0) & (rng.random(n) < 0.015)).astype(np.int64),
    }
    file["delinq_amnt"] = np.where(file["acc_now_delinq"] > 0, rng.integers(50, 3_000, n), 0)
    return file | {"fico_range_low": _bureau_score(rng, quality, file)}


def _utilisation(rng: np.random.Generator, quality: Array) -> Array:
    used = 1 / (1 + np.exp(0.1 + 0.75 * quality - 0.95 * rng.standard_normal(len(quality))))
    draw = rng.random(len(quality))
    return np.where(draw < 0.03, 0.0, np.where(draw > 0.99, used * 1.35, used))


def _months_since_late(rng: np.random.Generator, late_2y: Array, quality: Array, history: Array) -> Array:
    """Months since the last delinquency: within 24 exactly when the two-year count says so, -1 for never."""
    n = len(quality)
    recent = np.minimum(rng.integers(1, 25, n), history)
    older = np.minimum(25 + rng.exponential(28, n).astype(np.int64), 150)
    ever = (rng.random(n) < 1 / (1 + np.exp(0.5 + 0.4 * quality))) & (older <= history)
    return np.where(late_2y > 0, recent, np.where(ever, older, NONE))


def _bureau_score(rng: np.random.Generator, quality: Array, file: Columns) -> Array:
    """Lower edge of the five-point score range, 600-845."""
    used = np.maximum(file["revol_util_tenths"], 0) / 1000
    score = 702 + 22 * quality - 45 * (used - 0.45) - 9 * np.minimum(file["delinq_2yrs"], 3) - 9 * file["pub_rec"]
    score = score + 0.03 * (file["history_months"] - 180) - 4 * file["inq_last_6mths"] + rng.normal(0, 16, len(used))
    return (np.clip(score, 600, 845) // 5 * 5).astype(np.int64)


def _debts(rng: np.random.Generator, people: Columns) -> Columns:
    """Debt other than a mortgage, as LendingClub counts it: card minimums plus instalment loans."""
    monthly_income = people["annual_inc"] / 12
    instalments = monthly_income * rng.beta(1.5, 10, len(monthly_income))
    service = np.minimum(0.025 * people["revol_bal"] + instalments, 0.70 * monthly_income)
    owed = people["revol_bal"] + instalments * rng.uniform(8, 44, len(monthly_income))
    service_cents = np.round(100 * service)
    return {
        "monthly_debt_service_cents": service_cents.astype(np.int64),
        "total_debt_cents": np.round(100 * owed).astype(np.int64),
        "dti": np.round(service_cents / monthly_income, 2),
    }


def _bank(rng: np.random.Generator, people: Columns) -> Columns:
    """What the current account shows; NaN or -1 for the 30 % who have not linked one."""
    n = len(people["age"])
    linked = rng.random(n) < 0.7
    swing = rng.gamma(2.0, np.array([0.035, 0.10, 0.16, 0.02, 0.30])[people["employment_type"]] / 2 * 1.6, n)
    regular = np.clip(1 - 0.9 * swing - np.abs(rng.normal(0, 0.06, n)) - 0.02 * (people["quality"] < -1), 0, 1)
    bounced = rng.poisson(0.30 * np.exp(-0.75 * people["quality"]), n)
    adult_days = (people["age"] - 17) * 365
    return {
        "income_cv_12m": np.where(linked, np.round(swing, 4), np.nan),
        "txn_income_regularity_90d": np.where(linked, np.round(regular, 4), np.nan),
        "txn_nsf_count_90d": np.where(linked, bounced, NONE),
        "account_age_days": np.minimum(30 + rng.exponential(2_600, n), adult_days).astype(np.int64),
    }
