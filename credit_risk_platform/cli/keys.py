"""`crp keys`: who may call the scoring API. A key is printed in the moment it is made, and never again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from credit_risk_platform.adapters.api_keys import ApiKey, ApiKeyError, ApiKeys, Role
from credit_risk_platform.cli.command import AsJson, Home, command, console, print_json

if TYPE_CHECKING:
    from pathlib import Path

    from credit_risk_platform.settings import Settings

app = typer.Typer(help="Keys of the scoring API: make, rotate, revoke, list.", no_args_is_help=True)
FIRST_CLIENT = "first-admin"
Client = Annotated[str, typer.Argument(help="Who calls: a system or a person.")]


@app.command()
def create(
    client: Client,
    role: Annotated[Role, typer.Option(help="What the client may do.")],
    days: Annotated[int | None, typer.Option(min=1, help="End of the key, in days from now (default: none).")] = None,
    home: Home = None,
) -> None:
    """Make a key and print it. A client has two live keys at most."""
    with command(), _mendable():
        now = datetime.now(UTC)
        _print_once(_keys(home).create(client, role, now, now + timedelta(days=days) if days else None))


@app.command()
def rotate(
    client: Client,
    overlap_days: Annotated[float, typer.Option(min=0, help="How long the present key goes on working.")] = 7.0,
    home: Home = None,
) -> None:
    """Make the client's next key; the present one ends after the overlap. A running API needs no restart."""
    with command(), _mendable():
        _print_once(_keys(home).rotate(client, datetime.now(UTC), timedelta(days=overlap_days)))


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="Id of the key, as `crp keys list` shows it.")], home: Home = None
) -> None:
    """End a key now; a running API refuses it within a second."""
    with command(), _mendable():
        key = _keys(home).revoke(key_id, datetime.now(UTC))
        console.print(f"Key {key.id} of {key.client} is revoked.", markup=False)


@app.command("list")
def list_keys(home: Home = None, as_json: AsJson = False) -> None:
    """Every key there is or was, by its id: client, role, state. Secrets are not kept, so none can be shown."""
    with command(), _mendable():
        found = [_shown(key, datetime.now(UTC)) for key in _keys(home).all()]
        print_json(found) if as_json else _show(found)


def first_key(settings: Settings) -> None:
    """For a home without keys: make an admin's and print it, so that the API never starts open nor locked to all."""
    with _mendable():
        key = ApiKeys(settings.paths.secrets).create_first(FIRST_CLIENT, Role.ADMIN, datetime.now(UTC))
    if key is not None:
        console.print("This home had no API key. One was made, with the role admin:")
        _print_once(key)


def _keys(home: Path | None) -> ApiKeys:
    from credit_risk_platform.cli.home import open_home

    return ApiKeys(open_home(home).paths.secrets)


def _print_once(key: str) -> None:
    """The key alone on stdout, so that a script can take it."""
    console.print(key, markup=False, soft_wrap=True)
    typer.echo("It is shown this once; only its hash is kept.", err=True)


def _shown(key: ApiKey, now: datetime) -> dict[str, Any]:
    state = "live" if key.live(now) else "revoked" if key.revoked else "ended"
    own = {"id": key.id, "client": key.client, "role": str(key.role), "state": state}
    return {**own, "created": key.created, "ends": key.ends, "revoked": key.revoked}


def _show(found: list[dict[str, Any]]) -> None:
    from credit_risk_platform.cli.tables import new_table

    if not found:
        console.print("No keys yet: crp keys create CLIENT --role underwriter")
        return
    table = new_table("API keys", ("id", "client", "role", "state", "created", "ends"))
    for key in found:
        times = [(key[name] or "")[:16].replace("T", " ") for name in ("created", "ends")]
        table.add_row(key["id"], key["client"], key["role"], key["state"], *times)
    console.print(table)


@contextlib.contextmanager
def _mendable() -> Iterator[None]:
    from credit_risk_platform.cli.home import CommandError

    try:
        yield
    except ApiKeyError as error:
        raise CommandError(str(error)) from error
