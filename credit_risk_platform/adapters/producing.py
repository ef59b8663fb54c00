"""Sending events, whoever carries them: the pace, the count and the report. The sending itself is each transport's."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from credit_risk_platform.domain.synthetic.events import Event, Expected, Sent

PROGRESS_SECONDS = 0.1


class ProduceError(RuntimeError):
    """Messages that could not be delivered; says how many were, why it stopped and what to do."""


@dataclass(frozen=True)
class ProducerReport:
    """What was sent. Every one of `sent` messages is confirmed by who took it."""

    topic: str
    sent: int
    seconds: float
    """From the first message to the confirmation of the last."""
    rate: float | None
    """Messages a second; None for fewer than two."""
    bytes: int
    kinds: Mapping[str, int]
    """Kind (`Sent`) -> messages."""
    meant: Mapping[str, str]
    """Kind -> the outcome the sink should reach with it."""
    expected: Mapping[str, int]
    """Outcome -> messages."""
    partitions: Mapping[int, int]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Tally:
    """Counts what goes out, and where it is confirmed to be."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.sent, self.bytes, self.confirmed = 0, 0, 0
        self.kinds = Counter[tuple[Sent, Expected]]()
        self.partitions = Counter[int]()
        self.started = time.perf_counter()

    def count(self, event: Event) -> None:
        """One more is sent; the clock starts with the first."""
        if not self.sent:
            self.started = time.perf_counter()
        self.sent += 1
        self.bytes += len(event.value or b"")
        self.kinds[event.kind, event.expected] += 1

    def report(self, seconds: float) -> ProducerReport:
        expected = Counter[str]()
        for (_, outcome), count in self.kinds.items():
            expected[str(outcome)] += count
        return ProducerReport(
            topic=self.topic,
            sent=self.sent,
            seconds=seconds,
            rate=(self.sent - 1) / seconds if self.sent > 1 else None,
            bytes=self.bytes,
            kinds={str(kind): count for (kind, _), count in self.kinds.items()},
            meant={str(kind): str(outcome) for kind, outcome in self.kinds},
            expected=dict(expected),
            partitions=dict(sorted(self.partitions.items())),
        )


def check_rate(rate: float | None) -> None:
    """Raises `ValueError` for a rate of zero or less."""
    if rate is not None and rate <= 0:
        raise ValueError(f"A rate is above zero, or None for as fast as possible, not {rate}.")


def paced(events: Iterable[Event], rate: float | None, on_progress: Callable[[int], None]) -> Iterable[Event]:
    """`events`, each when it is due: message i is due i/rate seconds after the first, so a stall is made up for.

    Sleeps are a millisecond or more: high rates go in bursts.
    """
    start = told = 0.0
    for number, event in enumerate(events):
        now = time.perf_counter()
        start, told = start or now, told or now  # the first event may take time to make
        ahead = number / rate - (now - start) if rate is not None else 0.0
        if ahead > 0.001:
            time.sleep(ahead)
        if now - told > PROGRESS_SECONDS:
            on_progress(number)
            told = now
        yield event
