"""The application model's training set in the warehouse: who may teach, by SQL. Splits are `domain/splits.py`'s affair.

Reading, summing up and fingerprinting are the same for every training set: `training_table.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np

from credit_risk_platform.adapters.training_table import TrainingTable
from credit_risk_platform.adapters.warehouse.base import Select, Warehouse
from credit_risk_platform.domain.splits import Split, SplitPlan

TABLE = "gold.training_set"
SET = TrainingTable(TABLE, "issue_month", ("loan_id",))
fingerprint, cards, repeated_loans, read = SET.fingerprint, SET.cards, SET.repeated, SET.read
IDENTITY = ("loan_id", "issue_month", "decision_date", "split", "is_bad")

_TEACHES = """
    o.matured and o.meets_credit_policy and o.is_bad is not null
    and o.issue_month not in (select issue_month from gold.loan_outcomes where meets_credit_policy and not matured)
"""
"""Whole vintages only: of a vintage whose long loans still run, the short ones alone would shift the mix of terms."""

_POPULATION = f"from gold.application_features as f join gold.loan_outcomes as o using (loan_id) where {_TEACHES}"


def vintages(warehouse: Warehouse) -> tuple[np.ndarray, np.ndarray]:
    """(issue months datetime64[M], loans per month) of the population a model may learn from, in the order of time."""
    found = warehouse.query(f"select f.issue_month as month, count(*) as loans {_POPULATION} group by 1 order by 1")
    return found["month"].to_numpy().astype("datetime64[M]"), found["loans"].to_numpy()


def loans_after(warehouse: Warehouse, month: date) -> int:
    """Loans that a training set made now would hold of later vintages. One scan of the outcomes, and no join."""
    sql = f"select count(*) as loans from gold.loan_outcomes as o where {_TEACHES} and o.issue_month > ?"
    return int(warehouse.query(sql, [month])["loans"][0].as_py())


def select_training_set(features: Sequence[str], plan: SplitPlan) -> Select:
    """Matured loans inside the credit policy, each with its split, its label and `features`."""
    columns = ", ".join(f"f.{name}" for name in features)
    sql = f"""
        select
            f.loan_id, f.issue_month, f.decision_date,
            case
                when f.issue_month >= cast(? as date) then '{Split.OUT_OF_TIME}'
                when f.issue_month >= cast(? as date) then '{Split.VALIDATION}'
                when f.issue_month >= cast(? as date) then '{Split.EARLY_STOP}'
                else '{Split.TRAIN}'
            end as split,
            o.is_bad, {columns}
        {_POPULATION}
    """
    starts = (plan.out_of_time_from, plan.validation_from, plan.early_stop_from)
    return Select(sql, [start.astype("datetime64[D]").astype(date) for start in starts])


def unripe_loans(warehouse: Warehouse) -> tuple[int, int]:
    """(rows whose loan is not matured or has no outcome, loans missing from a vintage that is in the set).

    The second number finds the mistake of keeping only closed loans of a young vintage: its bad rate is inflated.
    """
    unripe = f"""
        select count(*) as n from {TABLE} as t left join gold.loan_outcomes as o using (loan_id)
        where coalesce(not o.matured or o.is_bad is null or o.is_bad <> t.is_bad, true)
    """
    missing = f"""
        select count(*) as n from gold.loan_outcomes as o
        where o.meets_credit_policy
          and o.issue_month in (select issue_month from {TABLE})
          and o.loan_id not in (select loan_id from {TABLE})
    """
    return tuple(int(warehouse.query(sql)["n"][0].as_py()) for sql in (unripe, missing))  # type: ignore[return-value]


def policy_version(warehouse: Warehouse) -> str:
    """The newest version of the risk bands: the one the bundle is made for."""
    newest = "select policy_version from gold.risk_bands order by effective_from desc, policy_version limit 1"
    return str(warehouse.query(newest)["policy_version"][0].as_py())
