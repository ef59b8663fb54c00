"""Prometheus metrics of one API process, in a registry of its own, and of the processes that share its port.

A scrape reaches one of them. So each leaves its metrics beside its spool now and then, and whoever is asked tells those
of all, with the label `process`.
"""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    ProcessCollector,
    generate_latest,
    write_to_textfile,
)
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from credit_risk_platform.serving.answers import Answer
from credit_risk_platform.serving.spool import Depth

LATENCY_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0)
FILE = "metrics.prom"
BATCH_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 500, 1_000, 10_000)


class ApiMetrics:
    """Counts requests, scores, the spool and the champion."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.latency = Histogram(
            "crp_api_request_seconds", "From the request's first byte to the answer's last.", ("endpoint", "status"),
            buckets=LATENCY_BUCKETS, registry=registry,
        )  # fmt: skip
        self.in_flight = Gauge("crp_api_requests_in_flight", "Requests being answered.", registry=registry)
        self.batch = Histogram(
            "crp_api_micro_batch_rows", "Applications scored together.", buckets=BATCH_BUCKETS, registry=registry
        )
        self._scores = Counter("crp_api_scores", "Scores given.", ("decision", "band"), registry=registry)
        self._disagree = Counter(
            "crp_api_baseline_disagreements", "Scores whose decision to decline differs from the plain rules'.",
            registry=registry,
        )  # fmt: skip
        self.refused = Counter("crp_api_applications_refused", "Applications that were not sound.", registry=registry)
        self.spool_rows = Gauge("crp_api_spool_rows", "Answered, and not in the ledger yet.", registry=registry)
        self.spool_bytes = Gauge("crp_api_spool_bytes", "Size of what waits.", registry=registry)
        self.spool_age = Gauge("crp_api_spool_age_seconds", "Age of the oldest that waits.", registry=registry)
        self.drained = Counter("crp_api_drained_rows", "Answered calls written to the ledger.", registry=registry)
        self.drain_failures = Counter("crp_api_drain_failures", "Attempts to write that failed.", registry=registry)
        self.refresh_failures = Counter(
            "crp_api_refresh_failures", "Looks at champion and policy that found them unfit.", registry=registry
        )
        self.ready = Gauge("crp_api_ready", "1 when applications can be scored.", registry=registry)
        self._champion = Gauge(
            "crp_api_champion_info", "1 for the model that scores.", ("version", "name", "bundle", "policy"),
            registry=registry,
        )  # fmt: skip

    def scored(self, answers: Iterable[Answer]) -> None:
        answers = list(answers)
        self.batch.observe(len(answers))
        for (decision, band), count in Tally((one["decision"], one["risk_category"]) for one in answers).items():
            self._scores.labels(decision, band).inc(count)
        differ = ((one["decision"] == "decline") != (one["rules_baseline"] == "decline") for one in answers)
        self._disagree.inc(sum(differ))

    def champion(self, version: str, name: str, bundle: str, policy: str) -> None:
        self._champion.clear()
        self._champion.labels(version, name, bundle[:12], policy).set(1)

    def spool(self, depth: Depth) -> None:
        self.spool_rows.set(depth.rows)
        self.spool_bytes.set(depth.bytes)
        self.spool_age.set(depth.age)

    def publish(self, folder: Path) -> None:
        """Leave the metrics in the folder of this process, for the others."""
        write_to_textfile(str(folder / FILE), self.registry)

    def text(self, own: Path) -> bytes:
        """The metrics of all processes whose folders lie beside `own`; of this one as they are now."""
        found = {own.name: list(self.registry.collect())}
        for file in own.parent.glob(f"*/{FILE}"):
            if file.parent != own:
                with suppress(FileNotFoundError):  # it has ended this moment
                    found[file.parent.name] = list(text_string_to_metric_families(file.read_text()))
        together = CollectorRegistry()
        together.register(_Together(found))
        return generate_latest(together)


class _Together:
    """Families of several processes as one, each sample with its process."""

    def __init__(self, found: Mapping[str, list[Metric]]) -> None:
        self.found = found

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for process, metrics in self.found.items():
            for metric in metrics:
                family = families.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
                for sample in metric.samples:
                    if not sample.name.endswith("_created"):
                        family.add_sample(sample.name, {**sample.labels, "process": process}, sample.value)
        yield from families.values()


class Measured:
    """ASGI middleware: how long each request took, by the template of its route and its status."""

    def __init__(self, app: ASGIApp, metrics: ApiMetrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, status = time.perf_counter(), "0"

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        self.metrics.in_flight.inc()
        try:
            await self.app(scope, receive, watched)
        finally:
            self.metrics.in_flight.dec()
            endpoint = getattr(scope.get("route"), "path", "other")
            self.metrics.latency.labels(endpoint, status).observe(time.perf_counter() - begun)
