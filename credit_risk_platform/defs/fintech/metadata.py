"""What the UI shows of a fetch: counts, effort, where it stands, a look at the rejects. Never a person or a key."""

from __future__ import annotations

from typing import Any

import dagster as dg

from credit_risk_platform.adapters import markdown
from credit_risk_platform.adapters.fintech.tables import REJECTS
from credit_risk_platform.defs.fintech.checks import Landed
from credit_risk_platform.domain.contracts.bank_transactions import BANK_TRANSACTION_COLUMNS, BANK_TRANSACTION_KEY

REJECTS_SHOWN = 10


def of_day(rows: int) -> dict[str, Any]:
    return {"dagster/partition_row_count": rows}


def of_run(landed: Landed) -> dict[str, Any]:
    """Totals of the run, and one line per delivery."""
    effort = [receipt.effort for receipt in landed.receipts]
    return {
        "rows_in": landed.total("rows_in"),
        "rows_landed": landed.total("rows_landed"),
        "rows_rejected": landed.total("rows_rejected"),
        "rows_repeated": landed.total("rows_repeated"),
        "rows_removed": landed.total("rows_removed"),
        "pages": landed.total("pages"),
        "requests": sum(one.requests for one in effort),
        "retries": sum(one.retries for one in effort),
        "waited_seconds": round(sum(one.waited_seconds for one in effort), 3),
        "cursor": ", ".join(sorted({receipt.cursor_sha for receipt in landed.receipts if receipt.cursor_sha}))
        or "none",
        "deliveries": dg.MetadataValue.md(markdown.records(_deliveries(landed))),
        "reject_sample": dg.MetadataValue.md(markdown.records(_rejects(landed))),
        "new_fields": ", ".join(sorted({name for receipt in landed.receipts for name in receipt.new_fields})) or "none",
        "dagster/table_name": landed.table,
        "dagster/column_schema": _schema(),
    }


def _deliveries(landed: Landed) -> list[dict[str, Any]]:
    return [
        {
            "connection": receipt.connection,
            "delivery": receipt.delivery,
            "rows in": receipt.rows_in,
            "landed": receipt.rows_landed,
            "rejected": receipt.rows_rejected,
            "removed": receipt.rows_removed,
            "pages": receipt.pages,
            "requests": receipt.effort.requests,
            "retries": receipt.effort.retries,
            "cursor": receipt.cursor_sha,
        }
        for receipt in landed.receipts
    ]


def _rejects(landed: Landed) -> list[dict[str, Any]]:
    batches = sorted({receipt.batch for receipt in landed.receipts})
    if not batches:
        return []
    marks = ", ".join("?" for _ in batches)
    return landed.warehouse.query(
        f'select delivery, page, "row", "column", value, reason, next_step from {REJECTS} where _batch in ({marks}) '
        f'order by delivery, "row", "column" limit {REJECTS_SHOWN}',
        batches,
    ).to_pylist()


def _schema() -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                column.type,
                description=column.description,
                constraints=dg.TableColumnConstraints(
                    nullable=column.nullable, unique=column.name == BANK_TRANSACTION_KEY[-1]
                ),
            )
            for column in BANK_TRANSACTION_COLUMNS
        ]
    )
