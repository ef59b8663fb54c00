"""What every command shares: its options, its console, and how it ends."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

console = Console(highlight=False, emoji=False)

Home = Annotated[
    Path | None, typer.Option(help="Folder that holds everything a portfolio made (default: data, or CRP_HOME).")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program instead of tables.")]


@contextlib.contextmanager
def command() -> Iterator[None]:
    """Errors a user can mend become one message and exit code 1; TERM ends a command as Ctrl-C does."""
    from credit_risk_platform.cli.home import CommandError

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    # Set also for INT: a background job of a shell inherits it as "ignore".
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except CommandError as error:
        Console(stderr=True, highlight=False, emoji=False).print(
            f"crp: {error}", style="red", markup=False, soft_wrap=True
        )
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        console.print("Interrupted.")
        raise typer.Exit(130) from None


def print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")
