"""`crp kinesis`: the platform's streams in the AWS account that is set."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from credit_risk_platform.cli.command import AsJson, Home, command, console, print_json

if TYPE_CHECKING:
    from credit_risk_platform.adapters.kinesis_connection import KinesisConnection
    from credit_risk_platform.settings import Settings

app = typer.Typer(help="The platform's streams in Kinesis.", no_args_is_help=True)


@app.command()
def up(home: Home = None) -> None:
    """Make the streams that are absent, and wait until they can be used. Each shard costs money by the hour."""
    from credit_risk_platform.adapters.kinesis_streams import ensure_streams
    from credit_risk_platform.cli.home import open_home

    with command(), _mendable():
        settings = open_home(home)
        connection = kinesis_connection(settings)
        made = ensure_streams(connection, settings.kinesis_shards)
        told = f"Streams made: {', '.join(made)}" if made else "Streams: all there"
        console.print(f"{connection.where}: {told}", soft_wrap=True)
        if settings.stream_transport.value != "kinesis":
            console.print("The platform reads Kafka still: CRP_STREAM_TRANSPORT=kinesis changes that.", soft_wrap=True)


@app.command()
def status(home: Home = None, as_json: AsJson = False) -> None:
    """How each stream is: its shards, and how long it keeps records. Exit code 1 where one cannot be used."""
    from credit_risk_platform.cli.home import open_home

    with command(), _mendable():
        found = collect(open_home(home))
        print_json(found) if as_json else show(found)
        raise typer.Exit(0 if found["ready"] else 1)


def kinesis_connection(settings: Settings) -> KinesisConnection:
    """As the settings name it, whichever transport is chosen."""
    from credit_risk_platform.adapters.kinesis_connection import KinesisConnection

    return KinesisConnection(settings.kinesis_region, settings.kinesis_endpoint_url)


def collect(settings: Settings) -> dict[str, Any]:
    """What `status` shows. Changes nothing."""
    from credit_risk_platform.adapters.kinesis_streams import stream_states
    from credit_risk_platform.adapters.streaming.batch import NotReadyError

    connection = kinesis_connection(settings)
    try:
        states, problem = stream_states(connection), ""
    except NotReadyError as error:
        states, problem = [], str(error)
    return {
        "where": connection.where,
        "chosen": settings.stream_transport.value == "kinesis",
        "ready": not problem and all(state.status in ("ACTIVE", "UPDATING") for state in states),
        "problem": problem,
        "streams": [
            {
                "stream": state.stream,
                "status": state.status or "absent",
                "shards": state.shards,
                "retention_hours": state.retention_hours,
                "encrypted": state.encrypted,
            }
            for state in states
        ],
    }


def show(found: dict[str, Any]) -> None:
    """The same for people."""
    from credit_risk_platform.cli.tables import new_table

    chosen = "the platform's stream" if found["chosen"] else "not chosen: CRP_STREAM_TRANSPORT=kinesis does"
    console.print(f"{found['where']} ({chosen})", soft_wrap=True)
    if found["problem"]:
        console.print(found["problem"], markup=False, soft_wrap=True)
        return
    table = new_table("Streams", ("stream", "status", "shards", "keeps", "encrypted"), right=("shards", "keeps"))
    for stream in found["streams"]:
        absent = stream["status"] == "absent"
        table.add_row(
            stream["stream"],
            "[yellow]absent: crp kinesis up[/]" if absent else stream["status"],
            str(stream["shards"]),
            "" if absent else f"{stream['retention_hours']} h",
            "" if absent else ("yes" if stream["encrypted"] else "no"),
        )
    console.print(table)


@contextlib.contextmanager
def _mendable() -> Iterator[None]:
    """What AWS refuses ends the command with what to do, not with a traceback."""
    from credit_risk_platform.adapters.streaming.batch import NotReadyError
    from credit_risk_platform.cli.home import CommandError

    try:
        yield
    except NotReadyError as error:
        raise CommandError(str(error)) from error
