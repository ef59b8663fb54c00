"""The work every contender does, written once: which columns are typed, which features are computed.

Bronze: CSV text -> typed Parquet, rows that do not parse set aside. Silver: 35 features per loan.
The SQL is ANSI enough for DuckDB and Spark; pandas gets the same formulas in `pandas_peer`.
"""

from __future__ import annotations

MONEY = ("loan_amnt", "annual_inc", "installment", "revol_bal", "total_debt", "monthly_debt_service", "revolving_limit")
PERCENT = ("int_rate", "revol_util")
NUMBER = ("dti", "income_cv_12m", "txn_income_regularity_90d", "collateral_value")
COUNT = (
    "delinq_2yrs", "fico_range_low", "fico_range_high", "inq_last_6mths", "mths_since_last_delinq",
    "mths_since_last_record", "open_acc", "pub_rec", "total_acc", "acc_open_past_24mths", "mort_acc",
    "pub_rec_bankruptcies", "job_changes_5y", "txn_nsf_count_90d", "age",
)  # fmt: skip
MONTH = ("issue_d", "earliest_cr_line")
TEXT = (
    "id", "term", "emp_length", "home_ownership", "verification_status", "purpose", "employment_type",
    "loan_status", "addr_state", "grade",
)  # fmt: skip
REQUIRED = ("id", "loan_amnt", "term", "annual_inc", "issue_d", "loan_status")

FEATURES: dict[str, str] = {
    "loan_amount": "loan_amnt",
    "term_months": "cast(substr(trim(term), 1, 2) as double)",
    "annual_income": "annual_inc",
    "monthly_income": "annual_inc / 12",
    "employment_length_years": (
        "case emp_length when '10+ years' then 10 when '< 1 year' then 0 "
        "when 'n/a' then null else cast(substr(emp_length, 1, 1) as double) end"
    ),
    "dti_ratio": "case when dti between 0 and 998 then dti / 100 end",
    "debt_to_annual_income": "case when annual_inc > 0 then total_debt / annual_inc end",
    "loan_to_income": "case when annual_inc > 0 then loan_amnt / annual_inc end",
    "emi": ("loan_amnt * 0.01 / (1 - power(1.01, -cast(substr(trim(term), 1, 2) as double)))"),
    "emi_to_income": (
        "case when annual_inc > 0 then 12 * loan_amnt * 0.01 "
        "/ (1 - power(1.01, -cast(substr(trim(term), 1, 2) as double))) / annual_inc end"
    ),
    "post_loan_dti": (
        "case when annual_inc > 0 then 12 * (monthly_debt_service + loan_amnt * 0.01 "
        "/ (1 - power(1.01, -cast(substr(trim(term), 1, 2) as double)))) / annual_inc end"
    ),
    "ltv": "case when collateral_value > 0 then loan_amnt / collateral_value end",
    "revolving_utilisation": "case when revolving_limit > 0 then revol_bal / revolving_limit else revol_util / 100 end",
    "bureau_score": "(fico_range_low + fico_range_high) / 2.0",
    "credit_history_months": (
        "12 * (year(issue_d) - year(earliest_cr_line)) + month(issue_d) - month(earliest_cr_line)"
    ),
    "n_open_accounts": "open_acc",
    "n_total_accounts": "total_acc",
    "open_to_total": "case when total_acc > 0 then open_acc / cast(total_acc as double) end",
    "inquiries_6m": "inq_last_6mths",
    "delinquencies_2y": "delinq_2yrs",
    "months_since_last_delinq": "mths_since_last_delinq",
    "months_since_last_record": "mths_since_last_record",
    "public_records": "pub_rec",
    "bankruptcies": "pub_rec_bankruptcies",
    "revolving_balance": "revol_bal",
    "revolving_balance_to_income": "case when annual_inc > 0 then revol_bal / annual_inc end",
    "acc_open_24m": "acc_open_past_24mths",
    "mortgages": "mort_acc",
    "income_stability": "greatest(0, 1 - coalesce(income_cv_12m, 0.5)) / (1 + coalesce(job_changes_5y, 0))",
    "income_regularity": "txn_income_regularity_90d",
    "nsf_count": "txn_nsf_count_90d",
    "rents": "case when home_ownership = 'RENT' then 1 else 0 end",
    "verified": "case when verification_status = 'Not Verified' then 0 else 1 end",
    "consolidates_debt": "case when purpose = 'debt_consolidation' then 1 else 0 end",
    "small_business": "case when purpose = 'small_business' then 1 else 0 end",
}
LABEL = "case when loan_status in ('Charged Off', 'Default') then 1 else 0 end"
OUT_OF_TIME_SHARE = 0.25
XGBOOST = {
    "max_depth": 6, "learning_rate": 0.1, "n_estimators": 200, "objective": "binary:logistic",
    "tree_method": "hist", "early_stopping_rounds": 20, "eval_metric": "logloss", "n_jobs": 2,
}  # fmt: skip


def typed(cast_month: str, try_cast: str) -> dict[str, str]:
    """Column -> expression over raw text; NULL where the text does not parse. `{0}` is the column."""
    cleaned = "nullif(trim({0}), '')"
    number = try_cast.format(f"replace({cleaned}, '%', '')", "double")
    whole = try_cast.format(cleaned, "double")
    expressions = dict.fromkeys((*MONEY, *PERCENT, *NUMBER), number)
    expressions |= dict.fromkeys(COUNT, whole)
    expressions |= dict.fromkeys(MONTH, cast_month)
    expressions |= dict.fromkeys(TEXT, cleaned)
    return {name: expression.format(name) for name, expression in expressions.items()}
