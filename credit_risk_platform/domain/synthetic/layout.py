"""Arrow tables in the two published layouts: LendingClub's loan file, text quirks included, and the repayment panel."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from credit_risk_platform.domain.synthetic import vocabulary as words
from credit_risk_platform.domain.synthetic.applicants import NONE, Array, Columns
from credit_risk_platform.domain.synthetic.asof import Panel
from credit_risk_platform.domain.synthetic.repayments import NEVER

MONEY = pa.decimal128(18, 2)
_FIRST_MONTH = np.datetime64("1930-01", "M")

REPAYMENT_SCHEMA = pa.schema(
    [
        ("loan_id", pa.string()),
        ("instalment_number", pa.int32()),
        ("due_date", pa.date32()),
        *((name, MONEY) for name in ("amount_due", "principal_due", "interest_due")),
        ("paid_date", pa.date32()),
        *((name, MONEY) for name in ("amount_paid", "principal_paid", "interest_paid")),
        *((name, MONEY) for name in ("opening_balance", "closing_balance")),
        ("known_at", pa.timestamp("us")),
    ]
)
"""`bronze.synthetic_repayments` without `_batch`, which landing adds: it is the hash of the file itself."""


def loan_ids(first: int, n: int) -> pa.Array:
    """`S000000001` and on: the letter keeps any reader from taking an id for a number."""
    return _numbered("S", first, n)


def loan_table(c: Columns, first: int) -> pa.Table:
    """One row per loan under LendingClub's header names plus the platform's extras, values as a file spells them."""
    n = len(c["loan_amnt"])
    paid = c["total_rec_prncp_cents"] + c["total_rec_int_cents"] + c["recoveries_cents"]
    columns: dict[str, pa.Array] = {
        "id": loan_ids(first, n),
        "customer_id": _numbered("C", 500_000_000 + first, n),
        "loan_amnt": _whole(c["loan_amnt"]),
        "funded_amnt": _whole(c["loan_amnt"]),
        "term": _word(c["term"] // 12 - 1, [f" {term} months" for term in words.TERMS]),
        "int_rate": _word(c["sub_grade"], [f"{rate:.2f}%" for rate in words.SUB_GRADE_RATES]),
        "installment": cents(c["installment_cents"]),
        "grade": _word(c["sub_grade"] // 5, "ABCDEFG"),
        "sub_grade": _word(c["sub_grade"], words.SUB_GRADES),
        "emp_length": _word(c["emp_length"], words.EMP_LENGTHS),
        "home_ownership": _word(c["home_ownership"], words.HOMES),
        "annual_inc": _whole(c["annual_inc"]),
        "verification_status": _word(c["verification_status"], words.VERIFICATION),
        "issue_d": _month(c["issue_month"]),
        "loan_status": _word(c["loan_status"], words.STATUSES),
        "purpose": _word(c["purpose"], list(words.PURPOSES)),
        "addr_state": _word(c["addr_state"], list(words.STATES)),
        "dti": pa.array(c["dti"]),
        "delinq_2yrs": _whole(c["delinq_2yrs"]),
        "earliest_cr_line": _month(c["earliest_cr_line"]),
        "fico_range_low": _whole(c["fico_range_low"]),
        "fico_range_high": _whole(c["fico_range_low"] + 4),
        **{name: _whole(c[name]) for name in _BUREAU_COUNTS},
        "revol_util": _percent(c["revol_util_tenths"]),
        "total_rev_hi_lim": _whole(c["revolving_limit"]),
        "application_type": _word(np.zeros(n, np.int64), ["Individual"]),
        "out_prncp": cents(c["out_prncp_cents"]),
        "total_pymnt": cents(paid),
        "total_rec_prncp": cents(c["total_rec_prncp_cents"]),
        "total_rec_int": cents(c["total_rec_int_cents"]),
        "recoveries": cents(c["recoveries_cents"]),
        "last_pymnt_d": _month_of_day(c["last_pymnt_day"]),
        "last_pymnt_amnt": cents(c["last_pymnt_cents"]),
        "next_pymnt_d": _month_of_day(c["next_pymnt_day"]),
        "last_credit_pull_d": _month_of_day(c["last_credit_pull_day"]),
    }
    return pa.table(columns | _extras(c))


_BUREAU_COUNTS = (
    "inq_last_6mths", "mths_since_last_delinq", "mths_since_last_record", "open_acc", "pub_rec", "revol_bal",
    "total_acc", "collections_12_mths_ex_med", "acc_now_delinq", "acc_open_past_24mths", "chargeoff_within_12_mths",
    "delinq_amnt", "mort_acc", "pub_rec_bankruptcies", "tax_liens",
)  # fmt: skip


def _extras(c: Columns) -> dict[str, pa.Array]:
    """Columns LendingClub does not publish."""
    return {
        "application_date": _day(c["application_date"]),
        "employment_type": _word(c["employment_type"], words.EMPLOYMENT_TYPES),
        "collateral_value": _whole(c["collateral_value"]),
        "monthly_debt_service": cents(c["monthly_debt_service_cents"]),
        "total_debt": cents(c["total_debt_cents"]),
        "revolving_limit": _whole(c["revolving_limit"]),
        "job_changes_5y": _whole(c["job_changes_5y"]),
        "income_cv_12m": pa.array(c["income_cv_12m"], from_pandas=True),
        "txn_income_regularity_90d": pa.array(c["txn_income_regularity_90d"], from_pandas=True),
        "txn_nsf_count_90d": _whole(c["txn_nsf_count_90d"]),
        "account_open_date": _day(c["account_open_date"]),
        "age": _whole(c["age"]),
        "education": _word(c["education"], words.EDUCATION),
        "family_size": _whole(c["family_size"]),
        "default_date": _day(c["default_day"]),
        "closed_date": _day(c["closed_day"]),
    }


def repayment_table(panel: Panel, first: int) -> pa.Table:
    """One row per due instalment, by loan and instalment, under `REPAYMENT_SCHEMA`."""
    loan, instalment = np.nonzero(panel.visible.T)

    def rows(values: Array) -> Array:
        return np.ascontiguousarray(values.T)[loan, instalment]

    money = {name: rows(getattr(panel, name)) for name in ("principal_due", "interest_due")}
    money |= {name: rows(getattr(panel, name)) for name in ("principal_paid", "interest_paid")}
    morning = rows(panel.known).astype(np.int64) * 24 + 2
    return pa.table(
        [
            loan_ids(first, panel.visible.shape[1]).take(pa.array(loan)),
            pa.array((instalment + 1).astype(np.int32)),
            _day(rows(panel.due)),
            cents(money["principal_due"] + money["interest_due"]),
            cents(money["principal_due"]),
            cents(money["interest_due"]),
            _day(rows(panel.paid)),
            cents(money["principal_paid"] + money["interest_paid"]),
            cents(money["principal_paid"]),
            cents(money["interest_paid"]),
            cents(rows(panel.opening)),
            cents(rows(panel.closing)),
            pa.array(morning * 3_600_000_000).cast(pa.timestamp("us")),
        ],
        schema=REPAYMENT_SCHEMA,
    )


def cents(values: Array) -> pa.Array:
    """int64 cents as DECIMAL(18,2), bit for bit: a decimal is its unscaled value in sixteen bytes, low half first."""
    halves = np.empty((len(values), 2), np.int64)
    halves[:, 0] = values
    halves[:, 1] = values >> 63
    return pa.Array.from_buffers(MONEY, len(values), [None, pa.py_buffer(halves)])


def _numbered(letter: str, first: int, n: int) -> pa.Array:
    digits = pc.utf8_lpad(pa.array(np.arange(first, first + n)).cast(pa.string()), 9, "0")
    return pc.binary_join_element_wise(letter, digits, "")


def _word(codes: Array, vocabulary: Iterable[str]) -> pa.Array:
    return pa.array(list(vocabulary), pa.string()).take(pa.array(codes))


def _whole(values: Array) -> pa.Array:
    return pa.array(values, mask=values == NONE)


def _percent(tenths: Array) -> pa.Array:
    pool = pa.array([f"{tenth / 10:.1f}%" for tenth in range(int(tenths.max(initial=0)) + 1)])
    return pool.take(pa.array(tenths, mask=tenths == NONE))


def _day(days: Array) -> pa.Array:
    return pa.array(days.astype(np.int32), mask=days == NEVER).cast(pa.date32())


def _month(months: Array) -> pa.Array:
    return _month_names().take(pa.array(months - int(_FIRST_MONTH.astype(int))))


def _month_of_day(days: Array) -> pa.Array:
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) - int(_FIRST_MONTH.astype(int))
    return _month_names().take(pa.array(months, mask=days == NEVER))


@cache
def _month_names() -> pa.Array:
    """`Jan-1930` and on, as LendingClub writes months."""
    months = pa.array(np.arange(_FIRST_MONTH, np.datetime64("2080-01", "M")).astype("datetime64[s]"))
    return pc.strftime(months, format="%b-%Y")
