"""`crp produce`: made-up or replayed events into a topic, at a rate, with faults if asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from credit_risk_platform.cli.command import AsJson, Home, command, console, print_json

if TYPE_CHECKING:
    from credit_risk_platform.adapters.producing import ProducerReport
    from credit_risk_platform.domain.synthetic.events import Event, Pace
    from credit_risk_platform.settings import Settings

OPENS_AT = time(9)
EVENTS_PER_SECOND = 10.0
"""Distance of event times when messages are sent as fast as they can be."""
REPAYMENT_DAYS = 31
"""How long after the book's last day its repayments are told for: an instalment of every open loan."""
LENDING_CLUB = ("lendingclub", "lending_club")
NOW = "now"


@dataclass(frozen=True)
class Order:
    """What the command line asks for. `rate` None: as fast as possible."""

    topic: str
    rate: float | None
    at_most: int
    seed: int
    replay: Path | None
    faults: bool
    start: datetime


def produce(
    topic: Annotated[
        str, typer.Option(help="loan_applications, repayments or bank_transactions.")
    ] = "loan_applications",
    rate: Annotated[float, typer.Option(min=0, help="Messages a second; 0: as fast as the broker takes them.")] = 10.0,
    at_most: Annotated[int, typer.Option("--max", min=1, help="Stop after this many.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="The same seed sends the same events.")] = 7,
    source: Annotated[
        tuple[str, Path] | None, typer.Option("--from", help="Replay applications: lendingclub FILE.")
    ] = None,
    faults: Annotated[
        bool, typer.Option("--chaos", help="Mix in duplicates, late and broken messages, about one in ten.")
    ] = False,
    start: Annotated[
        str | None,
        typer.Option(help="Event time of the first message, ISO 8601 in UTC or 'now' (default: the book's last day, "
                          "for bank_transactions now)."),
    ] = None,
    bootstrap: Annotated[str | None, typer.Option(help="Brokers, host:port (default: as set).")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Send events to a topic of the stream, and say what the platform should make of them."""
    from credit_risk_platform.cli.home import open_home
    from credit_risk_platform.resources import stream_transport

    with command(), _mendable():
        settings = open_home(home, kafka_bootstrap_servers=bootstrap)
        order = Order(topic, rate or None, at_most, seed, _replayed(topic, source), faults, _start(topic, start))
        events = _events(settings, order)
        transport = stream_transport(settings)
        transport.ensure_topics()
        with _progress(order, hidden=as_json) as on_progress:
            report = transport.produce(topic, events, order.rate, on_progress)
        print_json(report.as_dict()) if as_json else _show(report, order)


def _replayed(topic: str, source: tuple[str, Path] | None) -> Path | None:
    from credit_risk_platform.adapters.sources.lending_club import find_extract
    from credit_risk_platform.cli.home import CommandError
    from credit_risk_platform.domain.contracts.messages import APPLICATIONS, CONTRACTS

    if topic not in CONTRACTS:
        raise CommandError(f"there is no topic {topic}. Topics: {', '.join(CONTRACTS)}")
    if source is None:
        return None
    name, path = source
    if name not in LENDING_CLUB or topic != APPLICATIONS.topic:
        raise CommandError(f"--from replays LendingClub's loans into {APPLICATIONS.topic}: --from lendingclub FILE")
    return find_extract(path)


def _start(topic: str, given: str | None) -> datetime:
    """Naive UTC. Transactions default to now: windows that have closed for an earlier run would find them late."""
    from credit_risk_platform.catalog import SYNTHETIC_AS_OF
    from credit_risk_platform.cli.home import CommandError
    from credit_risk_platform.domain.contracts.messages import REPAYMENTS, TRANSACTIONS

    if given == NOW or (given is None and topic == TRANSACTIONS.topic):
        return datetime.now(UTC).replace(tzinfo=None)
    if given is None:
        day = SYNTHETIC_AS_OF + timedelta(days=REPAYMENT_DAYS if topic == REPAYMENTS.topic else 0)
        return datetime.combine(day, OPENS_AT)
    try:
        moment = datetime.fromisoformat(given)
    except ValueError as error:
        raise CommandError(f"--start {given} is no time like 2026-07-01T09:30:00, nor '{NOW}'") from error
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _events(settings: Settings, order: Order) -> Iterator[Event]:
    from credit_risk_platform.domain.synthetic.chaos import chaos
    from credit_risk_platform.domain.synthetic.events import Pace

    pace = Pace(order.start, order.rate or EVENTS_PER_SECOND)
    events = islice(_sound(settings, order, pace), order.at_most)
    return chaos(events, order.seed) if order.faults else events


def _sound(settings: Settings, order: Order, pace: Pace) -> Iterator[Event]:
    from credit_risk_platform.adapters.sources.lending_club_events import applications_from_lending_club
    from credit_risk_platform.catalog import SYNTHETIC_AS_OF
    from credit_risk_platform.cli.home import CommandError
    from credit_risk_platform.domain.contracts.messages import APPLICATIONS, REPAYMENTS
    from credit_risk_platform.domain.synthetic.bookings import transactions
    from credit_risk_platform.domain.synthetic.events import applications, repayments
    from credit_risk_platform.settings import PortfolioSource

    if order.replay is not None:
        return applications_from_lending_club(order.replay, pace, today=datetime.now(UTC).date())
    if order.topic == APPLICATIONS.topic:
        return applications(order.seed, SYNTHETIC_AS_OF, pace)
    if settings.portfolio_source is not PortfolioSource.SYNTHETIC:
        raise CommandError(
            f"{order.topic} are those of the synthetic book; this home holds {settings.portfolio_source}"
        )
    if order.topic == REPAYMENTS.topic:
        until = SYNTHETIC_AS_OF + timedelta(days=REPAYMENT_DAYS)
        book = settings.synthetic_loans, settings.seed
        return repayments(*book, SYNTHETIC_AS_OF, until, pace, source=order.seed)
    return transactions(order.seed, settings.synthetic_loans, pace)


@contextmanager
def _progress(order: Order, *, hidden: bool) -> Iterator[Callable[[int], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=hidden) as shown:
        task = shown.add_task(order.topic, total=order.at_most)
        yield lambda sent: shown.update(task, completed=sent)


def _show(report: ProducerReport, order: Order) -> None:
    from credit_risk_platform.cli.tables import new_table
    from credit_risk_platform.domain.contracts.messages import REPAYMENTS

    pace = f", {report.rate:,.1f} a second" if report.rate else ""
    title = f"{report.sent:,} messages in {report.topic} after {report.seconds:.1f} s{pace}"
    table = new_table(title, ("sent", "messages", "the platform should make it"), right=("messages",))
    for kind, count in sorted(report.kinds.items(), key=lambda item: -item[1]):
        table.add_row(kind, f"{count:,}", report.meant[kind])
    console.print(table)
    spread = ", ".join(f"{partition}: {count:,}" for partition, count in report.partitions.items())
    console.print(f"Per partition {spread}", soft_wrap=True)
    if report.sent < order.at_most:
        console.print(f"The source holds no more than {report.sent:,}.")
    if report.topic == REPAYMENTS.topic:
        console.print(
            "Where no behavioural model covers the loan, a repayment is recorded and not scored.", soft_wrap=True
        )
    console.print(
        "[dim]The same command sends the same events: a second time they count as duplicates.[/]", soft_wrap=True
    )


@contextmanager
def _mendable() -> Iterator[None]:
    """What the cluster or the file refuses ends the command with its own words."""
    from credit_risk_platform.adapters.producing import ProduceError
    from credit_risk_platform.adapters.streaming.batch import NotReadyError
    from credit_risk_platform.cli.home import CommandError
    from credit_risk_platform.domain.contracts.errors import LandingError

    # The client tells each attempt that fails; the command tells the end of it once.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    try:
        yield
    except (ProduceError, NotReadyError, LandingError) as error:
        raise CommandError(str(error)) from error
