"""Events as they would reach the platform: applications nobody has seen yet, and what became of the book's instalments.

Belongs here: messages as bytes, made from seeds alone: the same arguments give the same bytes on any day and machine.
Does not: Kafka (`adapters.kafka_producer`), faults (`chaos`), account bookings (`bookings`).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import count
from typing import Any
from uuid import UUID, uuid5

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from credit_risk_platform.domain.contracts.messages import APPLICATIONS, REPAYMENTS, TRANSACTIONS, MessageContract
from credit_risk_platform.domain.synthetic.applicants import Columns, draw_applicants
from credit_risk_platform.domain.synthetic.layout import loan_table
from credit_risk_platform.domain.synthetic.offers import LAST_VINTAGE, draw_requests
from credit_risk_platform.domain.synthetic.portfolio import portfolio

APPLICANTS_DRAWN = 500
"""Applicants drawn at once: whole, then cut, so that event i is the same however many are asked for."""
APPLICANT_STREAM = 5_000
"""Keeps the applicants' draws apart from those of any block of the book (`portfolio` spawns by block number)."""
_EVENT_IDS = UUID("6f6f2c1e-6a0b-5c39-9d1e-5f0f6a2f0c11")


class Sent(StrEnum):
    """What kind of message it is. All but the first are made by `chaos`."""

    SOUND = "sound"
    OUT_OF_ORDER = "out_of_order"
    DUPLICATE = "duplicate"
    LATE = "late"
    MALFORMED_JSON = "malformed_json"
    INVALID_UTF8 = "invalid_utf8"
    WRONG_VERSION = "wrong_version"
    MISSING_FIELD = "missing_field"
    ABSURD_NUMBER = "absurd_number"
    TOMBSTONE = "tombstone"


class Expected(StrEnum):
    """What the sink should make of it: the words of `adapters.streaming.batch.Outcome`."""

    SCORED = "scored"
    RECORDED = "recorded"
    DUPLICATE = "duplicate"
    LATE = "late"
    DEAD_LETTER = "dead_letter"


@dataclass(frozen=True)
class Event:
    """One Kafka message to be."""

    topic: str
    key: bytes
    value: bytes | None
    kind: Sent
    expected: Expected
    """For a repayment: where a behavioural model covers its loan; without one it is only recorded."""


@dataclass(frozen=True)
class Pace:
    """Event times: the first at `start` (naive UTC), then `per_second` of them."""

    start: datetime
    per_second: float = 10.0

    def at(self, number: int) -> datetime:
        return self.start + timedelta(seconds=number / self.per_second)


def sound_events(contract: MessageContract, tables: Iterable[pa.Table], source: object, pace: Pace) -> Iterator[Event]:
    """A sound message per row, in order; optional fields without a value are left out.

    Event ids are made from `source` and the row's place: another source, other events.
    """
    required = {column.name for column in contract.columns if column.required}
    expected = Expected.RECORDED if contract is TRANSACTIONS else Expected.SCORED
    number = count()
    for table in tables:
        for row in table.to_pylist():
            place = next(number)
            message = {
                "schema_version": contract.version,
                "event_id": str(uuid5(_EVENT_IDS, f"{contract.topic}/{source}/{place}")),
                "event_time": written(pace.at(place)),
                "data": {name: cell for name, cell in row.items() if cell is not None or name in required},
            }
            yield Event(contract.topic, str(row[contract.key]).encode(), encode(message), Sent.SOUND, expected)


def written(moment: datetime) -> str:
    return f"{moment.isoformat(timespec='microseconds')}Z"


def encode(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain).encode()


def applications(seed: int, as_of: date, pace: Pace) -> Iterator[Event]:
    """Endless fresh applications, all of day `as_of`. Loan and customer ids are in no book and in no other seed's."""
    tables = (_applicants(seed, chunk, as_of) for chunk in count())
    return sound_events(APPLICATIONS, tables, seed, pace)


def _applicants(seed: int, chunk: int, as_of: date) -> pa.Table:
    streams = np.random.SeedSequence(seed, spawn_key=(APPLICANT_STREAM, chunk)).spawn(2)
    people, requests = (np.random.default_rng(stream) for stream in streams)
    columns = draw_applicants(people, APPLICANTS_DRAWN)
    columns |= draw_requests(requests, columns, LAST_VINTAGE)
    table = loan_table(_all_of_one_day(columns, as_of), 1)
    names = [column.name for column in APPLICATIONS.columns if column.name in table.column_names]
    numbers = range(chunk * APPLICANTS_DRAWN + 1, (chunk + 1) * APPLICANTS_DRAWN + 1)
    own = {"id": [f"A{seed}-{number:07d}" for number in numbers]}
    own["customer_id"] = [f"P{seed}-{number:07d}" for number in numbers]
    return pa.table({name: own.get(name, table[name]) for name in names})


def _all_of_one_day(columns: Columns, as_of: date) -> Columns:
    """The requests as if all were made on `as_of`. What only a decision brings is 0 and goes into no message."""
    day = np.datetime64(as_of, "D")
    month = np.full(APPLICANTS_DRAWN, day.astype("datetime64[M]").astype(np.int64))
    application = np.full(APPLICANTS_DRAWN, day.astype(np.int64))
    dated = columns | {
        "issue_month": month,
        "application_date": application,
        "account_open_date": application - columns["account_age_days"],
        "earliest_cr_line": month - columns["history_months"],
    }
    return defaultdict(lambda: np.zeros(APPLICANTS_DRAWN, np.int64), dated)


def repayments(loans: int, seed: int, as_of: date, until: date, pace: Pace, *, source: object = 0) -> Iterator[Event]:
    """What the book of (`loans`, `seed`) learns of its instalments after `as_of`, as it stands on day `until`.

    Missed instalments are among them, and earlier ones restated where a late payment moved their balances. In the order
    in which they became known, one block of the book after the other; each loan's instalments in their own order.

    Raises:
        ValueError: `until` is not after `as_of`, or the book of `as_of` has other loans than that of `until`.
    """
    if as_of >= until or np.datetime64(as_of, "D") + 1 < (LAST_VINTAGE + 1).astype("datetime64[D]"):
        raise ValueError(
            f"No repayments between {as_of} and {until}: choose days from {LAST_VINTAGE}'s end on, in order."
        )
    blocks = portfolio(loans, seed, until)  # lazy: drawing a block is what costs, and the first holds thousands of news
    tables = (_news(block.repayments, as_of) for block in blocks if block.repayments is not None)
    return sound_events(REPAYMENTS, tables, f"{source}/{seed}", pace)


def _news(panel: pa.Table, as_of: date) -> pa.Table:
    """Rows of a later panel that the panel of `as_of` did not have, or had otherwise.

    Payments settle the oldest instalment first, so these are a loan's rows from the first one learnt after `as_of`.
    """
    loan_id = panel["loan_id"].combine_chunks()
    first = np.ones(len(panel), bool)
    first[1:] = np.asarray(pc.not_equal(loan_id[1:], loan_id[:-1]))
    loan = np.cumsum(first) << 32
    known = np.asarray(panel["known_at"]).astype("datetime64[D]").astype(np.int64)
    learnt = np.maximum.accumulate(loan + known) - loan  # a row may restate what an earlier instalment's payment moved
    news = np.flatnonzero(learnt > np.datetime64(as_of, "D").astype(np.int64))
    in_order = news[np.argsort(learnt[news], kind="stable")]
    return panel.select([column.name for column in REPAYMENTS.columns]).take(pa.array(in_order))


def _plain(value: object) -> float | str:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{value!r} has no place in a message")
