"""The training set in the warehouse: made, fingerprinted and read by SQL. Rows reach Python only as model inputs.

Works on any engine behind `Warehouse`; knows nothing of models. What the splits mean is `domain/splits.py`'s affair.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from credit_risk_platform.adapters.warehouse.base import Select, Warehouse
from credit_risk_platform.domain.splits import Split, SplitPlan

TABLE = "gold.training_set"
IDENTITY = ("loan_id", "issue_month", "decision_date", "split", "is_bad")

_POPULATION = """
    from gold.application_features as f
    join gold.loan_outcomes as o using (loan_id)
    where o.matured and o.meets_credit_policy and o.is_bad is not null
      and f.issue_month not in (select issue_month from gold.loan_outcomes where meets_credit_policy and not matured)
"""
"""Whole vintages only: of a vintage whose long loans still run, the short ones alone would shift the mix of terms."""


@dataclass(frozen=True)
class SplitCard:
    """One split at a glance; months are the first and last issue month."""

    split: str
    loans: int
    bads: int
    first_month: date
    last_month: date

    @property
    def bad_rate(self) -> float:
        return self.bads / self.loans


def vintages(warehouse: Warehouse) -> tuple[np.ndarray, np.ndarray]:
    """(issue months datetime64[M], loans per month) of the population a model may learn from, in the order of time."""
    found = warehouse.query(f"select f.issue_month as month, count(*) as loans {_POPULATION} group by 1 order by 1")
    return found["month"].to_numpy().astype("datetime64[M]"), found["loans"].to_numpy()


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


def fingerprint(warehouse: Warehouse) -> str:
    """SHA-256 over the content of the training set, whatever the order of its rows: same content, same hash.

    Each row is hashed by the engine over all its columns; the sum and the exclusive or of the row hashes, the row
    count and the column types make the fingerprint. About a second for ten million loans.
    """
    columns = warehouse.columns(TABLE)
    row = f"hash({', '.join(columns)})"
    found = warehouse.query(
        f"select count(*) as n, sum(cast({row} as decimal(38, 0))) as total, bit_xor({row}) as parity from {TABLE}"
    ).to_pylist()[0]
    content = {"columns": columns, **{name: str(value) for name, value in found.items()}}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def cards(warehouse: Warehouse) -> list[SplitCard]:
    """One card per split, in the order of time."""
    found = warehouse.query(
        f"select split, count(*) as loans, cast(count_if(is_bad) as bigint) as bads, min(issue_month) as first_month, "
        f"max(issue_month) as last_month from {TABLE} group by split order by first_month"
    )
    return [SplitCard(**row) for row in found.to_pylist()]


def repeated_loans(warehouse: Warehouse) -> int:
    """Rows beyond the first of a loan id: a loan in two splits, or twice in one."""
    return int(warehouse.query(f"select count(*) - count(distinct loan_id) as n from {TABLE}")["n"][0].as_py())


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


def read(
    warehouse: Warehouse, features: Sequence[str], splits: Sequence[Split], *, at_most: int | None = None, seed: int = 0
) -> pa.Table:
    """issue_month, is_bad and `features` of some splits, by vintage and loan, so that a training repeats exactly.

    With `at_most`, a sample of exactly that many rows (or all, if fewer): the same loans for the same seed, on any
    number of threads and whatever the physical order of the table.
    """
    columns = ", ".join(["issue_month", "is_bad", *features])
    members = f"from {TABLE} where split in ({', '.join('?' for _ in splits)})"
    order = "order by issue_month, loan_id"
    names = [str(split) for split in splits]
    if at_most is None:
        return warehouse.query(f"select {columns} {members} {order}", names)
    lot = f"select loan_id {members} order by hash(loan_id, {int(seed)}), loan_id limit {int(at_most)}"
    return warehouse.query(f"select {columns} {members} and loan_id in ({lot}) {order}", [*names, *names])


def policy_version(warehouse: Warehouse) -> str:
    """The newest version of the risk bands: the one the bundle is made for."""
    newest = "select policy_version from gold.risk_bands order by effective_from desc, policy_version limit 1"
    return str(warehouse.query(newest)["policy_version"][0].as_py())
