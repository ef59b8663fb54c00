"""Bronze to silver in pandas: what most teams would write first.

python -m bench.batch.pandas_peer loans.csv workdir
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from bench.batch import work
from bench.batch.measure import stages


def main(csv: Path, folder: Path) -> None:
    clock = stages()
    raw = pd.read_csv(csv, dtype=str, on_bad_lines="skip", usecols=lambda name: name in _columns())
    typed, unparsed = _typed(raw)
    del raw
    bad = unparsed | typed[list(work.REQUIRED)].isna().any(axis=1)
    typed[bad].to_parquet(folder / "rejects.parquet", compression="zstd")
    typed = typed[~bad]
    typed.to_parquet(folder / "bronze.parquet", compression="zstd")
    clock("bronze")
    _features(typed).to_parquet(folder / "silver.parquet", compression="zstd")
    clock("silver")


def _columns() -> set[str]:
    return {*work.MONEY, *work.PERCENT, *work.NUMBER, *work.COUNT, *work.MONTH, *work.TEXT}


def _typed(raw: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    typed, unparsed = {}, pd.Series(False, index=raw.index)
    for name in (*work.MONEY, *work.PERCENT, *work.NUMBER, *work.COUNT):
        typed[name] = pd.to_numeric(raw[name].str.strip().str.rstrip("%"), errors="coerce")
        unparsed |= typed[name].isna() & raw[name].notna()
    for name in work.MONTH:
        typed[name] = pd.to_datetime(raw[name].str.strip(), format="%b-%Y", errors="coerce")
        unparsed |= typed[name].isna() & raw[name].notna()
    for name in work.TEXT:
        typed[name] = raw[name].str.strip()
    return pd.DataFrame(typed), unparsed


def _features(d: pd.DataFrame) -> pd.DataFrame:
    income = d["annual_inc"].where(d["annual_inc"] > 0)
    term = d["term"].str[:2].astype(float)
    emi = d["loan_amnt"] * 0.01 / (1 - 1.01**-term)
    years = d["emp_length"].replace({"10+ years": "10", "< 1 year": "0"}).str.extract(r"(\d+)")[0].astype(float)
    issued, first = d["issue_d"].dt, d["earliest_cr_line"].dt
    limit = d["revolving_limit"].where(d["revolving_limit"] > 0)
    return pd.DataFrame(
        {
            "id": d["id"],
            "issue_d": d["issue_d"],
            "is_bad": d["loan_status"].isin(["Charged Off", "Default"]).astype(int),
            "loan_amount": d["loan_amnt"],
            "term_months": term,
            "annual_income": d["annual_inc"],
            "monthly_income": d["annual_inc"] / 12,
            "employment_length_years": years,
            "dti_ratio": (d["dti"] / 100).where(d["dti"].between(0, 998)),
            "debt_to_annual_income": d["total_debt"] / income,
            "loan_to_income": d["loan_amnt"] / income,
            "emi": emi,
            "emi_to_income": 12 * emi / income,
            "post_loan_dti": 12 * (d["monthly_debt_service"] + emi) / income,
            "ltv": d["loan_amnt"] / d["collateral_value"].where(d["collateral_value"] > 0),
            "revolving_utilisation": (d["revol_bal"] / limit).fillna(d["revol_util"] / 100),
            "bureau_score": (d["fico_range_low"] + d["fico_range_high"]) / 2,
            "credit_history_months": 12 * (issued.year - first.year) + issued.month - first.month,
            "n_open_accounts": d["open_acc"],
            "n_total_accounts": d["total_acc"],
            "open_to_total": d["open_acc"] / d["total_acc"].where(d["total_acc"] > 0),
            "inquiries_6m": d["inq_last_6mths"],
            "delinquencies_2y": d["delinq_2yrs"],
            "months_since_last_delinq": d["mths_since_last_delinq"],
            "months_since_last_record": d["mths_since_last_record"],
            "public_records": d["pub_rec"],
            "bankruptcies": d["pub_rec_bankruptcies"],
            "revolving_balance": d["revol_bal"],
            "revolving_balance_to_income": d["revol_bal"] / income,
            "acc_open_24m": d["acc_open_past_24mths"],
            "mortgages": d["mort_acc"],
            "income_stability": (1 - d["income_cv_12m"].fillna(0.5)).clip(lower=0)
            / (1 + d["job_changes_5y"].fillna(0)),
            "income_regularity": d["txn_income_regularity_90d"],
            "nsf_count": d["txn_nsf_count_90d"],
            "rents": (d["home_ownership"] == "RENT").astype(int),
            "verified": (d["verification_status"] != "Not Verified").astype(int),
            "consolidates_debt": (d["purpose"] == "debt_consolidation").astype(int),
            "small_business": (d["purpose"] == "small_business").astype(int),
        }
    ).astype(dict.fromkeys(work.FEATURES, np.float32))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
