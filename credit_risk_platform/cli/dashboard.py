"""`crp dashboard`: the analysts' pages, served by Streamlit from this machine alone."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from credit_risk_platform.cli.command import Home, command, console

if TYPE_CHECKING:
    from credit_risk_platform.settings import Settings

HEALTH = "/_stcore/health"
SCRIPT = Path(__file__).parents[1] / "dashboard" / "script" / "run.py"
OPTIONS = {
    "server.headless": "true",  # opens no browser, asks for no e-mail address
    "server.fileWatcherType": "none",
    "server.enableXsrfProtection": "true",
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "type",  # of a fault the reader sees its kind; the log has the rest
    "client.showErrorLinks": "false",
    "client.disableDataExport": "true",  # our own buttons make formulas harmless and log who took what
    "logger.level": "info",
}
"""Of Streamlit's server. As options, they win over a reader's own `~/.streamlit/config.toml`."""
THEME = {
    "base": "light",
    "primaryColor": "#2563eb",
    "textColor": "#1f2937",
    "borderColor": "#e5e7eb",
    "baseRadius": "0.4rem",
}
"""Light whatever the reader's system says: the figures are drawn for it."""


def dashboard(
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on (default: this machine only). Others ask readers for an API key."),
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="Port (default: 8501, or CRP_DASHBOARD_PORT).")
    ] = None,
    home: Home = None,
) -> None:
    """Show the portfolio to analysts: tiles, charts, loans, exports. It reads the marts and writes nothing to them."""
    from credit_risk_platform.cli.home import open_home

    with command():
        settings = open_home(home)
        serve(settings, host or settings.host, port or settings.dashboard_port)


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until INT or TERM; Streamlit takes our place.

    Raises:
        CommandError: the target is Snowflake, the port is taken, or readers would need a key and there is none.
    """
    from credit_risk_platform.adapters.kafka_ports import is_free, is_loopback
    from credit_risk_platform.adapters.warehouse.reader import ELSEWHERE
    from credit_risk_platform.cli.home import CommandError
    from credit_risk_platform.cli.keys import first_key
    from credit_risk_platform.settings import Target

    if settings.target is Target.SNOWFLAKE:
        raise CommandError(ELSEWHERE)
    if not is_free(host, port):
        raise CommandError(f"{host}:{port} is taken, or no address of this machine; choose another: --port or --host")
    if not is_loopback(host) or settings.dashboard_sign_in:
        first_key(settings)
        console.print("Readers sign in with an API key: crp keys create NAME --role analyst", soft_wrap=True)
    if not (settings.paths.warehouse / "catalog.sqlite").exists():
        console.print(
            f"{settings.home} holds no lake yet: the pages say so until crp demo has made one.", soft_wrap=True
        )
    console.print(f"Dashboard on http://{host}:{port}", soft_wrap=True)
    own = settings.model_copy(update={"dashboard_port": port})
    os.execve(sys.executable, [sys.executable, "-m", *dashboard_command(host, port)], own.environment())  # noqa: S606 - no shell is wanted


def dashboard_command(host: str, port: int) -> list[str]:
    """What follows `python -m`; the settings travel in the environment."""
    options = {
        **OPTIONS,
        **{f"theme.{name}": value for name, value in THEME.items()},
        "server.address": host,
        "server.port": str(port),
    }
    return ["streamlit", "run", str(SCRIPT), *(f"--{name}={value}" for name, value in options.items())]
