"""How a loan behaved after booking. The SQL is marts/features/behaviour_features.sql, over the loan-month panel."""

from __future__ import annotations

from functools import partial

from credit_risk_platform.domain.feature_definition import Feature, Policy, Stage

MONTH_END = "month end; a payment counts from the day the platform knew of it"

_behaviour = partial(
    Feature, stage=Stage.BEHAVIOUR, policy=Policy.MODEL, as_of_rule=MONTH_END, owner="team:risk-analytics"
)


def _late_count(months: int) -> Feature:
    return _behaviour(
        f"late_cnt_{months}m",
        f"Instalments that turned late in the last {months} months.",
        f"instalments unpaid on the day after they were due, last {months} month ends; a late-reported payment on time "
        "is taken back in the month it becomes known",
        "count",
        inputs=("instalments_late",),
        monotone=1,
        lower=0.0,
        # One more than months: due on 28 February and 30 March, both turn late in March.
        upper=float(months + 1),
    )


def _ever_late(days: int) -> Feature:
    return _behaviour(
        f"ever_{days}_dpd",
        f"The loan has been {days} days or more past due at a month end.",
        f"1 when the highest days_past_due so far is at least {days}, else 0",
        "flag",
        inputs=("days_past_due",),
        monotone=1,
        lower=0.0,
        upper=1.0,
    )


BEHAVIOUR = (
    _behaviour(
        "payment_history_pct",
        "Share of instalments due so far that were paid on time.",
        "instalments paid on or before their due date / instalments due",
        "share 0-1",
        inputs=("instalments_on_time", "instalments_due"),
        monotone=-1,
        lower=0.0,
    ),
    _behaviour(
        "payment_consistency",
        "How alike the customer's payment days are; 1 is like clockwork.",
        "1 - standard deviation / mean of days from the previous due date to payment, floored at 0; "
        "null before two payments",
        "score 0-1",
        inputs=("payments", "days_to_pay", "days_to_pay_squared"),
        monotone=-1,
        lower=0.0,
        upper=1.0,
    ),
    _behaviour(
        "dpd_current",
        "Days past due: age of the oldest unpaid instalment.",
        "month end - oldest unpaid due date",
        "days",
        inputs=("days_past_due",),
        monotone=1,
        lower=0.0,
    ),
    _behaviour(
        "dpd_max_12m",
        "Highest days past due at the last twelve month ends.",
        "max(days_past_due), 12 month ends",
        "days",
        inputs=("days_past_due",),
        monotone=1,
        lower=0.0,
    ),
    _late_count(6),
    _late_count(12),
    _late_count(24),
    _ever_late(30),
    _ever_late(60),
    _ever_late(90),
    _behaviour(
        "months_on_book",
        "Months since the loan was issued.",
        "observation month - issue month",
        "months",
        inputs=("months_on_book",),
        lower=0.0,
        upper=600.0,
    ),
    _behaviour(
        "balance_to_original",
        "Share of the loan still owed.",
        "balance / original amount",
        "ratio",
        inputs=("balance", "original_amount"),
        monotone=1,
        lower=0.0,
        upper=1.5,
    ),
    _behaviour(
        "payment_ratio_3m",
        "Paid against due over the last three months; above 1 is prepayment.",
        "sum(amount_paid) / sum(amount_due), 3 month ends; null when nothing was due",
        "ratio",
        inputs=("amount_paid", "amount_due"),
        monotone=-1,
        lower=0.0,
    ),
)
