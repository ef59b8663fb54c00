"""A small book with known behaviour for the model tests: eight numbers, two categories, five years of vintages."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa

from credit_risk_platform.domain.models.base import CreditModel
from credit_risk_platform.domain.models.frame import CATEGORICAL, NUMERIC, FeatureTable, InputFeature
from credit_risk_platform.domain.models.zoo import model_class

FEATURES = (
    InputFeature("dti", NUMERIC, 1),
    InputFeature("income", NUMERIC, -1),
    InputFeature("purpose", CATEGORICAL),
    InputFeature("months_since_delinq", NUMERIC),
    InputFeature("net_worth", NUMERIC),
    InputFeature("home", CATEGORICAL),
    InputFeature("ltv", NUMERIC),
    InputFeature("inquiries", NUMERIC, 1),
    InputFeature("noise", NUMERIC),
    InputFeature("constant", NUMERIC),
)
FEW_TREES = {
    "logistic_regression": {},
    "random_forest": {"n_estimators": 12, "min_samples_leaf": 20},
    "gradient_boosting": {"max_iter": 30},
    "xgboost": {"n_estimators": 30, "max_depth": 3},
    "lightgbm": {"n_estimators": 30},
    "scorecard": {},
}
MODELS = tuple(FEW_TREES)


@cache
def loans(rows: int = 3_000, seed: int = 3) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """(table, is_bad float64, issue month): PD rises with dti and inquiries, falls with income; ltv is never known."""
    rng = np.random.default_rng(seed)
    dti, income = rng.uniform(0, 0.5, rows), rng.lognormal(10.8, 0.6, rows)
    inquiries = rng.poisson(1.0, rows)
    delinq = np.where(rng.random(rows) < 0.6, np.nan, rng.uniform(1, 80, rows))
    purpose = rng.choice(["car", "house", "small_business", "wedding"], rows, p=[0.5, 0.3, 0.199, 0.001])
    z = -3.2 + 4 * dti - 0.7 * (np.log(income) - 10.8) + 0.45 * inquiries + 0.9 * (purpose == "small_business")
    bad = (rng.random(rows) < 1 / (1 + np.exp(-z - 0.4 * ~np.isnan(delinq)))).astype(np.float64)
    columns = {
        "loan_id": pa.array([f"L{k:06d}" for k in range(rows)]),
        "subject_token": pa.array([f"S{k:06d}" for k in range(rows)]),
        "dti": pa.array(dti, mask=rng.random(rows) < 0.05),
        "income": pa.array(income),
        "purpose": pa.array(purpose),
        "months_since_delinq": pa.array(delinq, from_pandas=True),
        "net_worth": pa.array(rng.normal(size=rows) ** 3 * 1e4),
        "home": pa.array(rng.choice(["OWN", "RENT"], rows), mask=rng.random(rows) < 0.1),
        "ltv": pa.nulls(rows, pa.float64()),
        "inquiries": pa.array(inquiries, pa.int32()),
        "noise": pa.array(rng.normal(size=rows)),
        "constant": pa.array(np.full(rows, 7.0)),
    }
    months = np.datetime64("2015-01", "M") + np.sort(rng.integers(0, 60, rows)).astype("timedelta64[M]")
    return pa.table(columns), bad, months


@cache
def trained(name: str) -> CreditModel:
    """One model of the zoo on the first 2,400 loans, stopped on the next 300; the last 300 stay unseen."""
    return fit(name)


def fit(name: str, **params: object) -> CreditModel:
    table, y, _ = loans()
    frame = FeatureTable.from_arrow(table, FEATURES)
    learn, stop = slice(0, 2_400), slice(2_400, 2_700)
    options = {**FEW_TREES[name], **params}
    return model_class(name)().fit(frame.take(learn), y[learn], frame.take(stop), y[stop], params=options, seed=11)
