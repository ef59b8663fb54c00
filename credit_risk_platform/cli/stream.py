"""`crp stream`: the fast lane in the foreground. Scores events as they come, for a while or until Ctrl-C."""

from __future__ import annotations

import contextlib
import logging
import queue
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from credit_risk_platform.cli.command import AsJson, Home, command, console, print_json

if TYPE_CHECKING:
    from credit_risk_platform.adapters.ledger_writer import Stamp
    from credit_risk_platform.adapters.streaming.batch import BatchReport
    from credit_risk_platform.adapters.streaming.fast_lane import Summary
    from credit_risk_platform.settings import Settings

REPORT_SECONDS = 1.0
"""Materialisations are told to Dagster this often at most: each is a few writes to its database."""


def stream(
    duration: Annotated[float, typer.Option(min=1, help="Seconds to run.")] = 300.0,
    topic: Annotated[
        str, typer.Option(help="loan_applications, repayments or bank_transactions.")
    ] = "loan_applications",
    metrics_port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="Serve Prometheus metrics on this port of this machine.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Score events within the second, in a process that stays. Start it again beside itself to share the partitions."""
    from credit_risk_platform.adapters.streaming.batch import NotReadyError
    from credit_risk_platform.adapters.streaming.streams import NO_FAST_LANE
    from credit_risk_platform.cli.home import CommandError, open_home, prepare_home
    from credit_risk_platform.domain.contracts.messages import CONTRACTS
    from credit_risk_platform.log_format import install
    from credit_risk_platform.settings import StreamTransport

    with command():
        settings = open_home(home)
        if topic not in CONTRACTS:
            raise CommandError(f"there is no topic {topic}. Topics: {', '.join(CONTRACTS)}")
        if settings.stream_transport is not StreamTransport.KAFKA:
            raise CommandError(NO_FAST_LANE)
        prepare_home(settings)
        install(settings)
        logging.getLogger("kafka").setLevel(logging.CRITICAL)  # what matters of it comes as one sentence
        try:
            summary = run(settings, topic, duration, metrics_port, quiet=as_json)
        except NotReadyError as error:
            raise CommandError(str(error)) from error
        print_json(summary.as_dict()) if as_json else _show(summary)


def run(settings: Settings, topic: str, duration: float, metrics_port: int | None, *, quiet: bool) -> Summary:
    """The fast lane of a home, with its metrics and its materialisations."""
    from credit_risk_platform.adapters.streaming.fast_lane import FastLane
    from credit_risk_platform.adapters.streaming.metrics import StreamMetrics
    from credit_risk_platform.resources import build_streaming_resources

    resources = build_streaming_resources(settings)
    streams, warehouse = resources["streams"], resources["warehouse"]
    stamp = _stamp()
    say: Callable[[str], None] = (lambda _: None) if quiet else _once_in_a_while(console.print)
    metrics = StreamMetrics()
    try:
        with (
            _stoppable() as stopped,
            _told_to_dagster(settings, topic, stamp.run_id) as tell,
            metrics.served(metrics_port),
        ):
            if not quiet:
                console.print(f"Fast lane of {topic} for {duration:.0f} s as {stamp.run_id}. Ctrl-C ends it.")

            def on_batch(report: BatchReport) -> None:
                metrics.observe(report)
                tell(report)

            lane = FastLane(
                streams, topic, stamp, _now, batch_messages=settings.stream_batch_messages,
                on_batch=on_batch, on_wait=say, merge=warehouse.merge,
            )  # fmt: skip
            return lane.run(duration, stopped)
    finally:
        streams.close()
        warehouse.close()


def _stamp() -> Stamp:
    from credit_risk_platform.adapters.code_version import code_hash, git_commit
    from credit_risk_platform.adapters.ledger_writer import Stamp

    return Stamp(_now(), f"stream-{uuid.uuid4()}", "[]", git_commit(), code_hash())


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


@contextlib.contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """INT and TERM ask the lane to end after the batch in hand; a second one ends it at once."""
    asked = threading.Event()

    def ask(*_: Any) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _once_in_a_while(say: Callable[[str], None], seconds: float = 10.0) -> Callable[[str], None]:
    last = -seconds

    def maybe(text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            say(text)

    return maybe


@contextlib.contextmanager
def _told_to_dagster(settings: Settings, topic: str, run_id: str) -> Iterator[Callable[[BatchReport], None]]:
    """Batches become runless materialisations of the lane's assets, on a thread of its own: no event waits for them."""
    import dagster as dg
    from sqlalchemy.exc import SQLAlchemyError

    reports: queue.SimpleQueue[BatchReport | None] = queue.SimpleQueue()
    failures: list[Exception] = []
    with dg.DagsterInstance.from_config(str(settings.paths.dagster)) as instance:

        def work() -> None:
            try:
                for batches in _by_the_second(reports):
                    for event in _events(topic, batches, run_id):
                        instance.report_runless_asset_event(event)
            except (dg.DagsterError, SQLAlchemyError, OSError) as error:
                failures.append(error)  # told when the lane ends: scores do not depend on Dagster's books

        thread = threading.Thread(target=work, name="dagster-events", daemon=True)
        thread.start()
        try:
            yield reports.put
        finally:
            reports.put(None)
            thread.join(timeout=30)
    if failures:
        console.print(f"[yellow]Dagster was not told of all batches: {failures[0]}[/]", soft_wrap=True)


def _by_the_second(reports: queue.SimpleQueue[BatchReport | None]) -> Iterator[list[BatchReport]]:
    """What came in, in bunches, until `None` comes."""
    while (first := reports.get()) is not None:
        bunch, ended = [first], False
        time.sleep(REPORT_SECONDS)
        while not reports.empty():
            report = reports.get()
            ended = report is None
            if report is not None:
                bunch.append(report)
        yield bunch
        if ended:
            return


def _events(topic: str, batches: list[BatchReport], run_id: str) -> Iterator[Any]:
    import dagster as dg

    from credit_risk_platform.catalog import table_of
    from credit_risk_platform.defs.streaming.lanes import BY_TOPIC, SHARED

    lane = BY_TOPIC[topic]
    rows: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    for report in batches:
        rows.update(report.rows)
        outcomes.update({str(outcome): count for outcome, count in report.outcomes.items()})
    last = batches[-1]
    shared: dict[str, Any] = {
        "topic": topic,
        "stream": run_id,
        "batches": len(batches),
        "messages": sum(report.messages for report in batches),
        "lag": last.lag,
        **{f"messages_{outcome}": count for outcome, count in outcomes.items()},
        **({"bundle_sha": last.bundle_sha} if last.bundle_sha else {}),
    }
    p95 = [report.latency_p95_ms for report in batches if report.latency_p95_ms is not None]
    if p95:
        shared["event_to_result_p95_ms"] = round(max(p95), 1)
    version = ",".join(str(found) for found in last.ranges)
    for key in (*lane.keys, *(spec.key for spec in SHARED)):
        written = rows.get(table_of(key), 0)
        if written:
            yield dg.AssetMaterialization(
                key,
                metadata=shared | {"rows_written": written, "dagster/table_name": f"lake.{table_of(key)}"},
                tags={"dagster/data_version": f"{run_id}:{version}"},
            )


def _show(summary: Summary) -> None:
    from credit_risk_platform.cli.tables import new_table

    told = summary.as_dict()
    title = f"{told['messages']:,} messages in {told['batches']:,} batches, {told['seconds']} s; {told['lag']:,} wait"
    table = new_table(title, ("outcome", "messages"), right=("messages",))
    for outcome, count in sorted(told["outcomes"].items(), key=lambda item: -item[1]):
        table.add_row(outcome, f"{count:,}")
    console.print(table)
    if told["event_to_score_p50_ms"] is not None:
        console.print(
            f"Event to result: p50 {told['event_to_score_p50_ms']:.0f} ms, p95 {told['event_to_score_p95_ms']:.0f} ms, "
            f"longest {told['event_to_score_max_ms']:.0f} ms"
        )
    for reason, count in told["dead_letter_reasons"].items():
        console.print(f"  dead letters, {reason}: {count:,}")
