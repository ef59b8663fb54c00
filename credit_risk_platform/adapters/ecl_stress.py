"""The allowance if one scenario were sure to come: the book of the latest booked day, staged and measured anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

import pyarrow as pa

from credit_risk_platform.adapters import ecl
from credit_risk_platform.adapters.ecl import LOAN_ECL, Book
from credit_risk_platform.adapters.portfolio import NothingToScoreError
from credit_risk_platform.adapters.warehouse.base import Batches, Select, Warehouse
from credit_risk_platform.domain.provisioning.ecl import Basis, measure

STRESS = "gold.stress_ecl"
_SCHEMA = pa.schema(
    [("stage", pa.int32()), ("purpose", pa.string()), ("risk_band", pa.string()), ("ead", pa.float64()),
     ("ecl", pa.float64()), ("pd_lifetime", pa.float64())]
)  # fmt: skip


def booked_day(warehouse: Warehouse) -> date:
    """The latest day that was booked; raises `NothingToScoreError` before the first."""
    day: date | None = None
    if warehouse.exists(LOAN_ECL):
        day = warehouse.query(f"select max(as_of) as day from {LOAN_ECL}")["day"][0].as_py()
    if day is None:
        raise NothingToScoreError(f"{LOAN_ECL} holds no day yet: materialise gold/loan_ecl first (job full_pipeline)")
    return day


def stress(warehouse: Warehouse, day: date, basis: Basis, name: str, scenario_sha: str) -> int:
    """Write the rows of scenario `name`, in place of any it had; how many. `basis` holds all scenarios."""
    book = ecl.book_on(warehouse, day, day)
    scenario = basis.scenarios.scenario(name)
    alone = Basis(basis.hazard, basis.lgd, basis.scenarios.alone(name))
    reader = pa.RecordBatchReader.from_batches(_SCHEMA, _rows(warehouse, book, alone))
    told = [name, day, scenario_sha, basis.hazard.sha256, basis.lgd.sha256, scenario.peak, scenario.derived]
    with warehouse.transaction({"stressed": Batches(reader)}) as transaction:
        return transaction.replace(STRESS, Select(_GROUPED, told), "scenario = ?", [name])


def totals(warehouse: Warehouse) -> list[dict[str, object]]:
    """One row per scenario, the mildest first."""
    sql = f"""
        select scenario, as_of, hazard_sha, lgd_sha, scenario_sha, max(unemployment_peak) as unemployment_peak,
            sum(loans)::bigint as loans, sum(ead)::double as ead, sum(ecl)::double as ecl,
            sum(ecl)::double / nullif(sum(ead)::double, 0) as coverage,
            (sum(loans) filter (stage = 2))::bigint as stage_2_loans
        from {STRESS} group by scenario, as_of, hazard_sha, lgd_sha, scenario_sha order by unemployment_peak, scenario
    """
    return warehouse.query(sql).to_pylist() if warehouse.exists(STRESS) else []


def comparable(rows: Sequence[Mapping[str, object]]) -> bool:
    """Whether all scenarios were run on the same day, with the same models and the same file."""
    return len({(row["as_of"], row["hazard_sha"], row["lgd_sha"], row["scenario_sha"]) for row in rows}) == 1


def _rows(warehouse: Warehouse, book: Book, basis: Basis) -> Iterator[pa.RecordBatch]:
    for state in ecl.states(warehouse, book):
        found = measure(ecl.loans_of(state), basis, book.day, with_cecl=False)
        yield pa.RecordBatch.from_arrays(
            [
                pa.array(found.stage, pa.int32()),
                state["purpose"].combine_chunks(),
                state["risk_band"].combine_chunks(),
                pa.array(found.ead.round(ecl.CENTS)),
                pa.array(ecl.ecl_of(found)),
                pa.array(found.pd_lifetime),
            ],
            schema=_SCHEMA,
        )


_GROUPED = """
    select
        ?::varchar as scenario, ?::date as as_of, stage, purpose, risk_band, count(*) as loans,
        sum(ead)::decimal(18, 2) as ead, sum(ecl)::decimal(18, 2) as ecl, avg(pd_lifetime) as mean_pd_lifetime,
        ?::varchar as scenario_sha, ?::varchar as hazard_sha, ?::varchar as lgd_sha, ?::double as unemployment_peak,
        ?::boolean as derived
    from stressed
    group by stage, purpose, risk_band
"""
