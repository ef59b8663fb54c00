"""What the transition matrix of a year ago foretold, and what became of the same loans since: read and laid out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain import roll_rates
from credit_risk_platform.domain.intervals import wilson
from credit_risk_platform.domain.roll_rates import IN_DEFAULT, OPEN, PERFORMING

TRANSITIONS, PANEL, TABLE = "gold.loan_transitions", "silver.int_loan_month_panel", "gold.roll_forecast"
HORIZON_MONTHS = 12
WINDOW_MONTHS = 12
"""Moves of a year are pooled into one matrix: one month alone has few arrears and a season."""
SCHEMA = pa.schema(
    [
        ("from_state", pa.string()), ("known_on", pa.date32()), ("realised_on", pa.date32()),
        ("loans", pa.int64()), ("defaulted_loans", pa.int64()),
        ("forecast", pa.float64()), ("realised", pa.float64()), ("low", pa.float64()), ("high", pa.float64()),
        ("next_loans", pa.int64()), ("next_forecast", pa.float64()),
    ]
)  # fmt: skip


@dataclass(frozen=True)
class Forecast:
    """Rows of the table, and the moves of the year up to `known_on` that the forecast rests on, (6, 8) loans."""

    rows: pa.Table
    moves: np.ndarray

    @property
    def known_on(self) -> date | None:
        return self.rows["known_on"][0].as_py() if self.rows.num_rows else None


def forecast(warehouse: Warehouse) -> Forecast:
    """The backtest of twelve months ago and the forecast of the next twelve; no rows for a book without a panel."""
    latest = warehouse.query(f"select max(month_end) as latest from {TRANSITIONS}")["latest"][0].as_py()
    if latest is None:
        return Forecast(SCHEMA.empty_table(), np.zeros((len(OPEN), len(roll_rates.REACHED))))
    known_on = warehouse.query(_MONTHS_BEFORE, [latest, HORIZON_MONTHS])["month_end"][0].as_py()
    then, now = _moves(warehouse, known_on), _moves(warehouse, latest)
    loans, defaulted = _since(warehouse, known_on, latest)
    realised = _ratio(defaulted, loans)
    low, high = wilson(realised, np.maximum(loans, 1))
    columns = {
        "from_state": PERFORMING,
        "known_on": [known_on] * len(PERFORMING),
        "realised_on": [latest] * len(PERFORMING),
        "loans": loans,
        "defaulted_loans": defaulted,
        "forecast": _known(roll_rates.default_within(then, HORIZON_MONTHS)),
        "realised": _known(realised),
        "low": _known(low),
        "high": _known(high),
        "next_loans": _since(warehouse, latest, latest)[0],
        "next_forecast": _known(roll_rates.default_within(now, HORIZON_MONTHS)),
    }
    return Forecast(pa.table({name: pa.array(columns[name], SCHEMA.field(name).type) for name in SCHEMA.names}), then)


def book_rate(rows: pa.Table, rate: str, loans: str) -> float | None:
    """Mean of `rate` over the book, weighted by `loans`; a state without a rate is left out."""
    known = [(one[rate], one[loans]) for one in rows.to_pylist() if one[rate] is not None]
    total = sum(count for _, count in known)
    return sum(value * count for value, count in known) / total if total else None


def _moves(warehouse: Warehouse, until: date) -> np.ndarray:
    """Moves of the `WINDOW_MONTHS` up to `until`, pooled."""
    found = warehouse.query(_MOVES, [until, until, WINDOW_MONTHS])
    return roll_rates.counts_of(*(found[name].to_pylist() for name in ("from_state", "to_state", "loans")))


def _since(warehouse: Warehouse, start: date, end: date) -> tuple[np.ndarray, np.ndarray]:
    """Loans in each performing state at `start`, and how many of them were in default at any month end until `end`."""
    found = warehouse.query(_SINCE, [start, list(PERFORMING), list(IN_DEFAULT), start, end])
    by_state = {row["from_state"]: (row["loans"], row["defaulted"]) for row in found.to_pylist()}
    counts = np.array([by_state.get(state, (0, 0)) for state in PERFORMING], dtype=np.int64)
    return counts[:, 0], counts[:, 1]


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def _known(values: np.ndarray) -> Sequence[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


_MONTHS_BEFORE = "select last_day(cast(? as date) - to_months(cast(? as integer))) as month_end"
_MOVES = f"""
    select from_state, to_state, cast(sum(loans) as bigint) as loans from {TRANSITIONS}
    where month_end <= ? and month_end > last_day(cast(? as date) - to_months(cast(? as integer)))
    group by from_state, to_state order by from_state, to_state
"""
_SINCE = f"""
    with started as (
        select loan_id, dpd_bucket as from_state from {PANEL}
        where month_end = ? and status not in ('Charged Off', 'Closed') and list_contains(?, dpd_bucket)
    ),
    defaulted as (
        select distinct loan_id from {PANEL}
        where (list_contains(?, dpd_bucket) or status = 'Charged Off') and month_end > ? and month_end <= ?
    )
    select started.from_state, count(*) as loans, count(defaulted.loan_id) as defaulted
    from started left join defaulted on started.loan_id = defaulted.loan_id
    group by started.from_state
"""
