"""Requests per client and time, counted in this process. A batch is one request: its size has a limit of its own.

`limits` reads the notation; we count ourselves, since its memory starts a thread every 10 ms to forget old windows, and
waiting for those took 9 % of a busy event loop.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from limits import parse

from credit_risk_platform.serving.problems import Kind, Problem


@dataclass
class _Count:
    """Requests in the window that began as number `window`, and in the one before it."""

    window: int
    before: int = 0
    now: int = 0


class ClientRates:
    """A sliding window per client: what is left of the last window counts in proportion. `limit`: "1000/second".

    Several API processes count each for itself: a client that meets N of them gets N times the limit. It is called on
    the event loop only.

    Raises:
        ValueError: `limit` is no rate.
    """

    def __init__(self, limit: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._rate = parse(limit)
        self._most, self._seconds = self._rate.amount, self._rate.get_expiry()
        self._monotonic = monotonic
        self._counts: dict[str, _Count] = {}
        self._policy = f'"client";q={self._most};w={self._seconds}'

    def take(self, client: str) -> dict[str, str]:
        """Count one request; returns the headers that tell where the client stands (RateLimit, RateLimit-Policy).

        Raises:
            Problem: 429 with Retry-After in seconds.
        """
        window, into = divmod(self._monotonic() / self._seconds, 1)
        count = self._turned(client, int(window))
        used = count.now + count.before * (1 - into)
        granted = used + 1 <= self._most
        count.now += granted
        wait = max(1, math.ceil((1 - into) * self._seconds))
        left = max(0, math.floor(self._most - used - granted))
        headers = {"RateLimit-Policy": self._policy, "RateLimit": f'"client";r={left};t={wait}'}
        if granted:
            return headers
        raise Problem(
            Kind.RATE,
            f"This client may send {self._rate}. Wait {wait} s, or send many applications as one batch.",
            headers={**headers, "Retry-After": str(wait)},
        )

    def _turned(self, client: str, window: int) -> _Count:
        count = self._counts.setdefault(client, _Count(window))
        if count.window != window:
            count.before = count.now if count.window == window - 1 else 0
            count.window, count.now = window, 0
        return count
