"""`crp api`: the scoring API in the foreground, or what is left of one that was killed taken to the ledger."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from credit_risk_platform.cli.command import Home, command, console

if TYPE_CHECKING:
    from fastapi import FastAPI

    from credit_risk_platform.settings import Settings


def api(
    host: Annotated[str | None, typer.Option(help="Address to listen on (default: this machine only).")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65_535, help="Port (default: 8000, or CRP_API_PORT).")] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that share the port.")] = 1,
    drain: Annotated[
        bool, typer.Option("--drain", help="Only write scores that a killed API left on disk to the ledger, then end.")
    ] = False,
    home: Home = None,
) -> None:
    """Score applications over HTTP: POST /api/v1/predict. Documentation stands at /docs."""
    from credit_risk_platform.cli.home import open_home
    from credit_risk_platform.cli.keys import first_key

    with command():
        settings = open_home(home)
        if drain:
            console.print(f"{_drained(settings):,} scores written to the ledger.")
            return
        first_key(settings)
        serve(settings, host or settings.host, port or settings.api_port, workers)


def serve(settings: Settings, host: str, port: int, workers: int) -> None:
    """Serve until INT or TERM. More than one process: uvicorn takes our place and starts them."""
    import uvicorn

    from credit_risk_platform.cli.home import CommandError
    from credit_risk_platform.cli.warehouse import check_target
    from credit_risk_platform.log_format import install
    from credit_risk_platform.resources import open_warehouse
    from credit_risk_platform.serving.app import create_app
    from credit_risk_platform.serving.security.gate import UVICORN
    from credit_risk_platform.settings import LogFormat

    check_target(settings)
    install(settings)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    console.print(f"Scoring API on http://{host}:{port}, documentation at http://{host}:{port}/docs", soft_wrap=True)
    shared: dict[str, Any] = {"host": host, "port": port, "log_level": "warning", **UVICORN}
    if workers == 1:
        # uvicorn would set up loggers of its own, in text.
        own: dict[str, Any] = {"log_config": None} if settings.log_format is LogFormat.JSON else {}
        server = uvicorn.Server(uvicorn.Config(create_app(settings, open_warehouse), **shared, **own))
        with contextlib.suppress(KeyboardInterrupt, SystemExit):  # how uvicorn says why it ended
            server.run()
        if not server.started:
            raise CommandError(f"the API could not start on {host}:{port}; the line above says why")
        console.print("Stopped.")
        return
    app = "credit_risk_platform.cli.api:from_environment"
    options = _options({**shared, "factory": True, "workers": workers})
    os.execve(sys.executable, [sys.executable, "-m", "uvicorn", app, *options], settings.environment())  # noqa: S606 - no shell is wanted


def from_environment() -> FastAPI:
    """The app for a server that is given the name of a function."""
    from credit_risk_platform.log_format import install
    from credit_risk_platform.resources import open_warehouse
    from credit_risk_platform.serving.app import create_app
    from credit_risk_platform.settings import Settings

    settings = Settings()
    install(settings)
    return create_app(settings, open_warehouse)


def _options(settings: dict[str, Any]) -> list[str]:
    """Settings of uvicorn as its command line has them."""
    options: list[str] = []
    for name, value in settings.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            options.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            options += [f"--{flag}", str(value)]
    return options


def _drained(settings: Settings) -> int:
    from credit_risk_platform.adapters.api_sink import ApiSink
    from credit_risk_platform.adapters.ledger import LedgerError
    from credit_risk_platform.cli.home import CommandError
    from credit_risk_platform.cli.warehouse import opened
    from credit_risk_platform.serving.drain import drain_orphans
    from credit_risk_platform.serving.rows import FULL_SCHEMA

    try:
        with opened(settings) as warehouse:
            return drain_orphans(ApiSink(warehouse, FULL_SCHEMA), settings.paths.api / "spool", retry=True)
    except LedgerError as error:
        raise CommandError(f"the ledger refuses them: {error}") from error
