"""How quickly and how well the scoring API answered lately, from two looks at its `/metrics`.

Its counters only grow, so the calls of the last minutes are what one look has more than an earlier one. Earlier looks
are kept as text by whoever asks (the alert book's cursor).
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from urllib.error import URLError
from urllib.request import urlopen

WINDOW = timedelta(minutes=5)
"""As in `deploy/prometheus/rules.yml`."""
ENOUGH_CALLS = 20
"""The 95th percentile of fewer calls is one call."""
TIMEOUT_SECONDS = 3.0
HISTOGRAM = "crp_api_request_seconds"
PREDICT, CALLS = "/api/v1/predict", "/api/"
"""Latency is that of single predictions, since a batch takes as long as it is large; errors count over all calls."""


class NotScrapedError(Exception):
    """Nobody answers, or not with metrics. The message says where, and what to do."""


@dataclass(frozen=True)
class Counted:
    """What one API process has counted since it began: calls per upper bound in seconds (cumulative), and errors."""

    buckets: Mapping[str, float]
    calls: float
    failed: float

    def since(self, before: Counted | None) -> Counted:
        """What came after `before`; a process that has begun anew counts from nothing again."""
        if before is None or self.calls < before.calls:
            return self
        buckets = {bound: count - before.buckets.get(bound, 0.0) for bound, count in self.buckets.items()}
        return Counted(buckets, self.calls - before.calls, self.failed - before.failed)


@dataclass(frozen=True)
class Look:
    """One scrape: what each process had counted at `at`."""

    at: datetime
    processes: Mapping[str, Counted]


@dataclass(frozen=True)
class Lately:
    """The calls between two looks, `seconds` apart."""

    buckets: Mapping[str, float]
    calls: float
    failed: float
    seconds: float

    @property
    def predictions(self) -> float:
        return max(self.buckets.values(), default=0.0)

    @property
    def p95_ms(self) -> float | None:
        """Milliseconds; between two bounds as if calls lay evenly, like Prometheus' `histogram_quantile`."""
        return _quantile(self.buckets, 0.95) * 1_000 if self.predictions >= ENOUGH_CALLS else None

    @property
    def error_rate(self) -> float | None:
        """Share of calls that failed on our side."""
        return self.failed / self.calls if self.calls >= ENOUGH_CALLS else None


def scrape(url: str, now: datetime) -> Look:
    """Ask `url`. Raises `NotScrapedError`."""
    try:
        with urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - our own address, http
            return read(answer.read().decode(), now)
    except (URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise NotScrapedError(f"{url} gives no metrics ({reason}); start the API with `crp api`") from error


def read(text: str, now: datetime) -> Look:
    """The looked-for counters of a text in Prometheus' format. Raises `ValueError` for another text."""
    from prometheus_client.parser import text_string_to_metric_families

    buckets: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    calls: dict[str, float] = defaultdict(float)
    failed: dict[str, float] = defaultdict(float)
    families = [family for family in text_string_to_metric_families(text) if family.name == HISTOGRAM]
    for sample in (sample for family in families for sample in family.samples):
        process, endpoint = sample.labels.get("process", ""), sample.labels.get("endpoint", "")
        if sample.name == f"{HISTOGRAM}_bucket" and endpoint == PREDICT:
            buckets[process][sample.labels["le"]] += sample.value
        elif sample.name == f"{HISTOGRAM}_count" and endpoint.startswith(CALLS):
            calls[process] += sample.value
            status = sample.labels.get("status", "")
            failed[process] += sample.value if status == "0" or status.startswith("5") else 0.0
    return Look(now, {name: Counted(dict(buckets[name]), calls[name], failed[name]) for name in calls})


def lately(looks: Sequence[Look]) -> Lately | None:
    """The calls of the last `WINDOW`, or of what has been seen of it; `None` after a single look."""
    *earlier, last = looks
    old_enough = [look for look in earlier if last.at - look.at >= WINDOW]
    first = old_enough[-1] if old_enough else earlier[0] if earlier else None
    if first is None:
        return None
    new = [counted.since(first.processes.get(name)) for name, counted in last.processes.items()]
    bounds = {bound for counted in new for bound in counted.buckets}
    return Lately(
        buckets={bound: sum(counted.buckets.get(bound, 0.0) for counted in new) for bound in bounds},
        calls=sum(counted.calls for counted in new),
        failed=sum(counted.failed for counted in new),
        seconds=(last.at - first.at).total_seconds(),
    )


def remembered(kept: str | None, now: datetime) -> list[Look]:
    """The looks of `to_text` that still count: the oldest is the last one before the window."""
    found = [
        Look(datetime.fromisoformat(at), {name: Counted(**counted) for name, counted in processes.items()})
        for at, processes in json.loads(kept or "[]")
    ]
    recent = [look for look in found if now - look.at < 2 * WINDOW]  # a watch that was off begins anew
    before = [look for look in recent if now - look.at >= WINDOW]
    return [*before[-1:], *(look for look in recent if now - look.at < WINDOW)]


def to_text(looks: Sequence[Look]) -> str:
    return json.dumps(
        [
            (look.at.isoformat(), {name: asdict(counted) for name, counted in look.processes.items()})
            for look in looks
        ]
    )  # fmt: skip


def _quantile(buckets: Mapping[str, float], share: float) -> float:
    """Seconds. The last finite bound where the quantile lies beyond it."""
    ordered = sorted((float(bound), count) for bound, count in buckets.items())
    rank = share * ordered[-1][1]
    for (lower, below), (upper, within) in pairwise([(0.0, 0.0), *ordered]):
        if within >= rank:
            return lower if math.isinf(upper) else lower + (upper - lower) * (rank - below) / (within - below)
    raise AssertionError("a histogram's last bucket holds all calls")
