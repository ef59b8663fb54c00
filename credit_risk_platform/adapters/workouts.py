"""What became of defaulted loans: the closed workouts from which LGD is learnt, and how many are still open.

Books publish totals per loan. So what was owed at default is the amount lent less the principal received, and all
recoveries belong to the one default.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from credit_risk_platform.adapters.person_months import MACRO
from credit_risk_platform.adapters.portfolio import OUTCOMES, NothingToScoreError
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.provisioning.lgd import WORKOUT_MONTHS, LgdLoans
from credit_risk_platform.domain.provisioning.lgd_fit import Workouts


@dataclass(frozen=True)
class Defaulted:
    """Every defaulted loan of the book: closed workouts, and how many were left out and why."""

    closed: Workouts
    still_open: int
    unpublished: int

    @property
    def cured(self) -> int:
        return int(self.closed.cured.sum())


def read(warehouse: Warehouse, loans: str) -> Defaulted:
    """The workouts of `loans`, the staged loans of the book. Raises `NothingToScoreError` naming an absent table."""
    for table in (loans, OUTCOMES, MACRO):
        if not warehouse.exists(table):
            asset = table.replace(".", "/")
            raise NothingToScoreError(f"{table} is not there yet: materialise {asset} first")
    found = warehouse.query(_SQL.format(loans=loans), [WORKOUT_MONTHS])
    state = np.asarray(found["state"].to_pylist(), dtype=object)
    return Defaulted(
        closed=_workouts(found.filter(pa.array(state == "closed"))),
        still_open=int((state == "open").sum()),
        unpublished=int((state == "unpublished").sum()),
    )


def _workouts(rows: pa.Table) -> Workouts:
    def number(name: str) -> np.ndarray:
        return np.asarray(rows[name].to_numpy(), dtype=np.float64)

    return Workouts(
        loans=LgdLoans(number("term_months").astype(np.int64), np.array(rows["purpose"].to_pylist(), dtype=str)),
        principal=number("principal"),
        recovered=number("recovered"),
        annual_rate=number("annual_rate"),
        cured=rows["cured"].to_numpy().astype(bool),
        unemployment=number("unemployment"),
    )


# A default is closed when its workout time is over and the loan is charged off, repaid or current again. A loan that
# paid up after its default lost nothing, whatever is still owed under the contract.
_SQL = """
    with defaulted as (
        select o.loan_id, o.default_date, o.term_months, coalesce(l.purpose, 'unknown') as purpose,
            l.loan_status <> 'Charged Off' as cured,
            greatest(cast(o.loan_amount as double) - l.principal_received, 0) as principal,
            cast(l.recoveries as double) as recovered, l.interest_rate as annual_rate,
            case
                when cast(o.default_date + to_months(?) as date) > o.observed_through then 'open'
                when l.loan_status not in ('Charged Off', 'Fully Paid', 'Current') then 'open'
                when l.loan_status = 'Charged Off'
                    and (l.recoveries is null or l.principal_received is null or l.interest_rate is null)
                    then 'unpublished'
                else 'closed'
            end as state
        from gold.loan_outcomes as o join {loans} as l on l.loan_id = o.loan_id
        where o.default_date is not null
    )
    select term_months, purpose, cured, coalesce(principal, 0) as principal, coalesce(recovered, 0) as recovered,
        coalesce(annual_rate, 0) as annual_rate, state, 100 * m.unemployment_rate_pub as unemployment
    from defaulted asof left join silver.int_macro_published as m on defaulted.default_date >= m.valid_from
    order by loan_id
"""
