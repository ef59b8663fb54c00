"""The one contract of a landed loan: every column a loan file may bring, and every column a bronze loan has.

`bronze.synthetic_loans`, `bronze.lending_club_loans` and `bronze.landing_loans` share it. A new nullable column is a
minor version; a column that goes, changes type or tightens is a major one.
"""

from __future__ import annotations

from functools import partial

from credit_risk_platform.domain.contracts.column import Column, Kind, Stage
from credit_risk_platform.domain.contracts.lending_club_application import BUREAU, CORE, ERA
from credit_risk_platform.domain.contracts.lending_club_loan import BILLION, LABEL, OFFER, OUTCOME, PERSON

CONTRACT_VERSION = "1.0"

LENDING_CLUB: tuple[Column, ...] = (*CORE, *ERA, *BUREAU, *OFFER, *OUTCOME, *LABEL, *PERSON)
"""All 151 columns of LendingClub's widest published layout."""

_extra = partial(Column, stage=Stage.EXTRA)
_money = partial(_extra, kind=Kind.MONEY, unit="currency", lower=0, upper=BILLION)
_count = partial(_extra, kind=Kind.COUNT, unit="count", lower=0, upper=100_000)
_number = partial(_extra, kind=Kind.NUMBER, unit="ratio", lower=0)

EXTRAS: tuple[Column, ...] = (
    Column("customer_id", Stage.PERSON, Kind.TEXT, "", "Customer; becomes `subject_token`.", landed=False, pii=True),
    _extra("application_date", kind=Kind.DAY, unit="date", description="Day of the application."),
    _extra("employment_type", kind=Kind.TEXT, unit="",
           description="permanent, contract, self_employed, retired or unemployed."),
    _money("collateral_value", description="Value of the security; blank when unsecured."),
    _money("monthly_debt_service", description="What existing debts cost per month."),
    _money("total_debt", description="All debt, this loan excluded."),
    _money("revolving_limit", description="Limit of all revolving lines."),
    _count("job_changes_5y", description="Changes of employer in five years."),
    _number("income_cv_12m", description="Coefficient of variation of twelve monthly incomes.", upper=1_000),
    _number("txn_income_regularity_90d", description="Regularity of income on the account, 0 to 1.", upper=1),
    _count("txn_nsf_count_90d", description="Returned payments in ninety days."),
    _extra("account_open_date", kind=Kind.DAY, unit="date", description="Day the current account was opened."),
    Column("age", Stage.RESTRICTED, Kind.COUNT, "years", "Age at application.", lower=0, upper=130),
    Column("education", Stage.RESTRICTED, Kind.TEXT, "", "Highest education."),
    Column("family_size", Stage.RESTRICTED, Kind.COUNT, "persons", "Household size.", lower=0, upper=100),
    Column("default_date", Stage.OUTCOME, Kind.DAY, "date", "Day of default (90 days past due or charge-off)."),
    Column("closed_date", Stage.OUTCOME, Kind.DAY, "date", "Day the loan was closed."),
)  # fmt: skip

INPUT: tuple[Column, ...] = (*LENDING_CLUB, *EXTRAS)
"""Every column a loan file may bring."""

KEYS: tuple[Column, ...] = (
    Column("loan_id", Stage.LANDING, Kind.TEXT, "", "The file's id, or a hash of the application where it has none.",
           nullable=False),
    Column("source_system", Stage.LANDING, Kind.TEXT, "", "Where the loan came from.", nullable=False),
    Column("subject_token", Stage.LANDING, Kind.TEXT, "", "HMAC-SHA256 of the customer: same person, same token.",
           nullable=False),
)  # fmt: skip

LINEAGE: tuple[Column, ...] = (
    Column("_batch", Stage.LANDING, Kind.TEXT, "", "Landed file: first 12 hex digits of its SHA-256.", nullable=False),
    Column("_row", Stage.LANDING, Kind.ROW, "row", "Row in the file, header included, a quoted line break not counted.",
           nullable=False),
    Column("_observed_through", Stage.LANDING, Kind.DAY, "date", "Last day the file knows about."),
)  # fmt: skip

LOAN_COLUMNS: tuple[Column, ...] = (*KEYS, *(column for column in INPUT if column.landed), *LINEAGE)
"""Every column of a bronze loan, in table order."""

REQUIRED: tuple[Column, ...] = tuple(column for column in INPUT if column.required)

SURROGATE_KEY = (
    "loan_amnt", "term", "int_rate", "installment", "sub_grade", "emp_title", "emp_length", "home_ownership",
    "annual_inc", "verification_status", "issue_d", "purpose", "title", "zip_code", "addr_state", "dti", "delinq_2yrs",
    "earliest_cr_line", "inq_last_6mths", "open_acc", "pub_rec", "revol_bal", "revol_util", "total_acc",
)  # fmt: skip
"""What a loan without an id is known by: fixed at issue, the same in every later edition of the file, no outcome."""

ORDER: tuple[tuple[str, str, str], ...] = (
    ("earliest_cr_line", "issue_d", "earliest_cr_line"),
    ("issue_d", "default_date", "default_date"),
    ("issue_d", "closed_date", "closed_date"),
)
"""Dates that cannot lie the other way round: earlier, later, and which of the two to doubt."""

_BY_NAME = {column.name: column for column in (*LOAN_COLUMNS, *INPUT)}


def by_name(name: str) -> Column:
    """The column called `name`, landed or not; raises `KeyError` naming it when there is none."""
    if name not in _BY_NAME:
        raise KeyError(f"{name} is not in the loan contract; see domain/contracts/loan_columns.py")
    return _BY_NAME[name]
