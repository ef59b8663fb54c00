"""Bookings on the current accounts of the book's customers, seconds apart: what a stream of bank transactions holds."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Final

import numpy as np
import pyarrow as pa

from credit_risk_platform.domain.contracts.messages import TRANSACTIONS
from credit_risk_platform.domain.synthetic.applicants import Array
from credit_risk_platform.domain.synthetic.events import Event, Pace, sound_events
from credit_risk_platform.domain.synthetic.layout import cents

DRAWN = 1_000
"""Bookings drawn at once: whole, then cut, so that booking i is the same however many are asked for."""
SECONDS_PER_CUSTOMER = 5.0
"""Mean time between two bookings of one customer: a window of 30 s holds about six."""
BOOKING_STREAM = 5_001
OPENING_CENTS = (50_000, 600_000)
_FIRST_CUSTOMER = 500_000_001

CATEGORIES: Final = {
    "salary": (0.06, 280_000, 0.35),
    "transfer": (0.08, 25_000, 0.90),
    "rent": (0.05, -105_000, 0.30),
    "groceries": (0.26, -4_800, 0.55),
    "card": (0.33, -3_200, 0.80),
    "cash": (0.09, -8_000, 0.50),
    "loan_payment": (0.07, -32_000, 0.45),
    "fee": (0.03, -900, 0.40),
    "returned_payment": (0.03, 24_000, 0.60),
}
"""Category -> share of the bookings, median amount in cents (below zero: money goes out), spread of its logarithm."""


def transactions(seed: int, customers: int, pace: Pace) -> Iterator[Event]:
    """Endless bookings of as many of the book's first `customers` as the pace keeps busy; balances add up."""
    busy = max(1, min(customers, round(pace.per_second * SECONDS_PER_CUSTOMER)))
    return sound_events(TRANSACTIONS, _bookings(seed, busy), seed, pace)


def _bookings(seed: int, customers: int) -> Iterator[pa.Table]:
    opening = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(BOOKING_STREAM,)))
    balance = opening.integers(*OPENING_CENTS, customers)
    shares, medians, spreads = np.array(list(CATEGORIES.values())).T
    names = pa.array(list(CATEGORIES))
    for chunk in count():
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(BOOKING_STREAM, chunk)))
        who = rng.integers(0, customers, DRAWN)
        what = rng.choice(len(CATEGORIES), DRAWN, p=shares)
        amount = np.round(medians[what] * np.exp(spreads[what] * rng.standard_normal(DRAWN))).astype(np.int64)
        yield pa.table(
            {
                "transaction_id": [
                    f"T{seed}-{number:09d}" for number in range(chunk * DRAWN + 1, (chunk + 1) * DRAWN + 1)
                ],
                "customer_id": [f"C{number:09d}" for number in (_FIRST_CUSTOMER + who).tolist()],
                "amount": cents(amount),
                "category": names.take(pa.array(what)),
                "balance_after": cents(_running(balance, who, amount)),
            }
        )
        np.add.at(balance, who, amount)


def _running(balance: Array, who: Array, amount: Array) -> Array:
    """Each customer's balance after each of the bookings, in the order of the bookings."""
    order = np.argsort(who, kind="stable")
    total = np.cumsum(amount[order])
    start = np.searchsorted(who[order], who[order])  # place of the customer's first booking
    after = np.empty_like(total)
    after[order] = balance[who[order]] + total - total[start] + amount[order][start]
    return after
