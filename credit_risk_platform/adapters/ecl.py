"""The book of a day as the engine reads it, and its allowance as the lake keeps it, batch by batch.

A loan's state is that of the panel's latest month end on or before the day, as it was known then. A loan that was
issued since then, or whose source publishes no payments, is taken as the source published it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from credit_risk_platform.adapters.portfolio import NothingToScoreError
from credit_risk_platform.adapters.provisioning_models import ProvisioningStore
from credit_risk_platform.adapters.scenario_file import ScenarioStore
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.provisioning import staging
from credit_risk_platform.domain.provisioning.ecl import Allowance, Basis, Framework, Loans, measure
from credit_risk_platform.domain.provisioning.hazard import HazardModel
from credit_risk_platform.domain.provisioning.lgd import LgdModel

LOAN_ECL, ECL_STAGE = "gold.loan_ecl", "gold.ecl_stage"
LOANS, PANEL, SCORES = "gold.portfolio_loans", "silver.int_loan_month_panel", "gold.origination_scores"
BATCH_ROWS = 50_000
"""Loans measured at a time: 65 months each in a few arrays make some 250 MB."""
CENTS, DIGITS = 2, 10
"""Money is rounded per loan, so that sums agree to the cent in any order; other figures so that they repeat."""

PRICED = ("pd", "pd_then")
"""PD at origination by the model of today, and by the one that the month before was booked with."""
_CARRIED = ("loan_id", "issue_month", "purpose", "risk_band", "status", "balance", "days_past_due")

SCHEMA = pa.schema(
    [
        ("as_of", pa.date32()),
        ("loan_id", pa.string()),
        ("stage", pa.int32()),
        ("stage_reason", pa.string()),
        ("issue_month", pa.date32()),
        ("purpose", pa.string()),
        ("risk_band", pa.string()),
        ("status", pa.string()),
        ("balance", pa.decimal128(18, 2)),
        ("days_past_due", pa.int32()),
        *(
            (name, pa.float64())
            for name in (
                "pd_origination", "pd_12m", "pd_lifetime", "pd_lifetime_at_origination", "lgd", "ead", "ecl_12m",
                "ecl_lifetime", "ecl", "ecl_cecl", "eir",
            )
        ),
        *((name, pa.string()) for name in ("bundle_sha", "hazard_sha", "lgd_sha", "scenario_sha")),
    ]
)  # fmt: skip
"""Rows of `LOAN_ECL`."""


@dataclass(frozen=True)
class Book:
    """The book on a day: `month_end` is what its states are of (None without a panel), `bundle` who priced it.

    `booked` is the earlier day whose rows tell the PDs of then.
    """

    day: date
    month_end: date | None
    bundle: str
    booked: date

    @property
    def state_day(self) -> date:
        return self.month_end or self.day


def month_before(day: date) -> date:
    """The last day of the month before `day`: what an allowance is compared with."""
    return day.replace(day=1) - timedelta(days=1)


def book_on(warehouse: Warehouse, day: date, booked: date) -> Book:
    """Raises `NothingToScoreError` naming the table that is not there, or holds nothing yet."""
    for table in (LOANS, PANEL, SCORES):
        if not warehouse.exists(table):
            raise NothingToScoreError(f"{table} is not there yet: materialise {table.replace('.', '/')} first")
    bundle = warehouse.query(f"select max(bundle_sha) as sha from {SCORES}")["sha"][0].as_py()
    if bundle is None:
        raise NothingToScoreError(f"{SCORES} is empty: materialise gold/origination_scores first")
    month_end = warehouse.query(f"select max(month_end) as m from {PANEL} where month_end <= ?", [day])["m"][0].as_py()
    return Book(day, month_end, bundle, booked)


def basis(store: ProvisioningStore, scenarios: ScenarioStore, shas: tuple[str, str, str]) -> Basis:
    """Models and scenarios by their names (hazard, LGD, scenarios). Raises what the stores raise."""
    hazard, lgd = store.load(shas[0]), store.load(shas[1])
    assert isinstance(hazard, HazardModel)
    assert isinstance(lgd, LgdModel)
    return Basis(hazard, lgd, scenarios.load(shas[2]))


def states(warehouse: Warehouse, book: Book, batch_rows: int = BATCH_ROWS) -> Iterator[pa.Table]:
    """Open loans on the day, at most `batch_rows` at a time, by loan id."""
    with_booked = _BOOKED if warehouse.exists(LOAN_ECL) else _NOTHING_BOOKED
    sql = _STATES.format(booked=with_booked)
    with warehouse.stream(
        sql, [book.month_end, book.booked, book.day, book.state_day, book.month_end], batch_rows
    ) as batches:
        for batch in batches:
            if batch.num_rows:
                yield pa.Table.from_batches([batch])


def loans_of(state: pa.Table, priced: str = "pd") -> Loans:
    """Rows of `states` as the engine reads them; `priced` is one of `PRICED`."""

    def numbers(name: str, kind: type = float) -> np.ndarray:
        return state[name].to_numpy().astype(kind)

    return Loans(
        balance=numbers("balance"),
        annual_rate=numbers("annual_rate"),
        term_months=numbers("term_months", int),
        months_on_book=numbers("months_on_book", int),
        days_past_due=state["days_past_due"].fill_null(-1).to_numpy().astype(int),
        in_default=state["in_default"].to_numpy().astype(bool),
        months_in_default=numbers("months_in_default"),
        pd_origination=numbers(priced),
        purpose=np.asarray(state["purpose"].fill_null("unknown").to_pylist(), dtype=str),
    )


def rows_of(state: pa.Table, found: Allowance, book: Book, shas: Sequence[str]) -> dict[str, pa.Array]:
    """Column name -> array of `SCHEMA`, from the states and their allowance; `shas` of hazard, LGD and scenarios."""
    count = state.num_rows
    names = dict(zip(("bundle_sha", "hazard_sha", "lgd_sha", "scenario_sha"), (book.bundle, *shas), strict=True))
    # Rounded once, so that what stands in `ecl` is one of the two beside it.
    money = {name: np.round(getattr(found, name), CENTS) for name in ("ead", "ecl_12m", "ecl_lifetime", "ecl_cecl")}
    money["ecl"] = ecl_of(found)
    rates = {
        name: np.round(getattr(found, name), DIGITS)
        for name in ("pd_12m", "pd_lifetime", "pd_lifetime_at_origination", "lgd", "eir")
    }
    made: Mapping[str, pa.Array] = {
        **{name: state[name].combine_chunks() for name in _CARRIED},
        "pd_origination": state["pd"].combine_chunks(),
        "as_of": pa.repeat(pa.scalar(book.day, pa.date32()), count),
        "stage": pa.array(found.stage, pa.int32()),
        "stage_reason": pa.array(np.asarray(staging.WORDS)[found.reason]),
        **{name: pa.array(values, from_pandas=True) for name, values in {**money, **rates}.items()},  # NaN is null
        **{name: pa.repeat(sha, count) for name, sha in names.items()},
    }
    return {field.name: made[field.name].cast(field.type) for field in SCHEMA}


def ecl_of(found: Allowance) -> np.ndarray:
    """IFRS 9 allowance (n,) in money, to the cent."""
    return np.round(found.of(Framework.IFRS9), CENTS)


def measured(warehouse: Warehouse, book: Book, with_basis: Basis, priced: str = "pd") -> Iterator[pa.RecordBatch]:
    """`VARIANT_SCHEMA` rows of every open loan: what it would be provided with on another basis."""
    for state in states(warehouse, book):
        found = measure(loans_of(state, priced), with_basis, book.day, with_cecl=False)
        yield variant(state["loan_id"], found)


VARIANT_SCHEMA = pa.schema([("loan_id", pa.string()), ("stage", pa.int32()), ("ecl", pa.float64())])


def variant(loan_id: pa.ChunkedArray, found: Allowance) -> pa.RecordBatch:
    stage, loss = pa.array(found.stage, pa.int32()), pa.array(ecl_of(found))
    return pa.RecordBatch.from_arrays([loan_id.combine_chunks(), stage, loss], schema=VARIANT_SCHEMA)


# -------------------------------------------------------------------- inside

_BOOKED = f"select loan_id, pd_origination, bundle_sha from {LOAN_ECL} where as_of = ?"
_NOTHING_BOOKED = """
    select null::varchar as loan_id, null::double as pd_origination, null::varchar as bundle_sha
    where ?::date is null  -- never: the day is told
"""
# Without a panel, and before the source's last day, what is owed is what the contract's schedule leaves: the published
# principal is that of the last day. A loan without a score is priced at the mean; a loan without a rate pays none.
_STATES = f"""
    with panel as (
        select loan_id, status, balance, days_past_due from {PANEL} where month_end = ?
    ),
    booked as ({{booked}}),
    asked as (
        select ?::date as day, ?::date as state_day, ?::date as month_end, (select avg(pd) from {SCORES}) as mean_pd
    ),
    loans as (
        select
            l.loan_id, l.issue_month, l.purpose, l.risk_band, l.status, l.loan_amount, l.term_months, l.default_date,
            day, state_day, coalesce(l.interest_rate, 0) as annual_rate,
            greatest(datediff('month', l.issue_month, case when p.loan_id is null then day else state_day end), 0)
                as months_on_book,
            case when p.loan_id is not null then p.balance when l.as_of <= day then l.balance end as known_balance,
            case
                when p.loan_id is not null then p.days_past_due
                when state_day = month_end then 0  -- nothing was due yet: who owes an instalment is in the panel
                when l.as_of <= day then l.days_past_due_at_least
            end as days_past_due,
            coalesce(s.pd, mean_pd) as pd,
            coalesce(case when b.bundle_sha <> s.bundle_sha then b.pd_origination end, s.pd, mean_pd) as pd_then
        from {LOANS} as l
        cross join asked
        left join panel as p on l.loan_id = p.loan_id
        left join {SCORES} as s on l.loan_id = s.loan_id
        left join booked as b on l.loan_id = b.loan_id
        where l.decision_date <= day
            and case
                when p.loan_id is not null then p.status not in ('Closed', 'Charged Off')
                else coalesce(l.left_date > day, true)
            end
    ),
    owed as (
        select *,
            least(months_on_book, term_months) as paid, power(1 + annual_rate / 12, term_months) as whole,
            coalesce(default_date <= state_day, false) as in_default
        from loans
    )
    select
        loan_id, issue_month, purpose, risk_band, status, term_months, annual_rate, months_on_book, days_past_due,
        in_default, pd, pd_then,
        coalesce(
            known_balance,
            loan_amount * case
                when annual_rate > 0 then (whole - power(1 + annual_rate / 12, paid)) / (whole - 1)
                else (term_months - paid) / term_months::double
            end
        )::decimal(18, 2) as balance,
        greatest(
            case
                when days_past_due >= 90 then (days_past_due - 90) / 30.0
                when in_default then datediff('month', default_date, state_day)
                else 0
            end, 0
        ) as months_in_default
    from owed
    where coalesce(known_balance, 1) > 0 and (known_balance is not null or paid < term_months)
    order by loan_id
"""
