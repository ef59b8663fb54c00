"""A lake with as many loans as asked for, made by SQL: what a book of that size looks like to the drift reports."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa

from credit_risk_platform.adapters import drift_reference, drift_samples
from credit_risk_platform.adapters.policies import PolicyBook, policy_on
from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.calibration import Calibrator, Method
from credit_risk_platform.domain.features import model_features
from credit_risk_platform.domain.models.frame import NUMERIC, FeatureTable, InputFeature
from credit_risk_platform.domain.models.zoo import model_class
from credit_risk_platform.domain.policy import Policy
from credit_risk_platform.settings import PROJECT_ROOT

AS_OF = date(2026, 6, 30)
NEW_ONE_IN = 10
"""One loan in so many was decided in the last 60 days; twice as many are the training set."""
LEARNT_FROM = 20_000
SHAPES = (
    "case when {0} < 0.1 then 1 else 0 end",  # a flag
    "floor(30 * {0} * {0})",  # a count
    "round(exp(3 * {0}), 2)",  # an amount
    "round({0}, 3)",  # a ratio
)
FEATURES = tuple(InputFeature.of(feature) for feature in model_features())


def make(work: Path, loans: int) -> None:
    """The marts, a scored day, and a model; kept for the next time the same size is asked for."""
    done = work / "loans.txt"
    warehouse = DuckLakeWarehouse(work / "warehouse")
    _forget_references(warehouse)
    if done.exists() and done.read_text() == str(loans):
        return
    columns = ", ".join(f"{_shape(k, feature)} as {feature.name}" for k, feature in enumerate(FEATURES))
    loan = f"""
        select 'L' || lpad(i::varchar, 9, '0') as loan_id, i % {NEW_ONE_IN} as part,
            case when part = 0 then date '{AS_OF}' - (i % 60)::integer else date '2020-01-01' + (i % 1500)::integer end
                as decision_date
        from range({loans}) as made (i)
    """
    warehouse.replace_table("gold.application_features", Select(f"select *, {columns} from ({loan})"))
    warehouse.replace_table("gold.loan_outcomes", Select(_OUTCOMES))
    warehouse.replace_table("gold.training_set", Select(_TRAINING_SET))
    warehouse.replace_table("gold.portfolio_scores", Select(_SCORES, [AS_OF]))
    seeds = PROJECT_ROOT / "dbt_project" / "seeds" / "policy"
    for name, version in (("risk_bands", "policy_version"), ("reason_codes", "reason_version")):
        seed = f"select * replace ({version}::varchar as {version}) from read_csv(?)"
        warehouse.replace_table(f"gold.{name}", Select(seed, [str(seeds / f"{name}.csv")]))
    (work / "bundle.zip").write_bytes(_bundle(warehouse).to_bytes())
    warehouse.close()
    done.write_text(str(loans))


def opened(work: Path) -> tuple[DuckLakeWarehouse, ModelBundle, Policy]:
    warehouse = DuckLakeWarehouse(work / "warehouse")
    bundle = ModelBundle.from_bytes((work / "bundle.zip").read_bytes())
    return warehouse, bundle, policy_on(warehouse, PolicyBook(), AS_OF)


def _forget_references(warehouse: DuckLakeWarehouse) -> None:
    """Each run of the bench draws and cuts its own: that is measured, too."""
    for table in (drift_reference.TABLE, drift_samples.TABLE):
        if warehouse.exists(table):
            warehouse.replace_table(table, Select(f"select * from {table} limit 0"))


def _shape(number: int, feature: InputFeature) -> str:
    u = f"((hash(loan_id, {number}) % 1000003) / 1000003)"
    if feature.kind != NUMERIC:
        return f"'level ' || floor(9 * {u} * {u})::integer"
    value = SHAPES[number % len(SHAPES)].format(u)
    return f"case when hash(loan_id, -{number} - 1) % 20 > 0 then ({value})::double end"


def _bundle(warehouse: DuckLakeWarehouse) -> ModelBundle:
    rows: pa.Table = warehouse.query(f"select * from gold.training_set order by loan_id limit {LEARNT_FROM}")
    frame = FeatureTable.from_arrow(rows, FEATURES)
    model = model_class("logistic_regression")().fit(frame, rows["is_bad"].to_numpy(zero_copy_only=False), seed=0)
    return ModelBundle(
        name="logistic_regression",
        model=model,
        calibrator=Calibrator(Method.PLATT, intercept=0.0, slope=1.0),
        features=FEATURES,
        feature_sql="select 1",
        training_fingerprint="bench",
        policy_version="2007.1",
        seed=0,
    )


_OUTCOMES = """
    select loan_id, decision_date, null::date as default_date, date '2030-01-01' as closed_date
    from gold.application_features
"""
_TRAINING_SET = """
    select * exclude (part), date_trunc('month', decision_date)::date as issue_month,
        case when hash(loan_id) % 10 < 7 then 'train' else 'out_of_time' end as split,
        hash(loan_id, 'bad') % 100 < 12 as is_bad
    from gold.application_features where part in (1, 2)
"""
_SCORES = """
    select loan_id, ?::date as as_of, round(0.3 * u * u, 5) as pd,
        case when pd < 0.02 then 'Very Low' when pd < 0.05 then 'Low' when pd < 0.12 then 'Medium'
            when pd < 0.25 then 'High' else 'Very High' end as band,
        case when pd < 0.155 then 'approve' when pd < 0.25 then 'refer' else 'decline' end as decision
    from (select loan_id, (hash(loan_id, 'pd') % 1000003) / 1000003 as u from gold.application_features)
"""
