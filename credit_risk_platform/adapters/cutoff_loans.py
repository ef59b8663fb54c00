"""Held-out loans with a known end, as the champion judges them: what the cut-off is weighed with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from credit_risk_platform.adapters import training_data
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.economics import Economics, Judged
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.policy import Policy
from credit_risk_platform.domain.scoring import predict
from credit_risk_platform.domain.splits import Split

TABLE = "gold.cutoff_curve"
OUTCOMES = "gold.loan_outcomes"
BATCH_ROWS = 250_000


class NoLoansError(LookupError):
    """Nothing to weigh a cut-off with; the message says what to materialise."""


@dataclass(frozen=True)
class HeldOut:
    """`own`: the vintages the champion was held back from; else those of a training set made since."""

    loans: Judged
    own: bool


def held_out(warehouse: Warehouse, bundle: ModelBundle) -> HeldOut:
    """PD, end and amount of every out-of-time loan, in bounded memory but for three numbers a loan."""
    for table in (training_data.TABLE, OUTCOMES):
        if not warehouse.exists(table):
            raise NoLoansError(f"{table} is not there yet: materialise {table.replace('.', '/')} first")
    columns = warehouse.columns(training_data.TABLE)
    if absent := [feature.name for feature in bundle.features if feature.name not in columns]:
        raise NoLoansError(
            f"the training set no longer holds {', '.join(absent)}, which {bundle.name} reads: train anew"
        )
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    sql = f"""
        select t.*, o.loan_amount::double as amount_lent
        from {training_data.TABLE} as t join {OUTCOMES} as o using (loan_id)
        where t.split = ? and o.loan_amount > 0
    """
    with warehouse.stream(sql, [str(Split.OUT_OF_TIME)], BATCH_ROWS) as batches:
        for batch in batches:
            rows = pa.Table.from_batches([batch])
            pd = predict(bundle, FeatureTable.from_arrow(rows, bundle.features))
            bad = rows["is_bad"].to_numpy(zero_copy_only=False).astype(bool)
            parts.append((pd, bad, rows["amount_lent"].to_numpy()))
    if not parts:
        raise NoLoansError("the training set has no out-of-time loan with an amount: materialise gold/training_set")
    own = training_data.fingerprint(warehouse) == bundle.training_fingerprint
    pd, bad, amount = (np.concatenate(column) for column in zip(*parts, strict=True))
    return HeldOut(Judged(pd, bad, amount), own)


def economics_of(policy: Policy) -> Economics:
    """What the policy says its cut-offs were chosen with; raises `NoLoansError` naming what it leaves out."""
    try:
        return Economics(policy.assumptions["margin"], policy.assumptions["loss_given_default"])
    except KeyError as error:
        raise NoLoansError(
            f"policy {policy.version} says nothing of {error}: state margin and loss_given_default under assumptions"
        ) from error


def keep(warehouse: Warehouse, curve: pa.Table, bundle: ModelBundle, policy: Policy, economics: Economics) -> int:
    """Replace the curve on record, each row with the model, policy and assumptions it was made with."""
    same = {
        "bundle_sha": bundle.sha256,
        "policy_version": policy.version,
        "margin": economics.margin,
        "loss_given_default": economics.lgd,
    }
    for name, value in same.items():
        curve = curve.append_column(name, pa.repeat(value, curve.num_rows))
    return warehouse.replace_table(TABLE, curve)
