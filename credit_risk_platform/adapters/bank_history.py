"""`bronze.bank_transactions`: what is known of customers' bank accounts, as one view over the tables that are there.

Belongs here: which tables those are. A source that has never landed has no table, so the view is made anew when one
appears; before the first it is there and empty. RazorpayX tells of no customer and is left out.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from credit_risk_platform.adapters.warehouse.base import Readable, Warehouse
from credit_risk_platform.domain.contracts.bank_history import BANK_COLUMNS, BANK_TRANSACTIONS
from credit_risk_platform.domain.contracts.messages import TRANSACTIONS

_SOURCES: Mapping[str, Mapping[str, str]] = {
    TRANSACTIONS.raw_table: {
        "source_system": f"'{TRANSACTIONS.topic}'",
        "booked_on": "cast(event_time as date)",
        "booked_at": "event_time",
        "is_pending": "false",
    },
    "bronze.raw_plaid_transactions": {"is_pending": "pending"},
}
"""Table -> the columns that it has not under the view's own name."""


def ensure(warehouse: Warehouse) -> None:
    """Make the view, or make it anew where a table has come since. Costs one look into the catalogue otherwise."""
    present = [table for table in _SOURCES if warehouse.exists(table)]
    shown = warehouse.query(_SHOWN, BANK_TRANSACTIONS.split("."))["sql"].to_pylist()
    if not shown or any(table.split(".")[1] not in shown[0] for table in present):
        warehouse.create_view(BANK_TRANSACTIONS, " union all ".join(map(_select, present)) or _NOTHING)


def rows_of(warehouse: Readable, applications: pa.Table) -> pa.Table:
    """What is known of the customers of `applications`, for features that are made online."""
    known = "subject_token" in applications.column_names
    tokens = applications["subject_token"].unique().drop_null().to_pylist() if known else []
    if not tokens:
        return warehouse.query(f"select * from {BANK_TRANSACTIONS} where false")
    places = ", ".join("?" for _ in tokens)
    return warehouse.query(f"select * from {BANK_TRANSACTIONS} where subject_token in ({places})", tokens)


def _select(table: str) -> str:
    told = _SOURCES[table]
    columns = (f"cast({told.get(c.name, c.name)} as {c.type}) as {c.name}" for c in BANK_COLUMNS)
    return f"select {', '.join(columns)} from {table}"


_NOTHING = f"select {', '.join(f'cast(null as {c.type}) as {c.name}' for c in BANK_COLUMNS)} where false"
_SHOWN = """
    select lower(view_definition) as sql from information_schema.views
    where lower(table_schema) = ? and lower(table_name) = ?
"""
