"""Features of an application: known on the day of the decision. The SQL is marts/features/application_features.sql."""

from __future__ import annotations

from functools import partial

from credit_risk_platform.domain.feature_definition import Feature, Policy, Stage

STATED = "stated on the application, at the decision date"
BUREAU = "bureau file pulled on or before the decision date"
BANK = "bank transactions up to the day before the decision"
RATE = "instalment priced at the fixed reference rate (dbt var reference_annual_rate), never at the lender's own rate"

_model = partial(Feature, stage=Stage.APPLICATION, policy=Policy.MODEL, lower=0.0)
_watched = partial(Feature, stage=Stage.APPLICATION, policy=Policy.MONITORING, lower=0.0)
_category = partial(
    Feature, stage=Stage.APPLICATION, policy=Policy.MODEL, kind="categorical", unit="category", as_of_rule=STATED
)

REQUEST = (
    _model(
        "loan_amount",
        "Amount the customer asks for.",
        "requested amount",
        "currency",
        STATED,
        inputs=("loan_amount",),
        monotone=1,
    ),
    _model(
        "term_months",
        "Contractual length of the loan.",
        "term",
        "months",
        STATED,
        inputs=("term_months",),
        monotone=1,
        lower=1.0,
        upper=480.0,
    ),
    _category("purpose", "What the loan is for.", "contract category", inputs=("purpose",)),
    _category(
        "application_type", "Whether one person or two apply.", "Individual or Joint", inputs=("application_type",)
    ),
    _watched(
        "emi",
        "Monthly instalment at the reference rate; watched only, as amount and term fix it.",
        "P r / (1 - (1 + r)^-n), r = reference rate / 12",
        "currency per month",
        f"{STATED}; {RATE}",
        inputs=("loan_amount", "term_months"),
        monotone=1,
    ),
    _model(
        "emi_to_income",
        "Share of gross monthly income that the instalment takes (payment to income).",
        "emi / monthly_income; null without income",
        "ratio",
        f"{STATED}; {RATE}",
        inputs=("loan_amount", "term_months", "annual_income"),
        monotone=1,
    ),
    _model(
        "loan_to_income",
        "Loan amount against a year's income.",
        "loan_amount / annual_income; null without income",
        "ratio",
        STATED,
        inputs=("loan_amount", "annual_income"),
        monotone=1,
    ),
    _model(
        "ltv",
        "Loan to value of the collateral; null where there is none.",
        "loan_amount / collateral_value; null when unsecured",
        "ratio",
        f"{STATED}; collateral valued at origination",
        inputs=("loan_amount", "collateral_value"),
        monotone=1,
    ),
)

INCOME = (
    _model(
        "annual_income",
        "Gross annual income, of both applicants when they apply jointly.",
        "stated income",
        "currency per year",
        STATED,
        inputs=("annual_income",),
        monotone=-1,
    ),
    _watched(
        "monthly_income",
        "Gross monthly income; watched only, as it repeats annual_income.",
        "annual_income / 12",
        "currency per month",
        STATED,
        inputs=("annual_income",),
        monotone=-1,
    ),
    _model(
        "income_is_missing",
        "No income stated, or zero: the ratios to income are null.",
        "1 when annual_income is null or not above 0, else 0",
        "flag",
        STATED,
        inputs=("annual_income",),
        monotone=1,
        upper=1.0,
    ),
    _category(
        "verification_status",
        "Whether the stated income was verified.",
        "publisher's category",
        inputs=("verification_status",),
    ),
    _model(
        "employment_length_years",
        "Years with the present employer, ten meaning ten or more.",
        "'< 1 year' = 0, '10+ years' = 10",
        "years",
        STATED,
        inputs=("employment_length_years",),
        monotone=-1,
        upper=10.0,
    ),
    _category(
        "employment_type",
        "Kind of employment.",
        "permanent, contract, self_employed, retired or unemployed",
        inputs=("employment_type",),
    ),
    _category(
        "home_ownership",
        "Whether the customer rents, owns or pays a mortgage.",
        "RENT, OWN, MORTGAGE, anything else OTHER",
        inputs=("home_ownership",),
    ),
    _model(
        "dti",
        "Debt to income: monthly debt service before this loan against gross monthly income.",
        "monthly_debt_service / monthly_income, else the published ratio; null without income",
        "ratio",
        f"{STATED}; sentinels 999 and -1 are null",
        inputs=("monthly_debt_service", "annual_income", "reported_dti"),
        monotone=1,
        upper=10.0,
    ),
    _model(
        "dti_is_sentinel",
        "The publisher wrote 999 or a negative number for debt to income.",
        "1 when the published ratio is a sentinel, else 0",
        "flag",
        STATED,
        inputs=("dti_is_sentinel",),
        upper=1.0,
    ),
    _model(
        "post_loan_dti",
        "Debt to income with the new instalment added.",
        "dti + emi_to_income",
        "ratio",
        f"{STATED}; {RATE}",
        inputs=("monthly_debt_service", "annual_income", "reported_dti", "loan_amount", "term_months"),
        monotone=1,
    ),
    _model(
        "debt_to_annual_income",
        "Total debt against a year's income: a stock, not the debt-to-income ratio.",
        "total_debt / annual_income; null without income",
        "ratio",
        BUREAU,
        inputs=("total_debt", "annual_income"),
        monotone=1,
    ),
    _model(
        "income_stability",
        "How steady the income is, from 0 to 1.",
        "weighted mean of what is known of min(years, 10) / 10 (0.5), 1 - min(income variation, 1) (0.3) and "
        "1 - min(job changes, 5) / 5 (0.2)",
        "score 0-1",
        f"{STATED}; {BANK}",
        inputs=("employment_length_years", "income_cv_12m", "job_changes_5y"),
        monotone=-1,
        upper=1.0,
    ),
    _model(
        "txn_income_regularity_90d",
        "How regularly income arrived on the account in 90 days.",
        "share of expected income credits that arrived",
        "share 0-1",
        BANK,
        inputs=("txn_income_regularity_90d",),
        monotone=-1,
        upper=1.0,
    ),
    _model(
        "txn_nsf_count_90d",
        "Payments refused for lack of funds in 90 days.",
        "count of refused debits",
        "count",
        BANK,
        inputs=("txn_nsf_count_90d",),
        monotone=1,
    ),
)
