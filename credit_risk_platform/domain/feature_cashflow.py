"""Cash-flow features of bank transactions: alternative data. The SQL is marts/features/cashflow_features.sql.

They are inputs of a model only where the setting `alternative_data` is on (`model_features`).
"""

from __future__ import annotations

from functools import partial

from credit_risk_platform.domain.feature_definition import Feature, Policy, Stage

KNOWN = "final bookings up to the day before the decision"
MONTHS = "months are counted back from the decision; at most twelve, and only those that lie wholly in the history"
_INCOME = ("amount", "category", "booked_on")

_cashflow = partial(Feature, stage=Stage.ALTERNATIVE, policy=Policy.MODEL, as_of_rule=KNOWN, lower=0.0)
_monthly = partial(_cashflow, as_of_rule=f"{KNOWN}; {MONTHS}")
_yearly = partial(_cashflow, as_of_rule=f"{KNOWN}, of twelve months")

CASHFLOW = (
    _monthly(
        "cf_months_of_history",
        "Full months of bank history before the decision.",
        "months whose first day is not before the first known booking, at most 12",
        "months",
        inputs=("booked_on",),
        upper=12.0,
    ),
    _monthly(
        "cf_monthly_income",
        "Income that arrives on the account in a month.",
        "mean over the months of history of what came in as salary or other income; null without a full month",
        "currency per month",
        inputs=_INCOME,
        monotone=-1,
    ),
    _monthly(
        "cf_income_cv",
        "How much the monthly income varies.",
        "standard deviation of the monthly incomes (of the population) / their mean; null below three months or "
        "without income",
        "ratio",
        inputs=_INCOME,
        monotone=1,
    ),
    _monthly(
        "cf_income_month_share",
        "Share of months in which income arrived.",
        "months with salary or other income / months of history; null without a full month",
        "share 0-1",
        inputs=_INCOME,
        monotone=-1,
        upper=1.0,
    ),
    _yearly(
        "cf_nsf_count_12m",
        "Payments returned for lack of funds and overdraft fees in twelve months.",
        "count of bookings of the categories returned_payment and overdraft",
        "count",
        inputs=("category", "booked_on"),
        monotone=1,
    ),
    _yearly(
        "cf_negative_days_12m",
        "Days in twelve months on which a booking left the balance below zero.",
        "count of such days; null where no booking tells a balance",
        "days",
        inputs=("balance_after", "booked_on"),
        monotone=1,
        upper=366.0,
    ),
    _yearly(
        "cf_outflow_to_inflow",
        "What left the account against what came in.",
        "sum of debits / sum of credits, returned payments apart; null without credits",
        "ratio",
        inputs=("amount", "category", "booked_on"),
        monotone=1,
    ),
)
