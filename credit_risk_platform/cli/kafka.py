"""`crp kafka`: a broker of our own on this machine, and the platform's topics on whichever cluster is set."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from credit_risk_platform.cli.command import AsJson, Home, command, console, print_json

if TYPE_CHECKING:
    from credit_risk_platform.adapters.kafka_broker import KafkaBroker
    from credit_risk_platform.adapters.kafka_topics import TopicState
    from credit_risk_platform.settings import Settings

app = typer.Typer(help="A Kafka broker of our own, and the platform's topics.", no_args_is_help=True)


@app.command()
def up(home: Home = None) -> None:
    """Start a broker on this machine, unless another cluster is set, and make the platform's topics there."""
    from credit_risk_platform.cli.home import open_home

    with command(), _mendable():
        settings = open_home(home)
        start(settings)
        made = ensure(settings)
        console.print(f"Topics made: {', '.join(made)}" if made else "Topics: all there", soft_wrap=True)


@app.command()
def down(home: Home = None) -> None:
    """Stop the broker of this home; what was sent to it stays for the next start."""
    from credit_risk_platform.cli.home import open_home

    with command(), _mendable():
        settings = open_home(home)
        broker = own_broker(settings)
        if broker is None:
            console.print(f"{settings.kafka_bootstrap_servers} is not a broker of this home: nothing to stop.")
        else:
            console.print("Kafka stopped." if broker.down() else "Kafka was not running.")


@app.command()
def status(home: Home = None, as_json: AsJson = False) -> None:
    """Which cluster is used, whether it answers, and what each topic holds. Exit code 1 when it does not answer."""
    from credit_risk_platform.cli.home import open_home

    with command(), _mendable():
        settings = open_home(home)
        found = collect(settings)
        print_json(found) if as_json else show(found)
        raise typer.Exit(0 if found["ready"] else 1)


def start(settings: Settings) -> None:
    """The broker of this home, if it is the one that is set; says what was done. Starting it twice changes nothing."""
    from credit_risk_platform.adapters.kafka_distribution import MEGABYTES
    from credit_risk_platform.adapters.kafka_ports import answers

    broker = own_broker(settings)
    if broker is None:
        console.print(f"Using the cluster at {settings.kafka_bootstrap_servers}; no broker is started here.")
        return
    before = broker.status()
    if not before.running and answers(broker.bootstrap):
        console.print(f"Using the Kafka that answers at {broker.bootstrap}; it is not of this home.")
        return
    if not broker.distribution.fetched and not broker.missing():
        console.print(f"Fetching Kafka {before.version} with Maven, once (about {MEGABYTES} MB) ...")
    now = broker.up()
    said = "was up already" if before.ready else "is up"
    console.print(
        f"Kafka {now.version} {said} at {now.bootstrap} (process {now.pid}). Its log: {now.log}", soft_wrap=True
    )


def ensure(settings: Settings) -> list[str]:
    """Names of the topics that were absent and are there now."""
    from credit_risk_platform.adapters.kafka_topics import ensure_topics
    from credit_risk_platform.resources import kafka_connection

    return ensure_topics(kafka_connection(settings), settings.kafka_partitions)


def own_broker(settings: Settings) -> KafkaBroker | None:
    """The broker that this home would start; None when the settings name a cluster that is not ours to start."""
    from credit_risk_platform.adapters.kafka_broker import KafkaBroker
    from credit_risk_platform.adapters.kafka_ports import addresses, is_loopback
    from credit_risk_platform.cli.home import CommandError
    from credit_risk_platform.settings import KafkaSecurity

    try:
        (host, port), *more = addresses(settings.kafka_bootstrap_servers)
    except ValueError as error:
        raise CommandError(f"KAFKA_BOOTSTRAP_SERVERS={settings.kafka_bootstrap_servers}: {error}") from error
    if more or not is_loopback(host) or settings.kafka_security_protocol is not KafkaSecurity.PLAINTEXT:
        return None
    return KafkaBroker(settings.paths.kafka, host, port)


def collect(settings: Settings) -> dict[str, Any]:
    """What `status` shows. Changes nothing and works with everything down."""
    from credit_risk_platform.adapters.kafka_topics import topic_states
    from credit_risk_platform.adapters.streaming.batch import NotReadyError
    from credit_risk_platform.resources import kafka_connection

    broker = own_broker(settings)
    own = broker.status() if broker else None
    try:
        states, problem = topic_states(kafka_connection(settings)), ""
    except NotReadyError as error:
        states, problem = [], str(error)
    return {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "ready": not problem,
        "problem": problem,
        "own_broker": {"pid": own.pid, "version": own.version, "log": own.log} if own and own.running else None,
        "topics": [_topic(state) for state in states],
    }


def _topic(state: TopicState) -> dict[str, Any]:
    return {
        "topic": state.topic,
        "partitions": state.partitions,
        "messages": state.messages,
        "beginnings": dict(state.beginnings),
        "ends": dict(state.ends),
    }


def show(found: dict[str, Any]) -> None:
    """The same for people."""
    from credit_risk_platform.cli.tables import new_table

    state = "up" if found["ready"] else "down"
    if own := found["own_broker"]:
        state += f" (broker of this home, Kafka {own['version']}, process {own['pid']})"
    elif found["ready"]:
        state += " (not a broker of this home)"
    console.print(f"{found['bootstrap_servers']}: {state}", soft_wrap=True)
    if found["problem"]:
        console.print(found["problem"], markup=False, soft_wrap=True)
        return
    table = new_table("Topics", ("topic", "partitions", "messages", "offsets"), right=("partitions", "messages"))
    for topic in found["topics"]:
        spans = ", ".join(f"{p}: {topic['beginnings'][p]}-{end}" for p, end in sorted(topic["ends"].items()))
        absent = "[yellow]absent: crp kafka up[/]"
        table.add_row(topic["topic"], str(topic["partitions"]), f"{topic['messages']:,}", spans or absent)
    console.print(table)


@contextlib.contextmanager
def _mendable() -> Iterator[None]:
    """What the broker or the cluster refuses ends the command with its own words, not with a traceback."""
    from credit_risk_platform.adapters.kafka_distribution import KafkaBrokerError
    from credit_risk_platform.adapters.streaming.batch import NotReadyError
    from credit_risk_platform.cli.home import CommandError

    # The client tells each attempt that fails; the command tells the end of it once.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    try:
        yield
    except (KafkaBrokerError, NotReadyError) as error:
        raise CommandError(str(error)) from error
