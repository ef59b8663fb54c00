"""The tables of the alert book, and how a process opens them.

A connection lives for one piece of work: Dagster hands one book to several threads and processes, and a connection
belongs to one thread. Times are ISO 8601 in UTC, so that they sort as text.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from credit_risk_platform.adapters.warehouse.lock import WriterLock

BUSY_SECONDS = 30.0
_VERSION = 1
_TABLES = """
create table incidents (
    incident text primary key, key text not null, severity text not null, title text not null, facts text not null,
    link text, one_off integer not null, opened_at text not null, updated_at text not null, cleared_at text
);
create unique index one_open_incident on incidents (key) where cleared_at is null;
create index incidents_by_key on incidents (key);
create table messages (
    id integer primary key autoincrement, incident text not null references incidents, kind text not null,
    finding text not null, at text not null, shared_out integer not null default 0
);
create index new_messages on messages (id) where not shared_out;
create index messages_by_time on messages (at);
create table deliveries (
    message integer not null references messages, channel text not null, attempts integer not null default 0,
    last_error text, not_before text, state text not null default 'waiting',
    primary key (message, channel)
);
create index waiting_deliveries on deliveries (channel, message) where state = 'waiting';
create table breaches (rule text primary key, since text not null, last_seen text not null, held integer not null);
create table cursors (name text primary key, value text not null);
"""


class BookTables:
    """One SQLite file in WAL mode: readers never wait, writers wait for each other."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "alerts.sqlite"
        self._ready = False

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        self._prepare()
        with closing(self._connect()) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or, when the process dies or an error comes, nothing."""
        with self.reading() as connection:
            connection.execute("begin immediate")  # a reader that turns writer would fail instead of wait
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.file, timeout=BUSY_SECONDS, isolation_level=None)
        connection.row_factory = sqlite3.Row
        return connection

    def _prepare(self) -> None:
        if self._ready:
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        # Turning WAL on does not wait for others, so the first processes take turns.
        with WriterLock(self.file.with_suffix(".setup.lock")).held(), closing(self._connect()) as connection:
            if connection.execute("pragma user_version").fetchone()[0] < _VERSION:
                connection.execute("pragma journal_mode = wal")
                connection.executescript(f"begin;{_TABLES}pragma user_version = {_VERSION};commit;")
        self._ready = True


def stamp(at: datetime) -> str:
    """A time as the tables hold it. Raises `ValueError` for one without a time zone."""
    if at.tzinfo is None:
        raise ValueError(f"{at} has no time zone; the alert book keeps UTC")
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
