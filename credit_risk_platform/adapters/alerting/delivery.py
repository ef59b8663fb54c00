"""From the book to the channels: which message still waits for whom, and one attempt after the other."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from credit_risk_platform.adapters.alerting.book_tables import BookTables, moment, stamp
from credit_risk_platform.adapters.alerting.channels.base import Channel, ChannelError
from credit_risk_platform.adapters.warehouse.lock import WriterLock, WriterLockTimeoutError
from credit_risk_platform.domain.alerts import Finding, Message, Severity

AT_ONCE = 100
"""Messages that one call sends through one channel at most, so that whoever calls comes back."""
GIVEN_UP_AFTER = timedelta(days=7)
FORGOTTEN_AFTER = timedelta(days=30)
"""Messages are deleted then; incidents stay."""


@dataclass
class Delivery:
    """Messages sent, attempts that failed, and the last error by channel."""

    sent: int = 0
    failed: int = 0
    errors: dict[str, str] = field(default_factory=dict)


class Outbox:
    """What waits, over one open connection."""

    def __init__(self, book: sqlite3.Connection) -> None:
        self.book = book

    def share_out(self, channels: Sequence[Channel]) -> None:
        """Each new message to the channels of its severity. One that is set up later has no old news to tell."""
        new = self.book.execute("select id, finding from messages where not shared_out").fetchall()
        for row in new:
            severity = _finding(row["finding"]).severity
            takers = [(row["id"], channel.name) for channel in channels if severity.at_least(channel.least)]
            self.book.executemany("insert into deliveries (message, channel) values (?, ?)", takers)
        self.book.executemany("update messages set shared_out = 1 where id = ?", [(row["id"],) for row in new])

    def due(self, channel: str, now: datetime) -> list[sqlite3.Row]:
        """What waits for a channel, oldest first; nothing while its receiver has asked us to wait."""
        return self.book.execute(
            """
            select message, incident, kind, finding, at
            from deliveries join messages on messages.id = deliveries.message
            where channel = $channel and state = 'waiting' and not exists (
                select 1 from deliveries where channel = $channel and state = 'waiting' and not_before > $now
            )
            order by message limit $at_once
            """,
            {"channel": channel, "now": stamp(now), "at_once": AT_ONCE},
        ).fetchall()

    def drop_old(self, now: datetime) -> None:
        """Give up what nobody took for a week, and forget old messages."""
        self.book.execute(
            "update deliveries set state = 'given up' where state = 'waiting' "
            "and message in (select id from messages where at < ?)",
            [stamp(now - GIVEN_UP_AFTER)],
        )
        old = "from messages where shared_out and at < ?"
        self.book.execute(f"delete from deliveries where message in (select id {old})", [stamp(now - FORGOTTEN_AFTER)])
        self.book.execute(f"delete {old}", [stamp(now - FORGOTTEN_AFTER)])

    def note_sent(self, message: int, channel: str) -> None:
        self.book.execute(
            "update deliveries set state = 'sent', attempts = attempts + 1, last_error = null, not_before = null "
            "where message = ? and channel = ?",
            [message, channel],
        )

    def note_failed(self, message: int, channel: str, error: ChannelError, now: datetime) -> None:
        again = stamp(now + timedelta(seconds=error.retry_after)) if error.retry_after else None
        self.book.execute(
            "update deliveries set attempts = attempts + 1, last_error = ?, not_before = ? "
            "where message = ? and channel = ?",
            [str(error), again, message, channel],
        )

    def waiting(self) -> list[dict[str, Any]]:
        """By channel: channel, messages, oldest (ISO text), attempts (of the oldest), last_error."""
        rows = self.book.execute(
            """
            select channel, count(*) as messages, min(at) as oldest, max(attempts) as attempts,
                max(last_error) as last_error
            from deliveries join messages on messages.id = deliveries.message
            where state = 'waiting' group by channel order by channel
            """
        )
        return [dict(row) for row in rows]


def deliver(tables: BookTables, channels: Sequence[Channel], now: datetime) -> Delivery:
    """See `AlertBook.deliver`. No transaction is open while a channel sends, so that reports never wait for it."""
    told = Delivery()
    if not channels:
        return told
    one_at_a_time = WriterLock(tables.file.with_suffix(".delivery.lock"), timeout_seconds=0)
    try:
        one_at_a_time.acquire()
    except WriterLockTimeoutError:
        return told  # the process that delivers now takes it on
    try:
        with tables.writing() as book:
            Outbox(book).drop_old(now)
            Outbox(book).share_out(channels)
        for channel in channels:
            _send_waiting(tables, channel, now, told)
    finally:
        one_at_a_time.release()
    return told


def _send_waiting(tables: BookTables, channel: Channel, now: datetime, told: Delivery) -> None:
    with tables.reading() as book:
        due = Outbox(book).due(channel.name, now)
    for row in due:
        try:
            channel.send(Message(row["kind"], _finding(row["finding"]), moment(row["at"]), row["incident"]))
        except ChannelError as error:
            told.failed += 1
            told.errors[channel.name] = str(error)
            with tables.writing() as book:
                Outbox(book).note_failed(row["message"], channel.name, error, now)
            if not error.refused:
                return  # the next message would wait for the same time-out
        else:
            told.sent += 1
            with tables.writing() as book:
                Outbox(book).note_sent(row["message"], channel.name)


def as_text(finding: Finding) -> str:
    """A finding as the book keeps it."""
    return json.dumps(
        {
            "key": finding.key,
            "severity": finding.severity,
            "title": finding.title,
            "facts": dict(finding.facts),
            "link": finding.link,
            "one_off": finding.one_off,
        }
    )


def _finding(text: str) -> Finding:
    told = json.loads(text)
    return Finding(**{**told, "severity": Severity(told["severity"])})
