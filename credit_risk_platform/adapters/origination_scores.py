"""PD at application, by the champion of today, of every loan the book ever held: `gold.origination_scores`.

A measurement of the book, not a score that anybody was given: nothing of it enters the ledger, and no reasons are made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import pyarrow as pa

from credit_risk_platform.adapters.portfolio import FEATURES, OUTCOMES, NothingToScoreError
from credit_risk_platform.adapters.warehouse.base import Batches, Select, Warehouse
from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.policy import Policy
from credit_risk_platform.domain.scoring import points, predict

TABLE = "gold.origination_scores"
BATCH_ROWS = 250_000
SCHEMA = pa.schema(
    [
        ("loan_id", pa.string()),
        ("pd", pa.float64()),
        ("points", pa.float64()),
        ("risk_band", pa.string()),
        ("decision", pa.string()),
        ("bundle_sha", pa.string()),
        ("policy_version", pa.string()),
    ]
)


def write(warehouse: Warehouse, bundle: ModelBundle, policy: Policy, batch_rows: int = BATCH_ROWS) -> int:
    """Replace the whole table; returns its row count. All is scored before the writer lock is taken.

    Raises `NothingToScoreError` before the marts, and what `Policy.decide` and `check_features` raise.
    """
    if not warehouse.exists(FEATURES):
        raise NothingToScoreError(f"{FEATURES} is not there yet: materialise gold/application_features first")
    reader = pa.RecordBatchReader.from_batches(SCHEMA, _scored(warehouse, bundle, policy, batch_rows))
    with warehouse.transaction({"scored": Batches(reader)}) as transaction:
        return transaction.replace_table(TABLE, Select("select * from scored"))


def last_day(warehouse: Warehouse) -> date:
    """The last day the book knows of, whose policy is applied. Raises `NothingToScoreError` before there is a book."""
    if not warehouse.exists(OUTCOMES):
        raise NothingToScoreError(f"{OUTCOMES} is not there yet: materialise gold/loan_outcomes first")
    day = warehouse.query(f"select max(observed_through) as day from {OUTCOMES}")["day"][0].as_py()
    if day is None:
        raise NothingToScoreError("The book is empty: land loans and build the marts first.")
    found: date = day
    return found


def figures(warehouse: Warehouse) -> Mapping[str, Any]:
    """Loans without a score, with two, or with an impossible one; mean and median PD."""
    sql = f"""
        with scored as (
            select loan_id, count(*) as n, max(pd) as pd, max(case when pd > 0 and pd < 1 then 0 else 1 end) as odd
            from {TABLE} group by loan_id
        )
        select count(*) as loans, sum(case when scored.loan_id is null then 1 else 0 end)::bigint as missing,
            sum(case when n > 1 then 1 else 0 end)::bigint as doubled, coalesce(sum(odd), 0)::bigint as impossible,
            avg(pd) as mean_pd, median(pd) as median_pd
        from {FEATURES} left join scored using (loan_id)
    """
    found: Mapping[str, Any] = warehouse.query(sql).to_pylist()[0]
    return found


def mix(warehouse: Warehouse, by: str) -> list[dict[str, Any]]:
    """Loans, share, mean PD and share gone bad (of matured loans) per risk band or decision, mildest first."""
    sql = f"""
        select {by}, count(*) as loans, count(*) / sum(count(*)) over () as share, avg(pd) as mean_pd,
            avg(is_bad::int) as bad_rate
        from {TABLE} left join {OUTCOMES} using (loan_id) group by {by} order by mean_pd
    """
    found: list[dict[str, Any]] = warehouse.query(sql).to_pylist()
    return found


def pd_counts(warehouse: Warehouse, width: float, bins: int) -> list[int]:
    """Loans per PD interval [k width, (k + 1) width); what lies above the last is in it."""
    sql = f"select cast(least(floor(pd / ?), ?) as integer) as bin, count(*) as loans from {TABLE} group by bin"
    found = {row["bin"]: row["loans"] for row in warehouse.query(sql, [width, bins - 1]).to_pylist()}
    return [found.get(k, 0) for k in range(bins)]


def _scored(warehouse: Warehouse, bundle: ModelBundle, policy: Policy, batch_rows: int) -> Iterator[pa.RecordBatch]:
    inputs = ", ".join(feature.name for feature in bundle.features)
    with warehouse.stream(f"select loan_id, {inputs} from {FEATURES}", [], batch_rows) as features:
        for batch in features:
            yield from _score(bundle, policy, pa.Table.from_batches([batch])).to_batches()


def _score(bundle: ModelBundle, policy: Policy, features: pa.Table) -> pa.Table:
    bundle.check_features(features)
    frame = FeatureTable.from_arrow(features, bundle.features)
    pd = predict(bundle, frame)
    columns = {
        "loan_id": features.column("loan_id").cast(pa.string()),
        "pd": pa.array(pd),
        "points": pa.array(points(pd)),
        "risk_band": policy.bands.of(pd),
        "decision": policy.decide(frame, pd).decision,
        "bundle_sha": pa.repeat(bundle.sha256, frame.rows),
        "policy_version": pa.repeat(policy.policy_version, frame.rows),
    }
    return pa.table([columns[field.name] for field in SCHEMA], schema=SCHEMA).combine_chunks()
