"""`crp archive`: is an archived day still what it was, and bring its events back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from credit_risk_platform.cli.command import AsJson, Home, command, console, print_json

if TYPE_CHECKING:
    from credit_risk_platform.adapters.archive_restore import Restored
    from credit_risk_platform.adapters.archive_store import ArchiveStore
    from credit_risk_platform.settings import Settings

app = typer.Typer(help="The daily archive of raw events and drift reports: verify, restore.", no_args_is_help=True)
Day = Annotated[datetime, typer.Option("--day", formats=["%Y-%m-%d"], help="Archived UTC day, YYYY-MM-DD.")]
Archive = Annotated[Path | None, typer.Option(help="Folder of the archive (default: the home's own).")]


@app.command()
def verify(day: Day, archive: Archive = None, home: Home = None, as_json: AsJson = False) -> None:
    """Read a day's files again and compare them with its manifest; exit code 1 when one is not what it was."""
    from credit_risk_platform.adapters.archive import verify as verify_files
    from credit_risk_platform.adapters.archive_manifest import require_manifest
    from credit_risk_platform.cli.home import open_home

    with command(), _mendable():
        store = _store(open_home(home), archive)
        manifest, problems = require_manifest(store, day.date()), verify_files(store, day.date())
        if as_json:
            counts = {"files": len(manifest.files), "rows": manifest.rows, "bytes": manifest.total_bytes}
            print_json({"day": manifest.day, **counts, "problems": problems})
        else:
            said = f"{manifest.day}: {len(manifest.files)} files, {manifest.rows:,} rows, {manifest.total_bytes:,} B"
            lines = [f"  {problem}" for problem in problems] or ["  all are what the manifest says"]
            console.print("\n".join([said, *lines]), markup=False, soft_wrap=True)
        raise typer.Exit(1 if problems else 0)


@app.command()
def restore(day: Day, archive: Archive = None, home: Home = None, as_json: AsJson = False) -> None:
    """Bring back a day's events that the home's tables lack; none comes twice, and none that is there is changed."""
    from credit_risk_platform.adapters.archive_restore import restore as restore_events
    from credit_risk_platform.cli.home import open_home
    from credit_risk_platform.cli.warehouse import opened

    with command(), _mendable():
        settings = open_home(home)
        with opened(settings) as warehouse:
            found = restore_events(_store(settings, archive), day.date(), warehouse)
        if as_json:
            print_json([vars(one) for one in found])
        else:
            _show(day, found)
        raise typer.Exit(1 if any(one.differing for one in found) else 0)


def _store(settings: Settings, archive: Path | None) -> ArchiveStore:
    from credit_risk_platform.adapters.archive_store import ArchiveStore

    return ArchiveStore(archive.absolute() if archive is not None else settings.files("archive"))


def _show(day: datetime, found: list[Restored]) -> None:
    from credit_risk_platform.cli.tables import new_table

    counts = ("archived", "added", "differing")
    table = new_table(f"Events of {day:%Y-%m-%d}", ("table", *counts), right=counts)
    for one in found:
        table.add_row(one.table, f"{one.archived:,}", f"{one.added:,}", f"{one.differing:,}")
    console.print(table)
    if any(one.differing for one in found):
        console.print("Rows that differ stand in the lake with other values under the same key; they were left alone.")


@contextlib.contextmanager
def _mendable() -> Iterator[None]:
    from credit_risk_platform.adapters.archive_manifest import ArchiveError
    from credit_risk_platform.cli.home import CommandError

    try:
        yield
    except ArchiveError as error:
        raise CommandError(str(error)) from error
