"""The law of default in the synthetic world. Models are trained to find it again; none may read it.

Log-odds of ever defaulting over the contractual term: curved in some inputs, with two interactions, plus hindsight (the
economy over the loan's life) and a private part nobody can observe. The last two bound what any honest model can reach.
"""

from __future__ import annotations

import numpy as np

from credit_risk_platform.domain.synthetic.applicants import RENT, Array, Columns
from credit_risk_platform.domain.synthetic.economy import stress_over
from credit_risk_platform.domain.synthetic.vocabulary import PURPOSES

INTERCEPT = -3.02
MACRO_WEIGHT = 0.08
"""Log-odds per percentage point of excess unemployment."""
PRIVATE_SPREAD = 0.55
"""Standard deviation of the part of the log-odds that no column shows."""

_PURPOSE_EFFECT = {"small_business": 0.45, "medical": 0.25, "moving": 0.25, "credit_card": -0.12, "car": -0.15}


def visible_risk(c: Columns) -> Array:
    """(n,) log-odds explained by application columns, centred near zero."""
    return _bureau_part(c) + _capacity_part(c) + _person_part(c) + _bank_part(c)


def default_probability(rng: np.random.Generator, visible: Array, c: Columns) -> Array:
    """(n,) true probability that a loan reaches 90 days past due within its term."""
    hindsight = MACRO_WEIGHT * stress_over(c["issue_month"], c["term"])
    private = PRIVATE_SPREAD * rng.standard_normal(len(visible))
    return 1 / (1 + np.exp(-(INTERCEPT + visible + hindsight + private)))


def _bureau_part(c: Columns) -> Array:
    used = np.maximum(c["revol_util_tenths"], 0) / 1000
    months = c["mths_since_last_delinq"]
    fresh = np.where(months >= 0, np.exp(-np.maximum(months, 0) / 18), 0.0)
    score = -0.85 * np.tanh((c["fico_range_low"] - 695) / 55)
    habits = 0.13 * np.minimum(c["inq_last_6mths"], 4) + 0.045 * (np.minimum(c["acc_open_past_24mths"], 10) - 4)
    marks = 0.40 * fresh + 0.16 * np.minimum(c["delinq_2yrs"], 3) + 0.18 * np.minimum(c["pub_rec"], 2)
    thin = 0.30 * (c["history_months"] < 60)
    return score + habits + marks + thin + 0.55 * np.maximum(used - 0.60, 0) / 0.4 - 0.30


def _capacity_part(c: Columns) -> Array:
    burden = np.log(c["loan_amnt"] / c["annual_inc"] / 0.22)
    strained = (c["dti"] > 22) & (c["revol_util_tenths"] > 650)
    income = -0.22 * np.log(c["annual_inc"] / 60_000)
    return (
        0.32 * burden + 0.030 * np.maximum(c["dti"] - 14, 0) + 0.28 * strained + income + 0.35 * np.log(c["term"] / 24)
    )


def _person_part(c: Columns) -> Array:
    kind = np.array([0.0, 0.15, 0.22, -0.05, 0.50])[c["employment_type"]]
    purpose = np.array([_PURPOSE_EFFECT.get(name, 0.0) for name in PURPOSES])[c["purpose"]]
    tenure = -0.035 * (np.minimum(c["emp_length"], 10) - 5) + 0.10 * np.minimum(c["job_changes_5y"], 3)
    return kind + purpose + tenure + 0.14 * (c["home_ownership"] == RENT) - 0.15 * (c["collateral_value"] > 0)


def _bank_part(c: Columns) -> Array:
    regularity = np.nan_to_num(c["txn_income_regularity_90d"], nan=0.85)
    bounced = np.clip(c["txn_nsf_count_90d"], 0, 4)
    return 0.9 * (0.88 - regularity) + 0.20 * bounced * (1 + 0.3 * (c["dti"] > 22)) - 0.10
