"""The stream's part of a demo: a broker where this machine can run one, applications sent to it, and their scores."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from datetime import time as clock
from typing import TYPE_CHECKING

from rich.markup import escape

from credit_risk_platform.cli import kafka
from credit_risk_platform.cli.runs import RunOutcome, run_job
from credit_risk_platform.cli.warehouse import opened
from credit_risk_platform.settings import Settings, StreamTransport

if TYPE_CHECKING:
    from rich.console import Console

    from credit_risk_platform.adapters.kafka_broker import KafkaBroker
    from credit_risk_platform.cli.progress import ProgressLines

APPLICATIONS = 500
JOB, TOPIC = "micro_batch_scoring", "loan_applications"
PATIENCE_SECONDS = 90.0
_OUTCOMES = """
    select outcome, count(*) as n
    from gold.message_trace where topic = ? and processed_at >= ?::timestamp group by outcome order by n desc
"""
OPENS_AT, A_SECOND = clock(9), 10.0
"""Event times: from that hour of the book's last day, so many a second."""


def reserve_port(settings: Settings, console: Console) -> Settings:
    """The same settings, with another port for our own broker where a stranger sits on the usual one."""
    from credit_risk_platform.adapters.kafka_ports import is_free
    from credit_risk_platform.cli.processes import free_port

    broker = _own_broker(settings)
    chosen = "kafka_bootstrap_servers" in settings.model_fields_set  # on purpose: use whatever answers there
    if broker is None or chosen or broker.status().running or is_free(broker.host, broker.port):
        return settings
    port = free_port(broker.host, broker.port + 1)
    console.print(f"[yellow]Port {broker.port} is taken, Kafka will use {port}[/]")
    return settings.model_copy(update={"kafka_bootstrap_servers": f"{broker.host}:{port}"})


@contextmanager
def cluster(settings: Settings, console: Console) -> Iterator[bool]:
    """The cluster that is set, with the platform's topics; False where there is none, which is said with what to do.

    Our own broker is started, and stopped at the end unless it was running before.
    """
    broker = _own_broker(settings)
    started_here = broker is not None and not broker.status().running
    try:
        yield _made_ready(settings, console)
    finally:
        if broker is not None and started_here:
            broker.down()


def _own_broker(settings: Settings) -> KafkaBroker | None:
    """None where another cluster is set, or the stream is not Kafka's."""
    return kafka.own_broker(settings) if settings.stream_transport is StreamTransport.KAFKA else None


def _made_ready(settings: Settings, console: Console) -> bool:
    """A demo without a broker is still a demo: what is missing is a line on the screen, not an end."""
    from credit_risk_platform.adapters.kafka_distribution import KafkaBrokerError
    from credit_risk_platform.adapters.streaming.batch import NotReadyError
    from credit_risk_platform.resources import stream_transport

    transport = stream_transport(settings)
    try:
        if settings.stream_transport is StreamTransport.KAFKA:
            kafka.start(settings)
        transport.ensure_topics()
    except (KafkaBrokerError, NotReadyError) as error:
        console.print(f"[yellow]Skipped: scoring events from {transport.name}.[/] {escape(str(error))}", soft_wrap=True)
        return False
    return True


def send(settings: Settings, console: Console, seed: int) -> None:
    """Applications. The same seed sends the same ones, which are known when they come a second time."""
    from itertools import islice

    from credit_risk_platform.catalog import SYNTHETIC_AS_OF
    from credit_risk_platform.domain.synthetic.events import Pace, applications
    from credit_risk_platform.resources import stream_transport

    pace = Pace(datetime.combine(SYNTHETIC_AS_OF, OPENS_AT), A_SECOND)
    events = applications(seed, SYNTHETIC_AS_OF, pace)
    transport = stream_transport(settings)
    report = transport.produce(TOPIC, islice(events, APPLICATIONS))
    console.print(f"Sent {report.sent} loan applications to {transport.name} topic {TOPIC}")


def score_once(settings: Settings, console: Console, lines: ProgressLines) -> RunOutcome | None:
    """Start a broker, send, score in a run, stop it. `None` where there is no broker to be had."""
    with cluster(settings, console) as there:
        if not there:
            return None
        since = time.time()
        send(settings, console, settings.seed)
        outcome = run_job(settings, JOB, lines)
        if outcome.succeeded:
            _tell(settings, console, since)
        return outcome


def score_by_sensor(settings: Settings, console: Console, url: str) -> None:
    """Send, and wait for the running sensor to have them scored."""
    from credit_risk_platform.resources import stream_transport

    since = time.time()
    send(settings, console, int(since))  # served twice, a home gets new applicants
    with opened(settings) as warehouse:
        transport = stream_transport(settings, warehouse)
        with closing(transport.log(TOPIC, settings.kafka_group)) as log:
            while log.lag() and time.time() - since < PATIENCE_SECONDS:
                time.sleep(0.5)
            lag = log.lag()
    if lag:
        console.print(f"[yellow]{lag} of them still wait; see {url}/runs and {url}/automation[/]", soft_wrap=True)
        return
    _tell(settings, console, since)
    console.print(f"  Send more with [bold]crp produce[/]; what comes of them: {url}/assets/gold/application_scores")


def _tell(settings: Settings, console: Console, since: float) -> None:
    """What became of the messages that were processed after `since` (epoch seconds)."""
    from credit_risk_platform.resources import stream_transport

    seconds = time.time() - since
    with opened(settings) as warehouse:
        found = warehouse.query(_OUTCOMES, [TOPIC, datetime.fromtimestamp(since, UTC).replace(tzinfo=None)]).to_pylist()
    told = ", ".join(f"{row['n']:,} {row['outcome'].replace('_', ' ')}" for row in found)
    console.print(
        f"[green]{stream_transport(settings).name}:[/] {told}, {seconds:.1f} s after the first was sent", soft_wrap=True
    )
