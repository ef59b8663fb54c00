"""Booking a day: loans, stages and the waterfall from the month before, computed side by side and written as one.

The month before is computed once more with the data known now and the models of then (named in its booked rows), so
what a source has restated shows as a bar of its own. A month that was never booked is computed afresh, and said to be.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from credit_risk_platform.adapters import ecl
from credit_risk_platform.adapters.ecl import ECL_STAGE, LOAN_ECL, SCHEMA, Book
from credit_risk_platform.adapters.provisioning_models import ProvisioningStore
from credit_risk_platform.adapters.scenario_file import ScenarioStore
from credit_risk_platform.adapters.warehouse.base import Batches, Select, Staged, Transaction, Warehouse
from credit_risk_platform.domain.provisioning.ecl import Basis, measure
from credit_risk_platform.domain.provisioning.waterfall import BARS, STEPS, Measured, movements, steps

WATERFALL, MOVEMENTS = "gold.ecl_waterfall", "gold.ecl_movements"
_EXTRA = (("stage_then_basis", pa.int32()), ("ecl_then_basis", pa.float64()), ("ecl_pd", pa.float64()),
          ("ecl_lgd", pa.float64()))  # fmt: skip
"""Beside a loan's own row: its stage and ECL on the basis of then, and with today's PD models, then LGD model."""
_NOW_SCHEMA = pa.schema([*SCHEMA, *_EXTRA])
DAY = "as_of = ?"


@dataclass(frozen=True)
class Then:
    """The month before: its day, whether it was booked, and the names of what it was booked with."""

    day: date
    booked: bool
    shas: tuple[str, str, str]
    bundle: str


@dataclass(frozen=True)
class Booked:
    """What was written: number of loans, the day their states are of, step -> money, and what it was compared with."""

    loans: int
    state_day: date
    steps: dict[str, float]
    then: Then


def book_day(
    warehouse: Warehouse, store: ProvisioningStore, scenarios: ScenarioStore, day: date, shas: tuple[str, str, str]
) -> Booked:
    """Compute and write `day` on the basis named by `shas` (hazard, LGD, scenarios), in one transaction.

    Booking a day twice equals booking it once. Raises `NothingToScoreError` (an upstream table), `NoModelError` and
    `ScenarioFileError` (a model or scenarios of then are gone).
    """
    then = _then(warehouse, ecl.month_before(day), day, shas)
    book, before = (ecl.book_on(warehouse, one, then.day) for one in (day, then.day))
    basis, basis_then = ecl.basis(store, scenarios, shas), ecl.basis(store, scenarios, then.shas)
    repriced = then.bundle != book.bundle
    staged: dict[str, Staged] = {
        "ecl_now": _staged(_NOW_SCHEMA, _now(warehouse, book, basis, basis_then, shas, repriced)),
        "ecl_before": _staged(ecl.VARIANT_SCHEMA, ecl.measured(warehouse, before, basis_then, "pd_then")),
    }
    with warehouse.transaction(staged) as transaction:
        columns = ", ".join(SCHEMA.names)
        loans = transaction.replace(LOAN_ECL, Select(f"select {columns} from ecl_now"), DAY, [day])
        transaction.replace(ECL_STAGE, Select(_STAGE), DAY, [day])
        found = _write_waterfall(transaction, day, then)
    return Booked(loans, book.state_day, found, then)


def _then(warehouse: Warehouse, day: date, of: date, shas: tuple[str, str, str]) -> Then:
    bundle = ecl.book_on(warehouse, of, day).bundle
    if not warehouse.exists(LOAN_ECL):
        return Then(day, False, shas, bundle)
    names = warehouse.query(
        f"select distinct hazard_sha, lgd_sha, scenario_sha, bundle_sha from {LOAN_ECL} where {DAY}", [day]
    ).to_pylist()
    if not names:
        return Then(day, False, shas, bundle)
    (one,) = names
    return Then(day, True, (one["hazard_sha"], one["lgd_sha"], one["scenario_sha"]), one["bundle_sha"])


def _now(
    warehouse: Warehouse, book: Book, basis: Basis, basis_then: Basis, shas: tuple[str, str, str], repriced: bool
) -> Iterator[pa.RecordBatch]:
    """`_NOW_SCHEMA` rows: each loan on today's basis, and with one cause after the other as it was then.

    What did not change is not computed again.
    """
    with_pd = Basis(basis.hazard, basis_then.lgd, basis_then.scenarios)
    with_lgd = Basis(basis.hazard, basis.lgd, basis_then.scenarios)
    for state in ecl.states(warehouse, book):
        today = ecl.loans_of(state)
        closing = measure(today, basis, book.day)
        lgd = closing if _same(basis, with_lgd) else measure(today, with_lgd, book.day, with_cecl=False)
        pd = lgd if _same(with_lgd, with_pd) else measure(today, with_pd, book.day, with_cecl=False)
        then = pd
        if repriced or not _same(with_pd, basis_then):
            then = measure(ecl.loans_of(state, "pd_then"), basis_then, book.day, with_cecl=False)
        extra = {
            "stage_then_basis": pa.array(then.stage, pa.int32()),
            "ecl_then_basis": pa.array(ecl.ecl_of(then)),
            "ecl_pd": pa.array(ecl.ecl_of(pd)),
            "ecl_lgd": pa.array(ecl.ecl_of(lgd)),
        }
        columns = {**ecl.rows_of(state, closing, book, shas), **extra}
        yield pa.RecordBatch.from_arrays([columns[field.name] for field in _NOW_SCHEMA], schema=_NOW_SCHEMA)


def _same(one: Basis, other: Basis) -> bool:
    return (one.hazard.sha256, one.lgd.sha256, one.scenarios.sha256) == (
        other.hazard.sha256, other.lgd.sha256, other.scenarios.sha256,
    )  # fmt: skip


def _staged(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Batches:
    return Batches(pa.RecordBatchReader.from_batches(schema, batches))


def _write_waterfall(transaction: Transaction, day: date, then: Then) -> dict[str, float]:
    """The bars, and loan by loan what each of them is made of (only loans that moved)."""
    booked = f"{LOAN_ECL} where {DAY}" if then.booked else "ecl_before"
    aligned = transaction.query(_ALIGNED.format(booked=booked), [then.day] if then.booked else [])
    of = _measured(aligned)
    moved = movements(of)
    found = steps(of, moved)
    loans = pa.table(
        {
            "as_of": pa.repeat(pa.scalar(day, pa.date32()), aligned.num_rows),
            "compared_with": pa.repeat(pa.scalar(then.day, pa.date32()), aligned.num_rows),
            **{name: aligned[name] for name in ("loan_id", "stage_before", "stage_after", "ecl_before", "ecl_after")},
            **{bar.replace(" ", "_").lower(): np.round(moved[bar], ecl.CENTS) for bar in BARS},
        }
    )
    some = np.any([np.abs(moved[bar]) > 0 for bar in BARS], axis=0)
    transaction.replace(MOVEMENTS, loans.filter(pa.array(some)), DAY, [day])
    rows = pa.table(
        {
            "as_of": pa.array([day] * len(STEPS), pa.date32()),
            "compared_with": pa.array([then.day] * len(STEPS), pa.date32()),
            "step_no": pa.array(range(1, len(STEPS) + 1), pa.int32()),
            "step": list(STEPS),
            "amount": [round(found[step], ecl.CENTS) for step in STEPS],
            "opening_basis": ["as booked" if then.booked else "computed afresh: not booked then"] * len(STEPS),
        }
    )
    transaction.replace(WATERFALL, rows, DAY, [day])
    return found


def _measured(aligned: pa.Table) -> Measured:
    def money(name: str) -> np.ndarray:
        return np.asarray(aligned[name].to_numpy(), dtype=float)

    def stage(name: str) -> np.ndarray:
        return aligned[name].fill_null(0).to_numpy().astype(int)

    return Measured(
        booked=money("booked"),
        then=money("ecl_before"),
        stage_then=stage("stage_before"),
        now=money("ecl_then_basis"),
        stage_now=stage("stage_then_basis"),
        pd=money("ecl_pd"),
        lgd=money("ecl_lgd"),
        closing=money("ecl_after"),
    )


_STAGE = """
    select
        as_of, stage, risk_band, purpose, issue_month, status, count(*) as loans,
        sum(ead)::decimal(18, 2) as ead, sum(ecl)::decimal(18, 2) as ecl, sum(ecl_cecl)::decimal(18, 2) as ecl_cecl,
        sum(ecl) / nullif(sum(ead), 0) as coverage
    from ecl_now
    group by as_of, stage, risk_band, purpose, issue_month, status
"""
_ALIGNED = """
    select
        coalesce(n.loan_id, b.loan_id, k.loan_id) as loan_id, k.ecl as booked, b.stage as stage_before,
        b.ecl as ecl_before, n.stage as stage_after, n.stage_then_basis, n.ecl_then_basis, n.ecl_pd, n.ecl_lgd,
        n.ecl as ecl_after
    from ecl_now as n
    full join ecl_before as b on n.loan_id = b.loan_id
    full join (select loan_id, ecl from {booked}) as k on coalesce(n.loan_id, b.loan_id) = k.loan_id
    order by 1
"""
