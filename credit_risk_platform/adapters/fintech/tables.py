"""The tables beside the bookings: where each login stands, what was refused, and what came of each delivery."""

from __future__ import annotations

import pyarrow as pa

from credit_risk_platform.domain.contracts.bank_transactions import BANK_TRANSACTION_COLUMNS

CURSORS = "bronze.bank_transaction_cursors"
DELIVERIES = "bronze.bank_transaction_deliveries"
REJECTS = "bronze.bank_transaction_rejects"

_ARROW = {
    "VARCHAR": pa.string(), "DATE": pa.date32(), "TIMESTAMP": pa.timestamp("us"), "BOOLEAN": pa.bool_(),
    "DECIMAL(18,2)": pa.decimal128(18, 2),
}  # fmt: skip
ROWS_SCHEMA = pa.schema([(column.name, _ARROW[column.type]) for column in BANK_TRANSACTION_COLUMNS])
CURSORS_SCHEMA = pa.schema(
    [
        ("source_system", pa.string()),
        ("connection_token", pa.string()),
        ("version", pa.int64()),
        ("cursor", pa.string()),
        ("run_id", pa.string()),
        ("taken_at", pa.timestamp("us")),
    ]
)
"""One row per connection. `version` counts what was written of it, by polls and by backfills."""
REJECTS_SCHEMA = pa.schema(
    [
        ("source_system", pa.string()),
        ("connection_token", pa.string()),
        ("_batch", pa.string()),
        ("page", pa.int32()),
        ("row", pa.int64()),
        ("transaction_id", pa.string()),
        ("booked_on", pa.date32()),
        ("column", pa.string()),
        ("value", pa.string()),
        ("reason", pa.string()),
        ("next_step", pa.string()),
        ("delivery", pa.string()),
    ]
)
DELIVERIES_SCHEMA = pa.schema(
    [
        ("source_system", pa.string()),
        ("connection_token", pa.string()),
        ("delivery", pa.string()),
        ("first_day", pa.date32()),
        ("last_day", pa.date32()),
        ("rows_in", pa.int64()),
        ("rows_landed", pa.int64()),
        ("rows_rejected", pa.int64()),
        ("rows_repeated", pa.int64()),
        ("rows_removed", pa.int64()),
        ("pages", pa.int32()),
        ("requests", pa.int32()),
        ("retries", pa.int32()),
        ("waited_seconds", pa.float64()),
        ("cursor_sha", pa.string()),
        ("batch", pa.string()),
        ("run_id", pa.string()),
        ("landed_at", pa.timestamp("us")),
    ]
)
"""A log: one row per delivery and run. `delivery` says which days, or from which cursor on."""
