"""What must hold of the bookings that a run landed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import dagster as dg

from credit_risk_platform.adapters.fintech.landing import Receipt
from credit_risk_platform.adapters.warehouse.base import Warehouse

TOO_MANY_REJECTS = 0.05
SCALE = 50.0
"""Rupees taken for paise, or cents for dollars, are a hundred times off."""
ENOUGH = 20
"""Bookings needed on both sides before their typical amounts are compared."""
QUIET_DAYS = 7
WARN = dg.AssetCheckSeverity.WARN

DESCRIPTIONS = {
    "rows_reconcile": "Records that came in = rows landed + rejected + restated within the delivery.",
    "no_booking_twice": "No booking stands in the table twice.",
    "amount_scale": "Amounts are of the same order as those landed before (paise are not taken for rupees).",
    "reject_rate": "At most 5 % of the records went to quarantine.",
    "connections_readable": "Every login could be read.",
    "newest_booking": f"The newest booking is at most {QUIET_DAYS} days old.",
}
BLOCKING = frozenset({"rows_reconcile", "no_booking_twice"})


@dataclass(frozen=True)
class Landed:
    """What a run did with one table."""

    key: dg.AssetKey
    table: str
    receipts: Sequence[Receipt]
    lost: Mapping[str, str]
    """Connection (first digits of its token) -> why it cannot be read."""
    warehouse: Warehouse
    today: date

    def total(self, name: str) -> int:
        return sum(getattr(receipt, name) for receipt in self.receipts)


def specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    return [
        dg.AssetCheckSpec(name, asset=key, description=text, blocking=name in BLOCKING)
        for name, text in DESCRIPTIONS.items()
    ]


def results(landed: Landed) -> list[dg.AssetCheckResult]:
    checks = (_reconcile, _twice, _scale, _rejects, _readable, _newest)
    return [check(landed) for check in checks]


def _reconcile(landed: Landed) -> dg.AssetCheckResult:
    counts = {name: landed.total(name) for name in ("rows_in", "rows_landed", "rows_rejected", "rows_repeated")}
    passed = counts["rows_in"] == counts["rows_landed"] + counts["rows_rejected"] + counts["rows_repeated"]
    step = "Compare bronze.bank_transaction_deliveries of this run with the table; report it as a defect."
    return _result(landed, "rows_reconcile", passed, {**counts, "rows_removed": landed.total("rows_removed")}, step)


def _twice(landed: Landed) -> dg.AssetCheckResult:
    twice = f"select transaction_id from {landed.table} group by transaction_id having count(*) > 1"
    found = landed.warehouse.query(f"select count(*) as n from ({twice})")["n"][0].as_py()
    step = "See which connections have it: one account may have been linked through two logins; remove one of them."
    return _result(landed, "no_booking_twice", found == 0, {"bookings_twice": found}, step)


def _scale(landed: Landed) -> dg.AssetCheckResult:
    batches = sorted({receipt.batch for receipt in landed.receipts})
    marks = ", ".join("?" for _ in batches) or "null"
    rows = landed.warehouse.query(
        f"""
        select currency, median(case when _batch in ({marks}) then abs(amount) end) as now,
            median(case when _batch in ({marks}) then null else abs(amount) end) as before
        from {landed.table}
        group by currency
        having count(case when _batch in ({marks}) then 1 end) >= {ENOUGH}
            and count(case when _batch in ({marks}) then null else 1 end) >= {ENOUGH}
        """,
        batches * 4,
    ).to_pylist()
    off = [row for row in rows if row["before"] and not 1 / SCALE < float(row["now"]) / float(row["before"]) < SCALE]
    shown = {row["currency"]: f"{float(row['now']):g} now, {float(row['before']):g} before" for row in rows}
    step = "Compare some amounts with the provider's own pages: has it changed the unit it sends?"
    return _result(landed, "amount_scale", not off, {"typical_amounts": shown}, step, WARN)


def _rejects(landed: Landed) -> dg.AssetCheckResult:
    rows, rejected = landed.total("rows_in"), landed.total("rows_rejected")
    rate = rejected / rows if rows else 0.0
    step = "Read bronze.bank_transaction_rejects: each has its column, reason and what to do."
    return _result(landed, "reject_rate", rate <= TOO_MANY_REJECTS, {"rejected": rejected, "rate": rate}, step, WARN)


def _readable(landed: Landed) -> dg.AssetCheckResult:
    step = "; ".join(f"{connection}: {why}" for connection, why in landed.lost.items())
    return _result(landed, "connections_readable", not landed.lost, {"unreadable": len(landed.lost)}, step, WARN)


def _newest(landed: Landed) -> dg.AssetCheckResult:
    newest = landed.warehouse.query(f"select max(booked_on) as day from {landed.table}")["day"][0].as_py()
    passed = newest is not None and newest >= landed.today - timedelta(days=QUIET_DAYS)
    step = "Ask the provider whether the accounts still send; after a backfill of old days alone, poll once."
    return _result(landed, "newest_booking", passed, {"newest": str(newest or "none")}, step, WARN)


def _result(
    landed: Landed,
    name: str,
    passed: bool,
    metadata: Mapping[str, Any],
    next_step: str,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=landed.key,
        check_name=name,
        passed=passed,
        severity=severity,
        metadata={**metadata, **({} if passed else {"next_step": next_step})},
    )
