"""Fraud signals in SQL: over the applications as they came, beside the landed book. What counts is `domain/fraud.py`'s.

A signal is known by application and kind, is written once and stays. The applications of the last thirty days are
looked at every time, because the first members of a ring look honest until the others have applied.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from credit_risk_platform.adapters.warehouse.base import Select, Warehouse
from credit_risk_platform.domain.contracts.messages import APPLICATIONS
from credit_risk_platform.domain.fraud import (
    BY_SIGNAL,
    ENOUGH_PEERS,
    IDENTITY,
    KNOWN,
    MAD_TO_SD,
    RULES,
    VELOCITY_DAYS,
    WINDOW_DAYS,
    Signal,
)

TABLE = "gold.fraud_signals"
RAW = APPLICATIONS.raw_table
SCHEMA = pa.schema(
    [
        ("event_id", pa.string()),
        ("loan_id", pa.string()),
        ("subject_token", pa.string()),
        ("applied_at", pa.timestamp("us")),
        ("signal", pa.string()),
        ("value", pa.float64()),
        ("threshold", pa.float64()),
        ("seen_at", pa.timestamp("us")),
        ("run_id", pa.string()),
    ]
)
_SEEN = ("annual_inc", "loan_amnt", "purpose", "application_date", *IDENTITY)
FUTURE = timedelta(days=1)
"""An application from further ahead has a wrong clock: it must not push the window away from all others."""


def look(warehouse: Warehouse, book: str, now: datetime, run_id: str) -> int:
    """Add the signals that are new; returns how many. `book` is the bronze table of the landed portfolio.

    `now` is naive UTC. Without any application the table is made empty.
    """
    if not warehouse.exists(RAW):
        return warehouse.append_missing(TABLE, SCHEMA.empty_table(), ["event_id", "signal"])
    columns = ", ".join(dict.fromkeys(_SEEN))
    landed = f"select loan_id, subject_token, {columns} from {book}" if warehouse.exists(book) else _NO_BOOK
    staged = {
        "recent": Select(_RECENT.format(columns=columns), [now + FUTURE, now + FUTURE]),
        "landed": Select(f"select * from ({landed}) where loan_id not in (select loan_id from recent)"),
        "found": Select(" union all ".join((_VELOCITY, _DUPLICATES, _ANOMALIES))),
    }
    with warehouse.transaction(staged) as transaction:
        signals = Select(f"{_SIGNALS} from found join recent using (event_id)", [now, run_id])
        transaction.stage("signals", signals)
        return transaction.append_missing(TABLE, Select("select * from signals"), ["event_id", "signal"])


def counts(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Per kind of signal, silent ones too: applications that bear it, and the latest of them."""
    sql = f"select signal, count(*) as n, max(applied_at) as latest from {TABLE} group by signal"
    found = {row["signal"]: row for row in warehouse.query(sql).to_pylist()}
    return [
        {"signal": str(rule.signal), "applications": found.get(rule.signal, {}).get("n", 0),
         "latest": found.get(rule.signal, {}).get("latest"), "threshold": f"{rule.threshold:g} {rule.unit}",
         "what it means": rule.description}
        for rule in RULES
    ]  # fmt: skip


def newest(warehouse: Warehouse, at_most: int = 10) -> pa.Table:
    """The signals of the latest applications."""
    sql = f"""
        select loan_id, signal, value, threshold, applied_at from {TABLE}
        order by applied_at desc, loan_id, signal limit ?
    """
    return warehouse.query(sql, [at_most])


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(columns)


_NO_BOOK = f"select loan_id, subject_token, {_listed(list(dict.fromkeys(_SEEN)))} from recent limit 0"
_RECENT = f"""
    select event_id, event_time, loan_id, subject_token, {{columns}}
    from {RAW}
    where event_time <= ?::timestamp and event_time >= (
        select max(event_time) from {RAW} where event_time <= ?::timestamp
    ) - interval {WINDOW_DAYS} days
    qualify row_number() over (partition by event_id order by event_time) = 1
"""
_WEEK = f"partition by subject_token order by applied_at range between {{}} interval {VELOCITY_DAYS} days {{}}"
# How many by then, and then the largest such number of the week that follows: the first of three bears the signal too.
# An application is its loan: asked twice, it has applied once.
_VELOCITY = f"""
    select event_id, '{Signal.VELOCITY}' as signal, value
    from recent
    join (
        select loan_id, max(by_then) over (
                {_WEEK.format("current row and", "following")}
            )::double as value
        from (
            select *, count(*) over ({_WEEK.format("", "preceding and current row")}) as by_then
            from (
                select subject_token, loan_id, min(event_time) as applied_at from recent group by all
                union all
                select subject_token, loan_id, application_date::timestamp from landed
                where application_date >= (select min(event_time) - interval {VELOCITY_DAYS} days from recent)
            )
        )
        qualify value >= {BY_SIGNAL[Signal.VELOCITY].threshold}
    ) using (loan_id)
"""
_DUPLICATES = f"""
    select event_id, '{Signal.DUPLICATE_IDENTITY}' as signal,
        (count(distinct subject_token) over (partition by {_listed(IDENTITY)}))::double as value
    from (
        select event_id, subject_token, {_listed(IDENTITY)} from recent
        where {" and ".join(f"{name} is not null" for name in KNOWN)}
        union all
        select null, subject_token, {_listed(IDENTITY)} from landed
        where ({_listed(KNOWN)}) in (select ({_listed(KNOWN)}) from recent)
    )
    qualify event_id is not null and value >= {BY_SIGNAL[Signal.DUPLICATE_IDENTITY].threshold}
"""
_RATIO = "ln(loan_amnt::double / annual_inc) as ratio"
_ASKED = "loan_amnt > 0 and annual_inc > 0 and purpose is not null"
# Peers are the landed book, which nobody can shift in a day; without one, the applications themselves.
_ANOMALIES = f"""
    select event_id, '{Signal.AMOUNT_ANOMALY}' as signal,
        (ratio - middle) / ({MAD_TO_SD} * nullif(spread, 0)) as value
    from (select event_id, purpose, {_RATIO} from recent where {_ASKED})
    join (
        select purpose, any_value(middle) as middle, median(abs(ratio - middle)) as spread
        from (
            select purpose, ratio, median(ratio) over (partition by purpose) as middle
            from (
                select purpose, {_RATIO} from landed where {_ASKED}
                union all
                select purpose, {_RATIO} from recent
                where {_ASKED} and not exists (select 1 from landed)
            )
        )
        group by purpose having count(*) >= {ENOUGH_PEERS}
    ) using (purpose)
    where value >= {BY_SIGNAL[Signal.AMOUNT_ANOMALY].threshold}
"""
_THRESHOLD = " ".join(f"when '{rule.signal}' then {float(rule.threshold)!r}" for rule in RULES)
_SIGNALS = f"""
    select event_id, loan_id, subject_token, event_time as applied_at, signal, value,
        (case signal {_THRESHOLD} end)::double as threshold, ?::timestamp as seen_at, ? as run_id
"""
