"""Have the reasons of refusals moved? Counts of the last days against the weeks before, per reason."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from credit_risk_platform.adapters.decisions import TABLE
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.drift import FLOOR, Bins, Drift

PERIOD_DAYS = 7
REFERENCE_DAYS = 28


@dataclass(frozen=True)
class ReasonDrift:
    """PSI over the reasons, and each reason's shares then and now with its part of the PSI, the largest first."""

    drift: Drift
    shares: pa.Table

    @property
    def moved_most(self) -> str:
        return str(self.shares["reason"][0].as_py()) if self.shares.num_rows else ""


def reason_drift(warehouse: Warehouse) -> ReasonDrift:
    """The latest seven days on which something was refused, against the 28 days before them."""
    rows = warehouse.query(_COUNTS)
    then, now = (np.asarray(rows[name].to_numpy(), dtype=np.float64) for name in ("then", "now"))
    codes = tuple(rows["reason"].to_pylist())
    drift = Bins("reasons", tuple(int(n) for n in then), levels=codes).compare(now)
    shares = [n / max(n.sum(), 1.0) for n in (then, now)]
    before, after = (np.maximum(share, FLOOR) for share in shares)
    table = pa.table(
        {
            "reason": pa.array(codes, pa.string()),
            "share_before": shares[0],
            "share_now": shares[1],
            "part_of_psi": (after - before) * np.log(after / before),
        }
    )
    return ReasonDrift(drift, table.sort_by([("part_of_psi", "descending"), ("reason", "ascending")]))


def reasons_by_model(warehouse: Warehouse) -> list[dict[str, object]]:
    """Every reason in use per bundle and policy version, with one score that gives it."""
    sql = f"""
        select bundle_sha, policy_version, reason, min(score_id) as score_id
        from (select bundle_sha, policy_version, score_id, unnest(reasons) as reason from {TABLE})
        group by all order by all
    """
    return list(warehouse.query(sql).to_pylist())


_COUNTS = f"""
    with told as (select as_of, unnest(reasons) as reason from {TABLE}),
    period as (select max(as_of) - {PERIOD_DAYS - 1} as first from told)
    select reason, count(*) filter (as_of < first) as "then", count(*) filter (as_of >= first) as now
    from told, period
    where as_of >= first - {REFERENCE_DAYS}
    group by reason order by reason
"""
