"""Features from the credit bureau file behind an application. The SQL is marts/features/application_features.sql."""

from __future__ import annotations

from functools import partial

from credit_risk_platform.domain.feature_application import BUREAU, STATED
from credit_risk_platform.domain.feature_definition import Feature, Policy, Stage

_model = partial(Feature, stage=Stage.APPLICATION, policy=Policy.MODEL, lower=0.0)
_watched = partial(Feature, stage=Stage.APPLICATION, policy=Policy.MONITORING, lower=0.0)
_count = partial(_model, unit="count", as_of_rule=BUREAU)
_months_since = partial(_model, unit="months", as_of_rule=f"{BUREAU}; null means it never happened", monotone=-1)

BUREAU_FILE = (
    _model(
        "bureau_score",
        "Bureau score at the decision.",
        "middle of the published score range",
        "points",
        BUREAU,
        inputs=("bureau_score",),
        monotone=-1,
        lower=300.0,
        upper=850.0,
    ),
    _watched(
        "score_band",
        "Bureau score in bands, for reports.",
        "edges in seed score_bands, lower edge included",
        "category",
        BUREAU,
        inputs=("bureau_score",),
        kind="categorical",
        lower=None,
    ),
    _model(
        "credit_history_months",
        "Age of the oldest credit line.",
        "decision month - month of the first trade",
        "months",
        f"{BUREAU}; a line opened later is ignored",
        inputs=("earliest_credit_line", "decision_date"),
        monotone=-1,
        upper=1200.0,
    ),
    _model(
        "account_age_months",
        "Age of the customer's account with us.",
        "decision month - month the account opened",
        "months",
        f"{STATED}; an account opened later is ignored",
        inputs=("account_open_date", "decision_date"),
        monotone=-1,
        upper=1200.0,
    ),
    _count("n_open_accounts", "Credit lines open now.", "open accounts", inputs=("n_open_accounts",)),
    _count("n_total_accounts", "Credit lines ever.", "open and closed accounts", inputs=("n_total_accounts",)),
    _model(
        "open_to_total_accounts",
        "Share of all credit lines ever that are still open.",
        "n_open_accounts / n_total_accounts; null without accounts",
        "ratio",
        BUREAU,
        inputs=("n_open_accounts", "n_total_accounts"),
    ),
    _count(
        "acc_open_past_24m",
        "Credit lines opened in two years; published only from 2012 on.",
        "accounts opened in 24 months",
        inputs=("acc_open_past_24m",),
        monotone=1,
    ),
    _watched(
        "mortgage_accounts",
        "Mortgage accounts; published only from 2012 on.",
        "mortgage accounts",
        "count",
        BUREAU,
        inputs=("mortgage_accounts",),
        monotone=-1,
    ),
    _count(
        "inquiries_6m",
        "Credit inquiries in six months.",
        "inquiries in the 6 months before the decision",
        inputs=("inquiries_6m",),
        monotone=1,
    ),
    _watched(
        "months_since_recent_inquiry",
        "Months since the last inquiry; published only from 2012 on.",
        "decision month - month of the last inquiry",
        "months",
        BUREAU,
        inputs=("months_since_recent_inquiry",),
        monotone=-1,
    ),
    _count(
        "delinq_2y",
        "Times 30 days or more late in two years.",
        "delinquencies of 30+ days in 24 months",
        inputs=("delinq_2y",),
        monotone=1,
    ),
    _months_since(
        "months_since_last_delinq",
        "Months since the last delinquency.",
        "decision month - month of the last one",
        inputs=("months_since_last_delinq",),
    ),
    _months_since(
        "months_since_last_record",
        "Months since the last public record.",
        "decision month - month of the last one",
        inputs=("months_since_last_record",),
    ),
    _months_since(
        "months_since_last_major_derog",
        "Months since the last mark of 90 days or worse.",
        "decision month - month of the last one",
        inputs=("months_since_last_major_derog",),
    ),
    _count("public_records", "Derogatory public records.", "public records", inputs=("public_records",), monotone=1),
    _count("bankruptcies", "Bankruptcies on record.", "bankruptcies", inputs=("bankruptcies",), monotone=1),
    _count("tax_liens", "Tax liens on record.", "tax liens", inputs=("tax_liens",), monotone=1),
    _count(
        "collections_12m",
        "Debts sent to collection in a year, medical ones left out.",
        "collections in 12 months",
        inputs=("collections_12m",),
        monotone=1,
    ),
    _count(
        "chargeoffs_12m",
        "Debts charged off in a year.",
        "charge-offs in 12 months",
        inputs=("chargeoffs_12m",),
        monotone=1,
    ),
    _count(
        "accounts_now_delinquent",
        "Accounts late at this moment.",
        "accounts past due",
        inputs=("accounts_now_delinquent",),
        monotone=1,
    ),
    _model(
        "delinquent_amount",
        "Past-due amount on accounts late at this moment.",
        "past-due amount",
        "currency",
        BUREAU,
        inputs=("delinquent_amount",),
        monotone=1,
    ),
    _watched(
        "share_never_delinquent",
        "Share of credit lines never late; published only from 2012 on.",
        "bureau's pct_tl_nvr_dlq / 100",
        "share 0-1",
        BUREAU,
        inputs=("share_never_delinquent",),
        monotone=-1,
        upper=1.0,
    ),
)
