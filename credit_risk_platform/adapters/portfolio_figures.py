"""The figures shown about a day's scores, and what is wrong with them where something is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from typing import Any

import pyarrow as pa

from credit_risk_platform.adapters.ledger import SCORES
from credit_risk_platform.adapters.portfolio import OUTCOMES
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.policy import SEVERITY
from credit_risk_platform.domain.scoring import Bands


def summary(warehouse: Warehouse, as_of: date) -> dict[str, Any]:
    """Mean and median PD, and how many scores are impossible (PD outside (0, 1), no band, points not finite)."""
    sql = f"""
        select avg(pd) as mean_pd, median(pd) as median_pd,
            count(*) filter (
                not coalesce(pd > 0 and pd < 1 and isfinite(points) and band is not null, false)
            ) as impossible,
            coalesce((list(score_id order by score_id))[:3], []) as examples
        from {SCORES} where as_of = ?
    """
    return dict(warehouse.query(sql, [as_of]).to_pylist()[0])


def band_mix(warehouse: Warehouse, as_of: date, bands: Bands) -> list[dict[str, Any]]:
    """Loans, share, mean PD and amount lent per band, in the order of the policy; empty bands stand with 0."""
    sql = f"""
        select band, count(*) as loans, avg(pd) as mean_pd, sum(loan_amount) as amount
        from {SCORES} left join {OUTCOMES} using (loan_id) where as_of = ? group by band
    """
    return _mix(warehouse.query(sql, [as_of]), "band", bands.names)


def decision_mix(warehouse: Warehouse, as_of: date) -> list[dict[str, Any]]:
    """Loans, share, mean PD and amount lent per decision, mildest first; what nobody got stands with 0."""
    sql = f"""
        select decision, count(*) as loans, avg(pd) as mean_pd, sum(loan_amount) as amount
        from {SCORES} left join {OUTCOMES} using (loan_id) where as_of = ? group by decision
    """
    return _mix(warehouse.query(sql, [as_of]), "decision", [str(decision) for decision in SEVERITY])


def told(warehouse: Warehouse, as_of: date, column: str) -> dict[str, int]:
    """Loans per code in `reasons` or `rules` of a day, the most frequent first."""
    sql = f"""
        select code, count(*) as loans
        from (select unnest({column}) as code from {SCORES} where as_of = ?)
        group by code order by loans desc, code
    """
    found = warehouse.query(sql, [as_of]).to_pylist()
    return {row["code"]: row["loans"] for row in found}


def unreasoned(warehouse: Warehouse, as_of: date, known: Sequence[str], fifth: str | None) -> dict[str, Any]:
    """Scores that refuse without good reasons, or give reasons without refusing; `examples` are a few score ids.

    Good are one to four reasons, `fifth` may stand behind them, none twice, each one of `known`.
    """
    unknown = f"reason not in ({', '.join('?' for _ in known)})" if known else "true"
    sql = f"""
        with strange as (
            select distinct score_id
            from (select score_id, unnest(reasons) as reason from {SCORES} where as_of = ? and decision <> 'approve')
            where {unknown}
        ),
        judged as (
            select score_id, decision, case
                when decision is null then 'undecided'
                when decision = 'approve' then case when reasons is not null then 'approved_with_reasons' end
                when not coalesce(array_length(reasons) between 1 and 4
                    or (array_length(reasons) = 5 and reasons[5] = ?), false) then 'wrong_number'
                when array_length(list_distinct(reasons)) < array_length(reasons) then 'wrong_number'
                when strange.score_id is not null then 'unknown_reason'
            end as fault
            from {SCORES} left join strange using (score_id) where as_of = ?
        )
        select count(*) filter (fault = 'undecided') as undecided,
            count(*) filter (fault = 'approved_with_reasons') as approved_with_reasons,
            count(*) filter (fault = 'wrong_number') as wrong_number,
            count(*) filter (fault = 'unknown_reason') as unknown_reason,
            coalesce((list(score_id order by score_id) filter (fault is not null))[:3], []) as examples
        from judged
    """
    return dict(warehouse.query(sql, [as_of, *known, fifth, as_of]).to_pylist()[0])


def pd_counts(warehouse: Warehouse, as_of: date, edges: Sequence[float]) -> list[int]:
    """Scores of a day per PD interval [edges[i], edges[i + 1])."""
    counted = ", ".join("count(*) filter (pd >= ? and pd < ?)" for _ in edges[1:])
    limits = [limit for pair in pairwise(edges) for limit in pair]
    row = warehouse.query(f"select {counted} from {SCORES} where as_of = ?", [*limits, as_of])
    return [int(column[0].as_py()) for column in row.columns]


def _mix(rows: pa.Table, by: str, names: Sequence[str]) -> list[dict[str, Any]]:
    found = {row[by]: row for row in rows.to_pylist()}
    total = sum(row["loans"] for row in found.values()) or 1
    return [
        {
            by: name,
            "loans": row.get("loans", 0),
            "share": row.get("loans", 0) / total,
            "mean_pd": row.get("mean_pd"),
            "amount": row.get("amount"),
        }
        for name in names
        for row in (found.get(name, {}),)
    ]
