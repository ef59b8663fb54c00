"""Vintages of the book: which have matured, what a champion knew of them, and its PDs of their loans.

Vintages are those of loans inside the credit policy. One has matured when its last loan has (`domain/maturity.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from credit_risk_platform.adapters import training_data
from credit_risk_platform.adapters.drift_reference import BATCH_ROWS, reference_of
from credit_risk_platform.adapters.portfolio import FEATURES, OUTCOMES, NothingToScoreError
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.maturity import Learnt
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.scoring import predict
from credit_risk_platform.domain.splits import MONTH, Split

LEARNT = "monitoring.champion_vintages"


@dataclass(frozen=True)
class Vintage:
    """Loans issued in one month: `ripe` of `loans` have an outcome, as of `observed_through`."""

    month: date
    loans: int
    ripe: int
    observed_through: date

    @property
    def matured(self) -> bool:
        return self.ripe == self.loans


@dataclass(frozen=True)
class Judged:
    """The loans of one vintage: PDs (n,) and, where it has matured, whether they went bad (n,)."""

    month: date
    pd: np.ndarray
    bad: np.ndarray | None


def vintages(warehouse: Warehouse) -> list[Vintage]:
    """Every vintage, in the order of time. Raises `NothingToScoreError` before the marts are there."""
    if not warehouse.exists(OUTCOMES):
        raise NothingToScoreError(f"{OUTCOMES} is not there yet: materialise gold/loan_outcomes (the marts) first")
    found = warehouse.query(
        f"""
        select issue_month as month, count(*) as loans, cast(count_if(matured) as bigint) as ripe,
            max(observed_through) as observed_through
        from {OUTCOMES} where meets_credit_policy group by 1 order by 1
        """
    )
    return [Vintage(**row) for row in found.to_pylist()]


def learnt_of(warehouse: Warehouse, bundle: ModelBundle) -> Learnt:
    """What the bundle learnt from, kept at the first look: the training set is made anew every week.

    Raises `NoReferenceError` without a training set, as its drift yardstick does.
    """
    until = reference_of(warehouse, bundle).learnt_until
    if not warehouse.exists(LEARNT) or not (found := _kept(warehouse, bundle)).num_rows:
        row = {"bundle_sha": bundle.sha256, "held_out_from": _held_out_from(warehouse, bundle)}
        schema = pa.schema([("bundle_sha", pa.string()), ("held_out_from", pa.date32())])
        warehouse.upsert(LEARNT, pa.Table.from_pylist([row], schema), ["bundle_sha"])
        found = _kept(warehouse, bundle)
    return Learnt(until, found["held_out_from"][0].as_py())


def judged_by(
    warehouse: Warehouse, bundle: ModelBundle, among: list[Vintage], batch_rows: int = BATCH_ROWS
) -> Iterator[Judged]:
    """The bundle's PDs as of the application, vintage by vintage, in the order of time.

    Features pass through batch by batch; 13 bytes a loan are kept (PD, label, month).
    """
    matured = {vintage.month: vintage.matured for vintage in among}
    months, pds, bads = _predicted(warehouse, bundle, batch_rows)
    order = np.argsort(months, kind="stable")
    found, starts = np.unique(months[order], return_index=True)
    for month, rows in zip(found, np.split(order, starts[1:]), strict=True):
        first = month.astype("datetime64[M]").astype(date)
        yield Judged(first, pds[rows], bads[rows] if matured.get(first) else None)


def _predicted(warehouse: Warehouse, bundle: ModelBundle, batch_rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(months since 1970, PD, 1 for bad) of every loan inside the credit policy, in no order."""
    inputs = ", ".join(f"f.{feature.name}" for feature in bundle.features)
    sql = f"""
        select o.issue_month as vintage, coalesce(o.is_bad, false) as went_bad, {inputs}
        from {FEATURES} as f join {OUTCOMES} as o using (loan_id) where o.meets_credit_policy
    """
    parts = [(np.empty(0, np.int32), np.empty(0), np.empty(0, np.int8))]
    with warehouse.stream(sql, (), batch_rows) as batches:
        for batch in batches:
            table = pa.Table.from_batches([batch])
            months = table["vintage"].to_numpy().astype(MONTH).astype(np.int32)
            bads = table["went_bad"].to_numpy().astype(np.int8)
            parts.append((months, predict(bundle, FeatureTable.from_arrow(table, bundle.features)), bads))
    months, pds, bads = (np.concatenate(column) for column in zip(*parts, strict=True))
    return months, pds, bads


def _kept(warehouse: Warehouse, bundle: ModelBundle) -> pa.Table:
    return warehouse.query(f"select held_out_from from {LEARNT} where bundle_sha = ?", [bundle.sha256])


def _held_out_from(warehouse: Warehouse, bundle: ModelBundle) -> date | None:
    """First out-of-time month of the set the bundle was trained on; None where that set is not there any more."""
    if training_data.fingerprint(warehouse) != bundle.training_fingerprint:
        return None
    sql = f"select min(issue_month) as month from {training_data.TABLE} where split = ?"
    month: date | None = warehouse.query(sql, [str(Split.OUT_OF_TIME)])["month"][0].as_py()
    return month
