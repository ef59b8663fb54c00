"""Tables that dbt reads and other rooms write: what they hold, and that they are there, if only empty.

The risk marts are built after scoring. On a fresh lake, or one where nobody has scored or decided yet, their sources
would be missing and dbt would stop; an empty table of the right types says the same thing and lets the marts be built.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from credit_risk_platform.adapters import bank_history, decisions, origination_scores
from credit_risk_platform.adapters.ledger import SCORE_COLUMNS, SCORES
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.contracts.messages import APPLICATIONS
from credit_risk_platform.domain.scoring import SCORE_SCHEMA

_SCORE_ID = pa.field("score_id", pa.string())

TABLES: Mapping[str, pa.Schema] = {
    SCORES: pa.schema([_SCORE_ID if name == "score_id" else SCORE_SCHEMA.field(name) for name in SCORE_COLUMNS]),
    origination_scores.TABLE: origination_scores.SCHEMA,
    decisions.TABLE: decisions.SCHEMA,
}
"""dbt's source `platform`: relation -> columns, as their writers make them."""

RECEIVED = "gold.applications_received"
_RECEIVED = {
    "loan_id": "loan_id",
    "channel": "case topic when 'http' then 'api' else 'stream' end",
    "received_at": "event_time",
    "loan_amount": "loan_amnt",
    "purpose": "purpose",
}
_NOTHING_RECEIVED = """
    select null::varchar as loan_id, null::varchar as channel, null::timestamp as received_at,
        null::decimal(18, 2) as loan_amount, null::varchar as purpose
    where false
"""
"""The raw table itself must not be made before its time: others take its presence for a stream that has begun."""


def columns() -> dict[str, list[str]]:
    """Relation -> its column names, for column lineage."""
    return {table: list(schema.names) for table, schema in TABLES.items()} | {RECEIVED: list(_RECEIVED)}


def ensure(warehouse: Warehouse) -> list[str]:
    """Create those of `TABLES` that are absent, empty; returns their names. Never touches one that is there.

    Also shows what applications came in (`RECEIVED`) and what bank accounts tell, from the tables that are there.
    """
    _show_received(warehouse)
    bank_history.ensure(warehouse)
    absent = [table for table in TABLES if not warehouse.exists(table)]
    for table in absent:
        if table == decisions.TABLE:
            decisions.prepare(warehouse)  # the referral queue is a view over it
        else:
            with warehouse.transaction() as transaction:
                transaction.append(table, TABLES[table].empty_table())
    return absent


def _show_received(warehouse: Warehouse) -> None:
    raw, asked = APPLICATIONS.raw_table, {"topic", "event_time", "loan_id", "loan_amnt", "purpose"}
    begun = warehouse.exists(raw) and asked <= set(warehouse.columns(raw))
    listed = ", ".join(f"{expression} as {name}" for name, expression in _RECEIVED.items())
    sql = f"select {listed} from {raw}" if begun else _NOTHING_RECEIVED
    shown = warehouse.query(_SHOWN, RECEIVED.split("."))["view_definition"].to_pylist()
    if not shown or (begun and raw.split(".")[1] not in shown[0].lower()):
        warehouse.create_view(RECEIVED, sql)


_SHOWN = "select view_definition from information_schema.views where lower(table_schema) = ? and lower(table_name) = ?"
