"""The months in which loans were at risk, built by the warehouse: what the hazard model learns from.

Landmarking (van Houwelingen 2007): a loan is looked at when it is issued and, where its payments are known, again at
one month end in each third of its term, picked by a hash and not by what became of it; from each look it is followed to
default, repayment or the last complete month that the book knows of. A loan that still runs is censored, not good.
Looks of one loan overlap, so the months are not independent: fine for a forecast, not for textbook standard errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from credit_risk_platform.adapters.origination_scores import TABLE as SCORES
from credit_risk_platform.adapters.portfolio import OUTCOMES, NothingToScoreError
from credit_risk_platform.adapters.warehouse.base import Select, Warehouse, Workspace
from credit_risk_platform.domain.provisioning.person_months import (
    CURRENT,
    DEFAULTED,
    RECOGNITION_LAG_MONTHS,
    PersonMonths,
)

PANEL = "silver.int_loan_month_panel"
MACRO = "silver.int_macro_published"
LOOKS = 3
"""Looks at a loan after its issue, one in each part of its term."""
MONTHS_READ = 150_000
"""Months without a default that are read of loans up to date or unknown, and as many of loans in arrears."""
_MILLION = 1_000_000


@dataclass(frozen=True)
class AtRisk:
    """What was read. `months` is a weighted sample of `months_at_risk`, with every default of the loans in it.

    Where no rate of unemployment was public yet, the mean of the others stands (`macro_missing`).
    `by_age`: term_months, age, at_risk, defaults and closings of the loans from their issue, not sampled any further.
    `bundles`: the champions that gave the PDs at application, one if all is well.
    """

    months: PersonMonths
    months_at_risk: int
    loans: int
    loans_without_score: int
    has_panel: bool
    macro_missing: bool
    by_age: pa.Table
    bundles: tuple[str, ...]


def read(warehouse: Warehouse, rows: int, months: int = MONTHS_READ) -> AtRisk:
    """Of at most about `rows` loans, the months that end in default and about twice `months` others.

    Raises `NothingToScoreError` naming the table that is not there yet.
    """
    for table in (SCORES, OUTCOMES, PANEL, MACRO):
        if not warehouse.exists(table):
            asset = table.replace(".", "/")
            raise NothingToScoreError(f"{table} is not there yet: materialise {asset} first")
    with _looked_at(warehouse, rows) as workspace:
        total: dict[str, Any] = workspace.query(_COUNTS).to_pylist()[0]
        shares = [min(1.0, months / max(total[name], 1)) for name in ("on_time", "late")]
        table = workspace.query(_MONTHS, [share * _MILLION for share in shares])
        return AtRisk(
            months=_person_months(table, *shares),
            months_at_risk=total["on_time"] + total["late"],
            loans=total["loans"],
            loans_without_score=total["unscored"],
            has_panel=total["looks"] > 0,
            macro_missing=table["unemployment"].null_count > 0,
            by_age=workspace.query(_BY_AGE),
            bundles=tuple(total["bundles"] or ()),
        )


def matured(warehouse: Warehouse, rows: int) -> pa.Table:
    """term_months, pd and is_bad of about `rows` loans of matured vintages: what lifetime PDs must come to."""
    sql = f"""
        with ended as (
            select loan_id, cast(term_months as integer) as term_months, pd, is_bad::int as is_bad,
                count(*) over () as n
            from {OUTCOMES} join {SCORES} using (loan_id) where matured
        )
        select term_months, pd, is_bad from ended where hash(loan_id) % {_MILLION} < ? * {_MILLION} / n order by loan_id
    """
    return warehouse.query(sql, [float(rows)])


@contextmanager
def _looked_at(warehouse: Warehouse, rows: int) -> Iterator[Workspace]:
    """A workspace with `lives` (one row per sampled loan), `looks` (several per loan) and `economy` (per month)."""
    with warehouse.workspace() as workspace:
        known = int(workspace.query(f"select count(*) as n from {SCORES}")["n"][0].as_py())
        sampled = min(1.0, rows / max(known, 1)) * _MILLION
        workspace.stage("lives", Select(_LIVES, [RECOGNITION_LAG_MONTHS, sampled]))
        workspace.stage("looks", Select(_LOOKS))
        workspace.stage("economy", Select(_ECONOMY))
        yield workspace


def _person_months(table: pa.Table, on_time: float, late: float) -> PersonMonths:
    event, arrears = table["event"].to_numpy(), table["arrears"].to_numpy()
    unemployment = table["unemployment"].to_numpy().astype(float)
    known = unemployment[np.isfinite(unemployment)]
    return PersonMonths(
        age=table["age"].to_numpy(),
        term=table["term_months"].to_numpy(),
        pd=table["pd"].to_numpy(),
        arrears=arrears,
        ahead=table["ahead"].to_numpy(),
        unemployment=np.where(np.isfinite(unemployment), unemployment, known.mean() if len(known) else 0.0),
        vintage=table["vintage"].to_numpy(),
        event=event,
        weight=np.where(event == DEFAULTED, 1.0, np.where(arrears > CURRENT, 1.0 / late, 1.0 / on_time)),
    )


# A default ends a life whatever the closing date says: a charge-off closes the loan, too. Months count from the month
# of issue, and the last one at risk is the last complete month that the source knows.
_LIVES = f"""
    with aged as (
        select o.loan_id, o.issue_month, o.term_months, s.pd,
            greatest(least(datediff('month', o.issue_month, o.default_date), o.term_months + ?), 1) as default_age,
            case when o.closed_date is not null
                then greatest(datediff('month', o.issue_month, o.closed_date), 1) end as closed_age,
            datediff('month', o.issue_month, cast(o.observed_through + interval 1 day as date)) - 1 as seen_age,
            o.default_date is not null as defaulted
        from {OUTCOMES} as o join {SCORES} as s on s.loan_id = o.loan_id
        where hash(o.loan_id) % {_MILLION} < ?
    )
    select loan_id, issue_month, cast(term_months as integer) as term_months, pd,
        datediff('month', date '1970-01-01', issue_month) as vintage,
        case when defaulted and default_age <= seen_age then 1
            when not defaulted and closed_age <= seen_age then 2 else 0 end as ends,
        cast(least(seen_age, case when defaulted then default_age else coalesce(closed_age, seen_age) end,
            term_months + {RECOGNITION_LAG_MONTHS}) as integer) as last_age
    from aged where seen_age >= 1
"""
_LOOKS = f"""
    with wanted as (
        select loan_id, third, cast(floor(
            (third + (hash(loan_id, third) % 1000) / 1000.0) * term_months / {LOOKS}
        ) as integer) + 1 as look_age
        from lives cross join range({LOOKS}) as thirds (third)
    )
    select loan_id, 0 as look_age, cast(-1 as tinyint) as arrears from lives
    union all
    select w.loan_id, w.look_age,
        cast(case when p.days_past_due = 0 then 0 when p.days_past_due < 30 then 1
            when p.days_past_due < 60 then 2 else 3 end as tinyint)
    from wanted as w
    join lives as l on l.loan_id = w.loan_id and w.look_age < l.last_age
    join {PANEL} as p on p.loan_id = w.loan_id and p.month_end = last_day(
        cast(l.issue_month + to_months(w.look_age) as date))
    where p.days_past_due < 90 and p.status in ('Current', 'In Arrears')
"""
_ECONOMY = f"""
    with months as (
        select cast(first_day + to_months(cast(k as integer)) as date) as month, k + vintage as month_number
        from (select min(issue_month) as first_day, min(vintage) as vintage, max(vintage + last_age) as last_month
            from lives) as span, unnest(range(last_month - vintage + 1)) as steps (k)
    )
    select month_number, 100 * unemployment_rate_pub as unemployment
    from months asof left join {MACRO} as m on months.month >= m.valid_from
"""
_COUNTS = f"""
    select (select count(*) from lives) as loans, (select list(distinct bundle_sha) from {SCORES}) as bundles,
        coalesce(sum(last_age - look_age) filter (arrears <= 0), 0)::bigint as on_time,
        coalesce(sum(last_age - look_age) filter (arrears > 0), 0)::bigint as late,
        coalesce(sum((look_age > 0)::int), 0)::bigint as looks,
        (select count(*) from {OUTCOMES} anti join {SCORES} using (loan_id)) as unscored
    from looks join lives using (loan_id)
"""
_MONTHS = f"""
    with months as (
        select loan_id, term_months, pd, arrears, vintage, look_age,
            unnest(range(look_age + 1, last_age + 1)) as age, last_age, ends
        from looks join lives using (loan_id)
    )
    select cast(age as integer) as age, term_months, pd, arrears, cast(age - look_age as integer) as ahead, vintage,
        unemployment, cast(case when age = last_age then ends else 0 end as tinyint) as event
    from months left join economy on month_number = vintage + age
    where (age = last_age and ends = 1)
        or hash(loan_id, look_age, age) % {_MILLION} < case when arrears <= 0 then ? else ? end
    order by loan_id, look_age, age
"""
_BY_AGE = """
    with months as (
        select term_months, unnest(range(1, last_age + 1)) as age, last_age, ends from lives
    )
    select term_months, cast(age as integer) as age, count(*) as at_risk,
        sum((age = last_age and ends = 1)::int)::bigint as defaults,
        sum((age = last_age and ends = 2)::int)::bigint as closings
    from months group by term_months, age order by term_months, age
"""
