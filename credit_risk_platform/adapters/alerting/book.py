"""The memory of alerts: what is wrong since when, what has been said about it, and what still has to be said.

A finding and the message about it are written in one transaction, and a message waits in the book until each channel
has taken it. A process killed between sending and noting it sends that message again: at least once, never none.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from credit_risk_platform.adapters.alerting.book_tables import BookTables, moment, stamp
from credit_risk_platform.adapters.alerting.channels.base import Channel
from credit_risk_platform.adapters.alerting.delivery import Delivery, Outbox, as_text, deliver
from credit_risk_platform.domain.alerts import AlertRule, Finding, Severity

_LONGEST_SILENCE = timedelta(hours=1)


class AlertBook:
    """Safe with several threads and processes. Nothing is opened before it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tables = BookTables(folder)

    def report(self, firing: Sequence[Finding], healthy: Collection[str], now: datetime) -> None:
        """What was found in one look. A new `firing` key opens an incident and queues "fired"; one that is open stays
        quiet (its facts are kept up to date) unless it has become more severe. `healthy` keys close their incidents and
        queue "cleared"; keys in neither stay as they are. A one-off is told once, for ever.

        Raises `ValueError` for a key in both.
        """
        if both := {finding.key for finding in firing}.intersection(healthy):
            raise ValueError(f"{', '.join(sorted(both))}: reported as firing and as healthy in one look")
        with self._tables.writing() as book:
            for finding in firing:
                _note(book, finding, stamp(now))
            for key in healthy:
                _clear(book, key, stamp(now))

    def held(self, rule: AlertRule, value: float | None, now: datetime) -> bool:
        """Whether the rule has been breached for its duration, `value` being what its metric is now.

        `None` (nothing was measured) neither starts nor ends a breach: the answer stays what it was. A breach that has
        held ends with a value that does not breach. One that has not starts anew when nothing was seen of it for twice
        the duration and an hour: nobody knows what was in between.
        """
        with self._tables.writing() as book:
            found = book.execute("select * from breaches where rule = ?", [rule.name]).fetchone()
            if value is None:
                return bool(found and found["held"])
            if not rule.breached(value):
                book.execute("delete from breaches where rule = ?", [rule.name])
                return False
            since, held = _streak(found, rule, now)
            book.execute(
                "insert or replace into breaches (rule, since, last_seen, held) values (?, ?, ?, ?)",
                [rule.name, stamp(since), stamp(now), held],
            )
            return held

    def open_incidents(self) -> list[dict[str, Any]]:
        """Longest open first: incident, key, severity, title, facts (a dict), link, one_off, opened_at, updated_at,
        cleared_at (always None here); times as ISO text in UTC.
        """
        with self._tables.reading() as book:
            rows = book.execute("select * from incidents where cleared_at is null order by opened_at, key")
            return [_plain(row) for row in rows]

    def history(self, since: datetime) -> list[dict[str, Any]]:
        """Incidents that were open at some time after `since`, latest first, with the columns of `open_incidents`.

        A one-off has no length: its `cleared_at` is its `opened_at`.
        """
        with self._tables.reading() as book:
            rows = book.execute(
                "select * from incidents where cleared_at is null or cleared_at >= ? order by opened_at desc, key",
                [stamp(since)],
            )
            return [_plain(row) for row in rows]

    def waiting(self) -> list[dict[str, Any]]:
        """By channel, what has not been taken yet: channel, messages, oldest (ISO text), attempts, last_error."""
        with self._tables.reading() as book:
            return Outbox(book).waiting()

    def cursor(self, name: str) -> str | None:
        """What `set_cursor` noted last under that name."""
        with self._tables.reading() as book:
            found = book.execute("select value from cursors where name = ?", [name]).fetchone()
            return str(found["value"]) if found else None

    def set_cursor(self, name: str, value: str) -> None:
        with self._tables.writing() as book:
            book.execute("insert or replace into cursors (name, value) values (?, ?)", [name, value])

    def deliver(self, channels: Sequence[Channel], now: datetime) -> Delivery:
        """Send what waits, oldest first, each message once per channel that is there when it is first looked at.

        One process delivers at a time; a second one leaves it to the first. What a channel does not take waits for the
        next call, and is given up after a week.
        """
        return deliver(self._tables, channels, now)


def _note(book: sqlite3.Connection, finding: Finding, now: str) -> None:
    found = _known(book, finding)
    if found is None:
        incident = uuid.uuid4().hex
        ended = now if finding.one_off else None
        book.execute(
            "insert into incidents values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [incident, finding.key, finding.severity, *_said(finding), finding.one_off, now, now, ended],
        )
        _queue(book, "fired", incident, as_text(finding), now)
    elif not finding.one_off:
        worse = finding.severity.rank > Severity(found["severity"]).rank
        book.execute(
            "update incidents set severity = ?, title = ?, facts = ?, link = ?, updated_at = ? where incident = ?",
            [finding.severity if worse else found["severity"], *_said(finding), now, found["incident"]],
        )
        if worse:
            _queue(book, "fired", found["incident"], as_text(finding), now)


def _known(book: sqlite3.Connection, finding: Finding) -> sqlite3.Row | None:
    state = "one_off" if finding.one_off else "cleared_at is null"
    found: sqlite3.Row | None = book.execute(
        f"select * from incidents where key = ? and {state}", [finding.key]
    ).fetchone()
    return found


def _clear(book: sqlite3.Connection, key: str, now: str) -> None:
    found = book.execute("select * from incidents where key = ? and cleared_at is null", [key]).fetchone()
    if found is None:
        return
    book.execute(
        "update incidents set cleared_at = ?, updated_at = ? where incident = ?", [now, now, found["incident"]]
    )
    last = Finding(key, Severity(found["severity"]), found["title"], json.loads(found["facts"]), found["link"])
    _queue(book, "cleared", found["incident"], as_text(last), now)


def _queue(book: sqlite3.Connection, kind: str, incident: str, finding: str, now: str) -> None:
    book.execute(
        "insert into messages (incident, kind, finding, at) values (?, ?, ?, ?)", [incident, kind, finding, now]
    )


def _streak(found: sqlite3.Row | None, rule: AlertRule, now: datetime) -> tuple[datetime, bool]:
    """Since when the rule is breached, and whether that is long enough."""
    if found is None:
        return now, rule.duration <= timedelta()
    since, held = moment(found["since"]), bool(found["held"])
    if not held and now - moment(found["last_seen"]) > 2 * rule.duration + _LONGEST_SILENCE:
        since = now
    return since, held or now - since >= rule.duration


def _said(finding: Finding) -> tuple[str, str, str | None]:
    return finding.title, json.dumps(dict(finding.facts)), finding.link


def _plain(row: sqlite3.Row) -> dict[str, Any]:
    return {**dict(row), "facts": json.loads(row["facts"]), "one_off": bool(row["one_off"])}
