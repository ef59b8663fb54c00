"""Prometheus metrics of the stream: served by a process that stays, or left in a file by a run that ends.

A file is in the format of node_exporter's textfile collector; its counters go on where the last run left them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from credit_risk_platform.adapters.streaming.batch import BatchReport

if TYPE_CHECKING:
    from prometheus_client import Metric

LOOPBACK = "127.0.0.1"
LATENCY_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3_600.0)
"""Seconds from an event's arrival in Kafka to the commit of its result."""
BATCH_SECONDS_BUCKETS = (0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
BATCH_SIZE_BUCKETS = (1, 5, 10, 50, 100, 500, 1_000, 5_000, 10_000, 100_000)
_CUMULATIVE = ("_total", "_bucket", "_sum", "_count")
_Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class StreamMetrics:
    """The metrics of one process, in a registry of its own."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = registry = CollectorRegistry()
        topic = ("topic",)
        self._lag = Gauge("crp_stream_lag_messages", "Messages not committed yet.", topic, registry=registry)
        self._messages = Counter(
            "crp_stream_messages", "Messages by what became of them.", ("topic", "outcome"), registry=registry
        )
        self._dead = Counter(
            "crp_stream_dead_letters", "Messages that could not be used, by reason.", ("topic", "reason"),
            registry=registry,
        )  # fmt: skip
        self._size = Histogram(
            "crp_stream_batch_messages", "Messages of a batch.", topic, buckets=BATCH_SIZE_BUCKETS, registry=registry
        )
        self._seconds = Histogram(
            "crp_stream_batch_seconds", "From reading a batch to its commit.", topic, buckets=BATCH_SECONDS_BUCKETS,
            registry=registry,
        )  # fmt: skip
        self._latency = Histogram(
            "crp_stream_event_to_result_seconds", "From an event's arrival in Kafka to the commit of its result.",
            topic, buckets=LATENCY_BUCKETS, registry=registry,
        )  # fmt: skip

    def observe(self, report: BatchReport) -> None:
        """Count one batch."""
        topic = report.topic
        self._lag.labels(topic).set(report.lag)
        self._size.labels(topic).observe(report.messages)
        self._seconds.labels(topic).observe(report.seconds)
        for outcome, count in report.outcomes.items():
            self._messages.labels(topic, str(outcome)).inc(count)
        for reason, count in report.reasons.items():
            self._dead.labels(topic, reason).inc(count)
        latency = self._latency.labels(topic)
        for milliseconds in report.latencies_ms:
            latency.observe(milliseconds / 1000)

    @contextmanager
    def served(self, port: int | None) -> Iterator[None]:
        """Answer on `http://127.0.0.1:<port>/metrics` for the block; without a port nothing is opened."""
        if port is None:
            yield
            return
        from prometheus_client import ProcessCollector, start_http_server

        ProcessCollector(registry=self.registry)  # not in a file: its process is gone when that is read
        server, thread = start_http_server(port, LOOPBACK, self.registry)
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def record(report: BatchReport, folder: Path) -> Path:
    """Add one batch to `<folder>/stream_<topic>.prom` and return it. One run of a topic writes at a time."""
    from prometheus_client import CollectorRegistry, write_to_textfile

    file = folder / f"stream_{report.topic}.prom"
    before = _values(file)
    own = StreamMetrics()
    own.observe(report)
    registry = CollectorRegistry()
    registry.register(_Continued(list(own.registry.collect()), before))
    folder.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(file), registry)  # aside, then renamed over: a scrape sees the old file or the new one
    return file


class _Continued:
    """Metrics of one batch on top of what earlier ones had counted; a gauge tells the present."""

    def __init__(self, now: Iterable[Metric], before: _Values) -> None:
        self.now, self.before = now, before

    def collect(self) -> Iterator[Metric]:
        from prometheus_client import Metric

        for metric in self.now:
            whole = Metric(metric.name, metric.documentation, metric.type)
            seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
            for sample in metric.samples:
                key = (sample.name, _labels(sample.labels))
                seen.add(key)
                if sample.name.endswith("_created"):
                    continue
                kept = self.before.get(key, 0.0) if sample.name.endswith(_CUMULATIVE) else 0.0
                whole.add_sample(sample.name, dict(sample.labels), sample.value + kept)
            for (name, labels), value in self.before.items():
                if name == f"{metric.name}_total" and (name, labels) not in seen:
                    whole.add_sample(name, dict(labels), value)  # an outcome this batch had none of
            yield whole


def _values(file: Path) -> _Values:
    from prometheus_client.parser import text_string_to_metric_families

    if not file.exists():
        return {}
    families = text_string_to_metric_families(file.read_text())
    return {
        (sample.name, _labels(sample.labels)): float(sample.value) for family in families for sample in family.samples
    }


def _labels(labels: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))
