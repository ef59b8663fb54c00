"""Faults for a stream of sound events: what a careless producer, a broken network or an attacker would send.

Every fault takes the place of a sound event, so a stream keeps its length; each event says what it is and what the sink
should make of it.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from credit_risk_platform.domain.contracts.messages import APPLICATIONS, REPAYMENTS, TRANSACTIONS
from credit_risk_platform.domain.synthetic.applicants import Array
from credit_risk_platform.domain.synthetic.events import Event, Expected, Sent, encode, written

CHAOS: Mapping[Sent, float] = {
    Sent.OUT_OF_ORDER: 0.02,
    Sent.DUPLICATE: 0.02,
    Sent.LATE: 0.01,
    Sent.MALFORMED_JSON: 0.01,
    Sent.INVALID_UTF8: 0.01,
    Sent.WRONG_VERSION: 0.01,
    Sent.MISSING_FIELD: 0.01,
    Sent.ABSURD_NUMBER: 0.01,
    Sent.TOMBSTONE: 0.01,
}
"""Share of each fault among all events. Late ones come in transactions only: nothing else has a window to miss, and
nothing is late before its customer has been seen on time."""
LATE_BY = timedelta(days=1)
REMEMBERED = 50
"""A duplicate repeats one of this many latest sound events."""
CHAOS_STREAM = 5_002

_ABSURD: Mapping[str, tuple[str, float]] = {
    APPLICATIONS.topic: ("loan_amnt", 1e15),
    REPAYMENTS.topic: ("amount_paid", -1e15),
    TRANSACTIONS.topic: ("amount", 1e15),
}
"""Topic -> the column that gets an impossible value, and the value. The same column goes missing in another fault."""


def chaos(events: Iterable[Event], seed: int, shares: Mapping[Sent, float] = CHAOS) -> Iterator[Event]:
    """`events` with faults mixed in at `shares`; the same arguments give the same faults.

    Raises:
        ValueError: shares below zero, or above one together.
    """
    kinds = [kind for kind in Sent if kind in shares and kind is not Sent.SOUND]
    edges = np.cumsum([shares[kind] for kind in kinds])
    if min(shares.values(), default=0.0) < 0 or sum(shares.values()) > 1 + 1e-9:
        raise ValueError(f"Shares of faults lie between 0 and 1 and make at most 1 together, not {dict(shares)}.")
    return _mixed(events, seed, kinds, edges)


def _mixed(events: Iterable[Event], seed: int, kinds: Sequence[Sent], edges: Array) -> Iterator[Event]:
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(CHAOS_STREAM,)))
    sent: deque[Event] = deque(maxlen=REMEMBERED)
    windowed: set[bytes] = set()
    held: Event | None = None
    for event in events:
        place = int(np.searchsorted(edges, rng.random(), side="right"))
        kind = kinds[place] if place < len(kinds) else Sent.SOUND
        if kind is Sent.OUT_OF_ORDER and held is None:
            held = event
            continue
        if kind is Sent.DUPLICATE and sent:
            repeated = sent[int(rng.integers(len(sent)))]
            yield replace(repeated, kind=kind, expected=Expected.DUPLICATE)
        elif kind in _FAULTS and (kind is not Sent.LATE or event.key in windowed):
            yield _FAULTS[kind](event)
        else:
            sent.append(event)
            if event.topic == TRANSACTIONS.topic:
                windowed.add(event.key)  # its partition has seen a later time than any late event's
            yield event
        if held is not None:
            sent.append(held)
            yield replace(held, kind=Sent.OUT_OF_ORDER)
            held = None
    if held is not None:
        yield held  # nothing came after it, so it is in order


def _malformed(event: Event) -> Event:
    value = _value(event)
    return _dead(event, Sent.MALFORMED_JSON, value[: len(value) // 2])


def _not_utf8(event: Event) -> Event:
    return _dead(event, Sent.INVALID_UTF8, _value(event).replace(b'"event_id":"', b'"event_id":"\xff\xfe', 1))


def _wrong_version(event: Event) -> Event:
    return _dead(event, Sent.WRONG_VERSION, encode(_message(event) | {"schema_version": 99}))


def _missing(event: Event) -> Event:
    message = _message(event)
    del message["data"][_ABSURD[event.topic][0]]
    return _dead(event, Sent.MISSING_FIELD, encode(message))


def _absurd(event: Event) -> Event:
    message = _message(event)
    column, value = _ABSURD[event.topic]
    message["data"][column] = value
    return _dead(event, Sent.ABSURD_NUMBER, encode(message))


def _tombstone(event: Event) -> Event:
    return _dead(event, Sent.TOMBSTONE, None)


def _late(event: Event) -> Event:
    message = _message(event)
    long_ago = datetime.fromisoformat(message["event_time"]).replace(tzinfo=None) - LATE_BY
    value = encode(message | {"event_time": written(long_ago)})
    return replace(event, kind=Sent.LATE, expected=Expected.LATE, value=value)


def _dead(event: Event, kind: Sent, value: bytes | None) -> Event:
    return replace(event, kind=kind, expected=Expected.DEAD_LETTER, value=value)


def _value(event: Event) -> bytes:
    assert event.value is not None, "faults are made of sound events"
    return event.value


def _message(event: Event) -> dict[str, Any]:
    opened: dict[str, Any] = json.loads(_value(event))
    return opened


_FAULTS: Mapping[Sent, Callable[[Event], Event]] = {
    Sent.LATE: _late,
    Sent.MALFORMED_JSON: _malformed,
    Sent.INVALID_UTF8: _not_utf8,
    Sent.WRONG_VERSION: _wrong_version,
    Sent.MISSING_FIELD: _missing,
    Sent.ABSURD_NUMBER: _absurd,
    Sent.TOMBSTONE: _tombstone,
}
