"""What the pages of the provisions show, and what their checks compare: small queries over the booked tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa

from credit_risk_platform.adapters.ecl import ECL_STAGE, LOAN_ECL
from credit_risk_platform.adapters.ecl_waterfall import MOVEMENTS, WATERFALL
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.provisioning.waterfall import BARS, CLOSING, OPENING

CENT = 0.01


@dataclass(frozen=True)
class Sums:
    """A figure worked out in two ways."""

    one: float
    other: float

    @property
    def agree(self) -> bool:
        return abs(self.one - self.other) <= CENT + 1e-9  # amounts are cents; the rest is binary noise


def by_stage(warehouse: Warehouse, day: date) -> pa.Table:
    """stage, loans, ead, ecl, coverage, ecl_cecl of a day; a row of all stages (null) last."""
    return warehouse.query(
        f"""
        select stage, count(*) as loans, sum(ead) as ead, sum(ecl) as ecl, sum(ecl) / nullif(sum(ead), 0) as coverage,
            sum(ecl_cecl) as ecl_cecl, avg(pd_12m) as mean_pd_12m, avg(pd_lifetime) as mean_pd_lifetime,
            avg(lgd) as mean_lgd
        from {LOAN_ECL} where as_of = ? group by grouping sets ((stage), ()) order by stage nulls last
        """,
        [day],
    )


def reasons(warehouse: Warehouse, day: date) -> pa.Table:
    """stage, stage_reason, loans, ecl of a day."""
    return warehouse.query(
        f"""
        select stage, stage_reason as reason, count(*) as loans, sum(ecl) as ecl from {LOAN_ECL} where as_of = ?
        group by stage, stage_reason order by stage desc, loans desc
        """,
        [day],
    )


def waterfall(warehouse: Warehouse, day: date) -> list[dict[str, Any]]:
    """Step and amount of a day, in order."""
    sql = f"select step_no, step, amount from {WATERFALL} where as_of = ? order by step_no"
    return warehouse.query(sql, [day]).to_pylist()


def movers(warehouse: Warehouse, day: date, bar: str, at_most: int = 5) -> pa.Table:
    """The loans that a bar is made of, those that moved most first."""
    column = bar.replace(" ", "_").lower()
    if bar not in BARS:
        raise ValueError(f"no bar {bar!r}; the bars are {', '.join(BARS)}")
    return warehouse.query(
        f"""
        select '{bar}' as bar, loan_id, stage_before, stage_after, {column} as amount from {MOVEMENTS}
        where as_of = ? and {column} <> 0 order by abs({column}) desc, loan_id limit ?
        """,
        [day, at_most],
    )


def bars_sum(rows: Sequence[dict[str, Any]]) -> Sums:
    """Opening and bars against closing."""
    of = {row["step"]: row["amount"] for row in rows}
    return Sums(of[OPENING] + sum(of[bar] for bar in BARS), of[CLOSING])


def total(warehouse: Warehouse, day: date) -> float:
    """IFRS 9 allowance of the loans of a day."""
    found = warehouse.query(f"select coalesce(sum(ecl), 0) as ecl from {LOAN_ECL} where as_of = ?", [day])
    return float(found["ecl"][0].as_py())


def stage_total(warehouse: Warehouse, day: date) -> float:
    """The same by the stage table."""
    found = warehouse.query(f"select coalesce(sum(ecl), 0)::double as ecl from {ECL_STAGE} where as_of = ?", [day])
    return float(found["ecl"][0].as_py())


def below_stage_1(warehouse: Warehouse, day: date) -> tuple[int, list[str]]:
    """Stage 1 loans whose CECL allowance is below that of IFRS 9, which covers less: how many, and a few ids."""
    sql = f"""
        select count(*) as n, coalesce((list(loan_id order by loan_id))[:5], []) as ids
        from {LOAN_ECL} where as_of = ? and stage = 1 and ecl_cecl < ecl
    """
    row = warehouse.query(sql, [day]).to_pylist()[0]
    return int(row["n"]), row["ids"]
