"""One pull: what changed in a bank's table since the last one becomes bronze, batch by batch, with its cursor.

A batch, what was refused of it and the cursor behind it are one transaction, so a pull that is killed goes on behind
the last batch that landed. The order is (updated_at, key): rows of one time stamp are neither lost nor doubled.

Late rows: a transaction that began before the last pull and was committed after it leaves rows behind the cursor, so
each pull begins `OVERLAP` before the end of the last. Rows that are read again replace themselves.

Deletes: a row that is gone at the source is no change that could be read, so it stays in bronze until a pull of the
whole table (`reload`), which removes whatever it did not see. Systems that mark rows as closed need none.

A row that changed and is refused keeps its last sound state in bronze, until a `reload` removes it; the reject says so.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain

import pyarrow as pa

from credit_risk_platform.adapters.sources.sql_database import CLOCK_TOLERANCE, Position, SourceTable, opened
from credit_risk_platform.adapters.sources.sql_database_rows import REJECTS, Judge, Judged
from credit_risk_platform.adapters.sources.sql_database_url import Address
from credit_risk_platform.adapters.tokens import TokenKey
from credit_risk_platform.adapters.warehouse.base import Transaction, Warehouse
from credit_risk_platform.domain.contracts.bank_columns import PULL, BankTable

REJECTED, CURSORS = "bronze.bank_system_rejects", "bronze.bank_system_cursors"
BATCH_ROWS = 50_000
OVERLAP = timedelta(hours=1)
"""How long a transaction of the source may last without its rows being missed."""
_CURSOR_SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        (PULL.name, pa.string()),
        ("is_complete", pa.bool_()),
        ("is_whole_table", pa.bool_()),
        ("position_at", pa.timestamp("us")),
        ("position_key", pa.string()),
        ("resumed_at", pa.timestamp("us")),
        ("read_until", pa.timestamp("us")),
        ("token_key_id", pa.string()),
        ("run_id", pa.string()),
    ]
)


@dataclass(frozen=True)
class Cursor:
    """How far a source has been read."""

    pull: str
    """The run that began the pull."""
    whole: bool
    """Whether it reads the whole table."""
    token_key_id: str
    complete: bool = False
    position: Position | None = None
    resumed_at: datetime | None = None
    """Where the pull first went on after it had been killed: what was committed late before that is still unread."""
    read_until: datetime | None = None
    """Everything committed `OVERLAP` before it has been read."""


@dataclass
class PullReport:
    """What one run read; rows in = landed + rejected."""

    whole: bool
    resumed: bool
    since: datetime | None
    rows_in: int = 0
    landed: int = 0
    rejected: int = 0
    removed: int = 0
    """Rows of bronze that the source has no more; only a pull of the whole table knows."""
    by_reason: dict[str, int] = field(default_factory=dict)
    read_until: datetime | None = None

    def add(self, judged: Judged) -> None:
        self.rows_in += judged.rows_in
        self.landed += judged.sound.num_rows
        self.rejected += judged.rejected
        for reason, rows in judged.by_reason.items():
            self.by_reason[reason] = self.by_reason.get(reason, 0) + rows


def pull(
    source: Address,
    table: BankTable,
    warehouse: Warehouse,
    key: TokenKey,
    *,
    run_id: str,
    reload: bool = False,
    batch_rows: int = BATCH_ROWS,
    told: Callable[[PullReport], None] | None = None,
) -> PullReport:
    """Bring `table.landed_as` up to date; `told` hears of every batch once it has landed.

    Raises:
        SourceError: the source cannot be read (`sql_database`); batches that landed before stay.
        ReconciliationError: a batch does not add up; nothing of it was written.
    """
    before = read_cursor(warehouse, table, key)
    cursor, after, since = _begin(before, key, run_id, reload=reload)
    report = PullReport(cursor.whole, resumed=after is not None, since=since)
    with opened(source, table) as snapshot, Judge(table, key, cursor.pull, snapshot.now + CLOCK_TOLERANCE) as judge:
        for rows, is_dated in _batches(snapshot, since, after, batch_rows):
            judged = judge.judge(rows)
            if is_dated and judged.last is not None:
                cursor = replace(cursor, position=judged.last)
            _write(warehouse, table, key, cursor, judged, run_id)
            report.add(judged)
            if told is not None:
                told(report)
        nothing = judge.nothing()
    cursor = replace(cursor, complete=True, read_until=_read_until(cursor, snapshot.now), resumed_at=None)
    report.removed = _finish(warehouse, table, key, cursor, nothing.sound, run_id)
    report.read_until = cursor.read_until
    return report


def read_cursor(warehouse: Warehouse, table: BankTable, key: TokenKey) -> Cursor | None:
    """How far `table` has been read; None before the first batch of the first pull."""
    if not warehouse.exists(CURSORS):
        return None
    found = warehouse.query(f"select * from {CURSORS} where source = ?", [table.system]).to_pylist()
    if not found:
        return None
    row = found[0]
    same_key = row["token_key_id"] == key.id
    position = None
    if row["position_at"] is not None and same_key:
        position = Position(row["position_at"], _unsealed(row["position_key"], key))
    return Cursor(
        row[PULL.name], row["is_whole_table"], row["token_key_id"], row["is_complete"], position, row["resumed_at"],
        row["read_until"],
    )  # fmt: skip


# ---------------------------------------------------------------- inside


def _begin(
    before: Cursor | None, key: TokenKey, run_id: str, *, reload: bool
) -> tuple[Cursor, Position | None, datetime | None]:
    """The cursor to write with, and where to read on: behind a row, or from a moment; both None for the whole table."""
    if before is None or before.token_key_id != key.id or reload:
        # With another key every token is another: rows under the old ones are removed at the end.
        return Cursor(run_id, whole=True, token_key_id=key.id), None, None
    since = before.read_until - OVERLAP if before.read_until else None
    if before.complete:
        return replace(before, pull=run_id, whole=False, complete=False, position=None), None, since
    if before.position is None:
        return before, None, since
    return replace(before, resumed_at=before.resumed_at or before.position.at), before.position, since


def _batches(
    snapshot: SourceTable, since: datetime | None, after: Position | None, rows: int
) -> Iterator[tuple[pa.Table, bool]]:
    dated = ((batch, True) for batch in snapshot.dated(since, after, rows))
    return chain(dated, ((batch, False) for batch in snapshot.undated(rows)))


def _read_until(cursor: Cursor, now: datetime) -> datetime | None:
    """The next pull begins `OVERLAP` before this: never ahead of the source's clock, nor of where a kill fell."""
    reached = cursor.resumed_at or (cursor.position.at if cursor.position else cursor.read_until)
    return min(reached, now) if reached else None


def _write(warehouse: Warehouse, table: BankTable, key: TokenKey, cursor: Cursor, judged: Judged, run_id: str) -> None:
    with warehouse.transaction({"bank_row_keys": judged.keys}) as transaction:
        transaction.upsert(table.landed_as, judged.sound, [table.landed_key])
        again = "source = ? and row_key in (select row_key from bank_row_keys)"
        transaction.replace(REJECTED, judged.rejects, again, [table.system])
        _keep(transaction, table, key, cursor, run_id)


def _finish(
    warehouse: Warehouse, table: BankTable, key: TokenKey, cursor: Cursor, nothing: pa.Table, run_id: str
) -> int:
    """Close the pull; after one of the whole table, remove what it did not see. Returns how many rows that were."""
    removed = 0
    with warehouse.transaction() as transaction:
        transaction.upsert(table.landed_as, nothing, [table.landed_key])  # so that it is there, if only empty
        transaction.replace(REJECTED, REJECTS.empty_table(), "false")
        if cursor.whole:
            unseen = f"{PULL.name} <> ?"
            counted = f"select count(*) as n from {table.landed_as} where {unseen}"
            removed = int(transaction.query(counted, [cursor.pull])["n"][0].as_py())
            if removed:
                transaction.replace(table.landed_as, nothing, unseen, [cursor.pull])
            transaction.replace(
                REJECTED, REJECTS.empty_table(), f"source = ? and {unseen}", [table.system, cursor.pull]
            )
        _keep(transaction, table, key, cursor, run_id)
    return removed


def _keep(transaction: Transaction, table: BankTable, key: TokenKey, cursor: Cursor, run_id: str) -> None:
    position = cursor.position
    row = {
        "source": table.system,
        PULL.name: cursor.pull,
        "is_complete": cursor.complete,
        "is_whole_table": cursor.whole,
        "position_at": position.at if position else None,
        "position_key": _sealed(position.key, key) if position else None,
        "resumed_at": cursor.resumed_at,
        "read_until": cursor.read_until,
        "token_key_id": cursor.token_key_id,
        "run_id": run_id,
    }
    transaction.upsert(CURSORS, pa.Table.from_pylist([row], _CURSOR_SCHEMA), ["source"])


def _sealed(text: str, key: TokenKey) -> str:
    """The key of a row may be a customer's number: it is kept so that only the holder of the token key reads it."""
    from cryptography.fernet import Fernet

    return Fernet(_seal_key(key)).encrypt(text.encode()).decode()


def _unsealed(text: str, key: TokenKey) -> str:
    from cryptography.fernet import Fernet

    return Fernet(_seal_key(key)).decrypt(text.encode()).decode()


def _seal_key(key: TokenKey) -> bytes:
    return base64.urlsafe_b64encode(hmac.new(key.secret, b"cursors of bank systems", hashlib.sha256).digest())
