"""Bookings into the warehouse: rows, rejects, receipt and cursor of one delivery in one transaction.

So a run that is killed at any moment leaves either all of a delivery or nothing of it, and the next one goes on where
the rows end. That is why these rows are tables of the warehouse and no files: a file and a cursor share no commit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pyarrow as pa

from credit_risk_platform.adapters.fintech.judge import Judged, judge
from credit_risk_platform.adapters.fintech.source import Connection, Delivery, FintechSource, OvertakenError
from credit_risk_platform.adapters.fintech.tables import (
    CURSORS,
    CURSORS_SCHEMA,
    DELIVERIES,
    DELIVERIES_SCHEMA,
    REJECTS,
    REJECTS_SCHEMA,
    ROWS_SCHEMA,
)
from credit_risk_platform.adapters.http_source import Effort
from credit_risk_platform.adapters.tokens import TokenKey
from credit_risk_platform.adapters.warehouse.base import Select, Transaction, Warehouse


@dataclass(frozen=True)
class Receipt:
    """What came of one delivery. `rows_landed` is what the warehouse says it wrote."""

    connection: str
    """First 12 digits of the connection's token: tells it from others, and who it is to nobody."""
    delivery: str
    rows_in: int
    rows_landed: int
    rows_rejected: int
    rows_repeated: int
    rows_removed: int
    pages: int
    effort: Effort
    cursor_sha: str | None
    batch: str
    new_fields: tuple[str, ...]
    days: Mapping[date, int]
    """Day whose rows changed -> rows it has now, of all connections."""


class BankTransactions:
    """The bookings of one source in `table`. One delivery at a time per connection: the later of two is refused."""

    def __init__(self, warehouse: Warehouse, source: FintechSource, table: str, key: TokenKey) -> None:
        self.warehouse, self.source, self.table, self._key = warehouse, source, table, key

    def token(self, connection: Connection) -> str:
        """What names a connection to us."""
        return self._key.token(f"connection:{self.source.name}:{connection.name}")

    def prepare(self) -> None:
        """Make the tables that are not there yet, so that no landing has to within its transaction."""
        kept = {CURSORS: CURSORS_SCHEMA, REJECTS: REJECTS_SCHEMA, DELIVERIES: DELIVERIES_SCHEMA}
        for table, schema in {self.table: ROWS_SCHEMA, **kept}.items():
            if not self.warehouse.exists(table):
                self.warehouse.replace(table, schema.empty_table(), "1 = 0")

    def land_days(self, connection: Connection, first: date, last: date, *, run_id: str, now: datetime) -> Receipt:
        """Replace the connection's bookings of those days. Raises `SourceError`; then nothing was written."""
        return self._land(
            connection, lambda _: self.source.between(connection, first, last), f"{first}..{last}", run_id, now
        )

    def land_changes(self, connection: Connection, *, run_id: str, now: datetime) -> Receipt:
        """Bring the connection up to date from its cursor on. Raises `SourceError`; then nothing was written."""
        return self._land(
            connection, lambda cursor: self.source.since(connection, cursor, now.date()), None, run_id, now
        )

    # ---------------------------------------------------------------- inside

    def _land(
        self,
        connection: Connection,
        fetch: Callable[[str | None], Delivery],
        name: str | None,
        run_id: str,
        now: datetime,
    ) -> Receipt:
        token = self.token(connection)
        before = _state(self.warehouse.query(_STATE, [self.source.name, token]))
        delivery = fetch(before[1])
        judged = judge(self.source.name, self.source.shape, connection, delivery, self._key, now.date())
        name = name or f"from {_short(before[1]) or 'the beginning'}"
        staged = {
            "incoming_bookings": judged.landed.cast(ROWS_SCHEMA),
            "touched_bookings": judged.touched,
            "incoming_rejects": _named(judged.rejects, name).cast(REJECTS_SCHEMA),
        }
        whose = [self.source.name, token]
        with self.warehouse.transaction(staged) as transaction:
            found = _state(transaction.query(_STATE, whose))
            if found != before:
                raise OvertakenError(
                    f"another run wrote {self.source.name}'s bookings of connection {token[:12]} while this one "
                    "fetched them; nothing was written now. Next step: run it again."
                )
            days = _days(transaction, self.table, whose, delivery)
            where, bound = _replaced(delivery)
            landed = transaction.replace(
                self.table, Select("select * from incoming_bookings"), f"{_WHOSE} and ({where})", [*whose, *bound]
            )
            transaction.replace(
                REJECTS, Select("select * from incoming_rejects"), f"{_WHOSE} and ({where} or delivery = ?)",
                [*whose, *bound, name],
            )  # fmt: skip
            cursor = before[1] if delivery.cursor is None else delivery.cursor
            state = pa.Table.from_pylist([_cursor_row(whose, before[0] + 1, cursor, run_id, now)], CURSORS_SCHEMA)
            transaction.replace(CURSORS, state, _WHOSE, whose)
            receipt = _receipt(token, name, judged, delivery, cursor, landed, _counts(transaction, self.table, days))
            log = pa.Table.from_pylist([_log_row(whose, receipt, delivery, run_id, now)], DELIVERIES_SCHEMA)
            transaction.replace(DELIVERIES, log, f"{_WHOSE} and delivery = ? and run_id = ?", [*whose, name, run_id])
        return receipt


_WHOSE = "source_system = ? and connection_token = ?"
_STATE = f'select version, "cursor" from {CURSORS} where {_WHOSE}'


def _state(found: pa.Table) -> tuple[int, str | None]:
    """(version, cursor) of a connection; (0, None) before its first landing."""
    return (found["version"][0].as_py(), found["cursor"][0].as_py()) if found.num_rows else (0, None)


def _replaced(delivery: Delivery) -> tuple[str, list[Any]]:
    """Which of the connection's rows a delivery stands for, with its parameters."""
    touched = "transaction_id in (select transaction_id from touched_bookings)"
    if delivery.days is None:
        return touched, []
    # A booking whose day has moved into these days is replaced wherever it stood.
    return f"booked_on between ? and ? or {touched}", list(delivery.days)


def _days(transaction: Transaction, table: str, whose: list[str], delivery: Delivery) -> list[date]:
    """The days whose rows the delivery changes; asked before anything is replaced."""
    where, bound = _replaced(delivery)
    rows = transaction.query(
        f"select booked_on from {table} where {_WHOSE} and ({where}) union select booked_on from incoming_bookings",
        [*whose, *bound],
    )
    return sorted(rows["booked_on"].to_pylist())


def _counts(transaction: Transaction, table: str, days: list[date]) -> dict[date, int]:
    if not days:
        return {}
    rows = transaction.query(
        f"select booked_on, count(*) as n from {table} where booked_on between ? and ? group by booked_on",
        [days[0], days[-1]],
    )
    found = dict(zip(rows["booked_on"].to_pylist(), rows["n"].to_pylist(), strict=True))
    return {day: found.get(day, 0) for day in days}


def _named(rejects: pa.Table, delivery: str) -> pa.Table:
    return rejects.append_column("delivery", pa.repeat(pa.scalar(delivery), rejects.num_rows))


def _cursor_row(whose: list[str], version: int, cursor: str | None, run_id: str, now: datetime) -> dict[str, Any]:
    return {
        "source_system": whose[0],
        "connection_token": whose[1],
        "version": version,
        "cursor": cursor,
        "run_id": run_id,
        "taken_at": now,
    }


def _receipt(
    token: str,
    name: str,
    judged: Judged,
    delivery: Delivery,
    cursor: str | None,
    landed: int,
    days: Mapping[date, int],
) -> Receipt:
    return Receipt(
        connection=token[:12],
        delivery=name,
        rows_in=judged.rows_in,
        rows_landed=landed,
        rows_rejected=judged.rejected,
        rows_repeated=judged.repeated,
        rows_removed=judged.removed,
        pages=len(delivery.pages),
        effort=delivery.effort,
        cursor_sha=_short(cursor),
        batch=judged.batch,
        new_fields=judged.new_fields,
        days=days,
    )


def _log_row(whose: list[str], receipt: Receipt, delivery: Delivery, run_id: str, now: datetime) -> dict[str, Any]:
    shared = (
        "rows_in",
        "rows_landed",
        "rows_rejected",
        "rows_repeated",
        "rows_removed",
        "pages",
        "cursor_sha",
        "batch",
    )
    first, last = delivery.days or (None, None)
    return {
        **{name: getattr(receipt, name) for name in shared},
        **vars(receipt.effort),
        "source_system": whose[0],
        "connection_token": whose[1],
        "delivery": receipt.delivery,
        "first_day": first,
        "last_day": last,
        "run_id": run_id,
        "landed_at": now,
    }


def _short(cursor: str | None) -> str | None:
    """Tells one cursor from another; the cursor itself is long and nobody's business."""
    return hashlib.sha256(cursor.encode()).hexdigest()[:12] if cursor is not None else None
