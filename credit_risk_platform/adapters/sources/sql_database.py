"""Reads a table of a bank's own database: in order of change, as text in Arrow batches, through a server-side cursor.

SQLAlchemy streams (`yield_per`), so one code reads any database it has a dialect for. Every value is cast to text *by
the source* and judged after it came (`sql_database_rows`): a driver that builds Python dates and decimals fails the
whole read on one 'infinity' or NaN that a bank's table may well hold, and dlt's and ADBC's readers do no better, nor
can their bookmarks be kept in our transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from credit_risk_platform.adapters.sources.sql_database_url import POSTGRESQL, Address, SourceError, SourceSettingError
from credit_risk_platform.domain.contracts.bank_columns import UPDATED_AT, BankTable

if TYPE_CHECKING:
    import sqlalchemy as sa

EARLIEST = datetime(1900, 1, 1)  # noqa: DTZ001  as stamps are kept here: UTC without a zone
CLOCK_TOLERANCE = timedelta(days=1)
"""Stamps so far ahead of the source's clock are taken for real: some systems write local time without its zone."""
_CONNECT_SECONDS = 10
_DRIVER_OPTIONS = {
    # A server that vanishes in the middle of a read is noticed within a minute, not within two hours.
    "psycopg": {"connect_timeout": _CONNECT_SECONDS, "tcp_user_timeout": 60_000, "application_name": "credit-risk"},
}
_SESSION = ("set local timezone = 'UTC'", "set local datestyle = 'ISO, YMD'")
"""PostgreSQL: how dates are spelled as text. Within the transaction, so a pooler in between changes nothing."""


@dataclass(frozen=True)
class Position:
    """A place in the order of (updated_at, key): the row that was read last. `at` is UTC without a zone."""

    at: datetime
    key: str


class SourceTable:
    """One read of a table: a connection, a snapshot, a clock. Made by `opened`."""

    def __init__(self, connection: sa.Connection, table: BankTable) -> None:
        self._connection, self.table = connection, table
        self._columns = _columns(connection, table)
        self.now = _clock(connection)
        """The source's own clock when the snapshot was taken, UTC without a zone."""

    def dated(self, since: datetime | None, after: Position | None, rows: int) -> Iterator[pa.Table]:
        """Rows with a usable `updated_at`, oldest change first: from `since` on, or behind `after`, or all."""
        import sqlalchemy as sa

        changed, key = self._columns[UPDATED_AT], self._columns[self.table.key]
        wanted = [changed >= self._moment(since or EARLIEST), changed <= self._moment(self.now + CLOCK_TOLERANCE)]
        if after is not None:
            at = self._moment(after.at)
            behind = sa.and_(changed == at, key > sa.cast(sa.literal(after.key), key.type))
            # The first half is the second's consequence, in the form that an index on the column serves.
            wanted += [changed >= at, sa.or_(changed > at, behind)]
        yield from self._stream(self._select().where(*wanted).order_by(changed, key), rows)

    def undated(self, rows: int) -> Iterator[pa.Table]:
        """The other rows: no `updated_at`, or one before 1900 or in the future. They move no cursor."""
        import sqlalchemy as sa

        changed = self._columns[UPDATED_AT]
        latest = self._moment(self.now + CLOCK_TOLERANCE)
        astray = sa.or_(changed.is_(None), changed < self._moment(EARLIEST), changed > latest)
        yield from self._stream(self._select().where(astray), rows)

    # ---------------------------------------------------------------- inside

    def _select(self) -> sa.Select[*tuple[Any, ...]]:
        import sqlalchemy as sa

        read = [self._columns[column.name] for column in self.table.columns]
        texts = [sa.cast(column, sa.Text).label(f"raw_{column.name}") for column in read]
        return sa.select(*texts).select_from(sa.table(self.table.relation))

    def _stream(self, query: sa.Select[*tuple[Any, ...]], rows: int) -> Iterator[pa.Table]:
        names = [f"raw_{column.name}" for column in self.table.columns]
        with self._connection.execution_options(yield_per=rows).execute(query) as result:
            for part in result.partitions():
                columns = zip(*part, strict=True)  # from rows to columns, in C
                yield pa.table([pa.array(column, pa.string()) for column in columns], names=names)

    def _moment(self, at: datetime) -> Any:
        """`at` as the source's column is typed: with its zone, or without where the source keeps none."""
        import sqlalchemy as sa

        kind = self._columns[UPDATED_AT].type
        return sa.literal(at.replace(tzinfo=UTC) if getattr(kind, "timezone", False) else at, kind)


@contextmanager
def opened(source: Address, table: BankTable) -> Iterator[SourceTable]:
    """A snapshot of the source, read-only; closed at the end, whatever happens.

    Raises:
        SourceError: not reachable, refused, table or column missing, or broken off. Nothing of the driver's own message
            is passed on: it may quote the URL.
    """
    import sqlalchemy as sa

    engine, trouble, connected = _engine(source), "", False
    try:
        with engine.connect() as connection:
            connected = True
            if connection.dialect.name == POSTGRESQL:
                for setting in _SESSION:
                    connection.execute(sa.text(setting))
            yield SourceTable(connection, table)
    except sa.exc.SQLAlchemyError as error:
        driver = getattr(error, "orig", None)
        trouble = _of_reading(driver) if connected else _of_connecting(str(driver))
    if trouble:  # here and not above, so that the driver's error is no part of ours
        raise _told(source, table, trouble)


def _engine(source: Address) -> sa.Engine:
    import sqlalchemy as sa

    options: dict[str, Any] = {}
    if source.url.get_backend_name() == POSTGRESQL:
        # One snapshot for all statements: a row that changes meanwhile is read once, as it was.
        options["isolation_level"] = "REPEATABLE READ"
        options["execution_options"] = {"postgresql_readonly": True}
    connect_args = _DRIVER_OPTIONS.get(source.url.get_driver_name(), {})
    try:
        return sa.create_engine(
            source.url, poolclass=sa.NullPool, hide_parameters=True, connect_args=connect_args, **options
        )
    except ImportError:
        step = "Install the driver, or name another one in the URL (postgresql+psycopg comes with the platform)."
        problem = f"{source.variable} names a driver that is not installed."
        raise SourceSettingError(source.system, problem, step) from None


def _columns(connection: sa.Connection, table: BankTable) -> dict[str, sa.ColumnClause[Any]]:
    """The contract's columns as the source types them. Raises `SourceError` naming what is missing."""
    import sqlalchemy as sa

    try:
        found = {column["name"]: column["type"] for column in sa.inspect(connection).get_columns(table.relation)}
    except sa.exc.NoSuchTableError:
        found = {}
    if not found:
        step = f"Give the login a view of that name with the columns {', '.join(c.name for c in table.columns)}."
        raise SourceError(table.system, "there is no such table for this login.", step, relation=table.relation)
    missing = [column.name for column in table.columns if column.name not in found]
    if missing:
        others = f" (and {', '.join(missing[1:])})" if missing[1:] else ""
        step = "Put it back, or give the login a view that has it under this name."
        problem = f"the table has no such column{others}; it has {', '.join(sorted(found))}."
        raise SourceError(table.system, problem, step, relation=table.relation, column=missing[0])
    if not isinstance(found[UPDATED_AT], sa.DateTime):
        step = "Make it a timestamp, best with time zone: the platform reads what changed since it last looked."
        raise SourceError(table.system, "it is no timestamp.", step, relation=table.relation, column=UPDATED_AT)
    return {column.name: sa.column(column.name, found[column.name]) for column in table.columns}


def _clock(connection: sa.Connection) -> datetime:
    import sqlalchemy as sa

    now: datetime = connection.execute(
        sa.select(sa.func.current_timestamp(type_=sa.DateTime(timezone=True)))
    ).scalar_one()
    return now.astimezone(UTC).replace(tzinfo=None) if now.tzinfo else now


_BY_STATE = {
    "28": "refused",
    "42501": "not_allowed",
    "57014": "too_slow",
}
"""SQLSTATE, or its class -> the entry of `_WORDS`."""
_BY_WORDS = (
    ("password authentication failed", "refused"),
    ("no password supplied", "refused"),
    ("pg_hba.conf", "refused"),
    ('role "', "refused"),
    ('database "', "no_database"),
    ("SSL", "no_tls"),
    ("certificate", "no_tls"),
    ("too many", "busy"),
    ("remaining connection slots", "busy"),
)
"""A failed connection has no SQLSTATE: the first of libpq's words that is found."""
_WORDS = {
    "down": ("it cannot be reached at {place}.", "Look whether the server runs and this machine may reach it."),
    "refused": ("{place} refuses the login.", "Check user and password in {variable}, and the server's pg_hba.conf."),
    "no_database": ("{place}: there is no such database.", "Correct the database's name in {variable}."),
    "no_tls": ("{place} and we find no TLS that both accept.", "Check sslmode and sslrootcert in {variable}."),
    "not_allowed": ("the login may not read it.", "Grant select on {relation} to the user of {variable}."),
    "busy": ("{place} has no connection left.", "Reserve one for the platform, or run the job at another hour."),
    "too_slow": ("the server stopped the query.", "Index {relation} by (updated_at, {key}), or raise its time limit."),
    "broken": (
        "the connection to {place} broke off.",
        "Run the asset again: it goes on behind the last batch that landed.",
    ),
}


def _of_connecting(said: str) -> str:
    """Which of `_WORDS` a connection that failed stands for."""
    reason = said.split("failed: ", 1)[-1]  # before it stands the host, whose name may be anything
    return next((kind for words, kind in _BY_WORDS if words in reason), "down")


def _of_reading(driver: object) -> str:
    """Which of `_WORDS` an error on an open connection stands for."""
    state = str(getattr(driver, "sqlstate", None) or "")
    return _BY_STATE.get(state) or _BY_STATE.get(state[:2]) or "broken"


def _told(source: Address, table: BankTable, kind: str) -> SourceError:
    """The driver's error in our words: what it says itself may quote the URL, so of that only the kind is taken."""
    told = {"place": source.place, "variable": source.variable, "relation": table.relation, "key": table.key}
    problem, step = (words.format(**told) for words in _WORDS[kind])
    relation = table.relation if kind in ("not_allowed", "too_slow") else ""
    return SourceError(source.system, problem, step, relation=relation)
