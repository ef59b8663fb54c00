"""`crp`: every command of the platform. Each one parses, calls one function and turns its answer into an exit code."""

from __future__ import annotations

import contextlib
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from credit_risk_platform.cli import (
    alerts,
    api,
    archive,
    dashboard,
    experiment,
    kafka,
    keys,
    kinesis,
    me_link,
    parity,
    produce,
    snowflake,
    stream,
)
from credit_risk_platform.cli.command import AsJson, Home, command, console, print_json

if TYPE_CHECKING:
    from credit_risk_platform.settings import PortfolioSource

app = typer.Typer(
    help="Credit risk on one asset graph: loan data in, governed scores out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(alerts.app, name="alerts")
app.add_typer(kafka.app, name="kafka")
app.add_typer(kinesis.app, name="kinesis")
app.add_typer(keys.app, name="keys")
app.add_typer(experiment.app, name="experiment")
app.add_typer(archive.app, name="archive")
app.add_typer(snowflake.app, name="snowflake")

Day = Annotated[datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], help="As-of date, YYYY-MM-DD.")]


class Source(StrEnum):
    """Names of the portfolio on the command line."""

    SYNTHETIC = "synthetic"
    LENDING_CLUB = "lending_club"
    LENDINGCLUB = "lendingclub"
    LANDING = "landing"

    @property
    def portfolio(self) -> PortfolioSource:
        from credit_risk_platform.settings import PortfolioSource

        return PortfolioSource("lending_club" if self is Source.LENDINGCLUB else self.value)


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the run instead of serving the result.")] = False,
    source: Annotated[Source | None, typer.Option(help="Which book to build (default: synthetic).")] = None,
    path: Annotated[Path | None, typer.Option(help="File with the loans, for lendingclub and landing.")] = None,
    loans: Annotated[int | None, typer.Option(min=100, help="Size of the synthetic book.")] = None,
    home: Home = None,
) -> None:
    """From nothing to scores: land, build marts, train, promote, score, watch for drift; then serve it."""
    from credit_risk_platform.cli import serving, streaming
    from credit_risk_platform.cli.demo import demo_settings, run_demo

    with command():
        settings = demo_settings(home, source.portfolio if source else None, path, loans, serve=not once)
        serving.refuse_second(settings)
        settings = streaming.reserve_port(settings, console)
        if not once:
            settings = serving.reserve_ports(settings, console)
        if not run_demo(settings, console, path, stream=once):
            raise typer.Exit(1)
        if not once:
            with contextlib.suppress(KeyboardInterrupt):
                serving.serve(settings, console)
            console.print("Stopped.")


@app.command()
def demo_cloud(
    loans: Annotated[int | None, typer.Option(min=100, help="Size of the synthetic book.")] = None,
    home: Home = None,
) -> None:
    """The demo on Snowflake and S3, without an account: servers here stand in. Then both warehouses are compared."""
    from credit_risk_platform.cli.demo_cloud import demo_settings, run

    with command():
        if code := run(demo_settings(home, loans), console):
            raise typer.Exit(code)


@app.command()
def dev(home: Home = None) -> None:
    """Dagster on this home for working on the code: reloads definitions from the UI."""
    from credit_risk_platform.cli.home import open_home, prepare_home
    from credit_risk_platform.cli.serving import develop, refuse_second

    with command():
        settings = open_home(home)
        refuse_second(settings)
        prepare_home(settings)
        raise typer.Exit(develop(settings))


@app.command()
def doctor(home: Home = None) -> None:
    """Look at every part the platform needs: ok, missing, how to fix. Exit code 1 when a required one is missing."""
    from credit_risk_platform.cli.doctor import examine, show
    from credit_risk_platform.cli.home import open_home

    with command():
        raise typer.Exit(0 if show(examine(open_home(home)), console) else 1)


@app.command()
def status(home: Home = None, as_json: AsJson = False) -> None:
    """Servers, the last materialisation and checks of each asset, and the champion. Works with everything down."""
    from credit_risk_platform.cli.home import open_home
    from credit_risk_platform.cli.status import collect, show

    with command():
        found = collect(open_home(home))
        print_json(found.as_dict()) if as_json else show(found, console)


@app.command()
def validate(
    file: Annotated[Path, typer.Argument(help="A loan file, as it would be put into the drop folder.")],
) -> None:
    """Check a loan file without landing it: what would land, what would be rejected and why."""
    from credit_risk_platform.cli.validate import validate_file

    with command():
        raise typer.Exit(0 if validate_file(file, console) else 1)


@app.command()
def train(home: Home = None) -> None:
    """Train the candidates on the present marts and promote the best, if the checks allow it."""
    with command():
        _run(home, "model_training")


@app.command()
def score(day: Day = None, home: Home = None) -> None:
    """Score every loan open on a day and write the ledger (default: the last day the book knows of)."""
    with command():
        _run(home, "portfolio_scoring", scored=True, day=day.date() if day else None)


@app.command()
def replay(
    score_id: Annotated[str | None, typer.Argument(help="Id of a row of the score ledger.")] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="Replay this many rows, drawn at random, instead.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of that draw.")] = 0,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Compute a score again from its ledger row and its model bundle; exit code 1 when a bit differs."""
    from credit_risk_platform.cli.home import open_home
    from credit_risk_platform.cli.replay import replay as replay_scores

    with command():
        found = replay_scores(open_home(home), score_id, sample, seed)
        if as_json:
            print_json(found.as_dict())
        else:
            console.print("\n".join(found.lines()), markup=False, soft_wrap=True)
        raise typer.Exit(0 if found.equal else 1)


app.command()(parity.parity)
app.command()(api.api)
app.command()(me_link.me_link)
app.command()(dashboard.dashboard)
app.command()(produce.produce)
app.command()(stream.stream)


def _run(home: Path | None, job: str, *, scored: bool = False, day: date | None = None) -> None:
    """One job on a home, with its progress; exit code 1 when it failed."""
    from credit_risk_platform.cli.demo import portfolio_as_of, report_failure
    from credit_risk_platform.cli.home import open_home, prepare_home
    from credit_risk_platform.cli.progress import ProgressLines
    from credit_risk_platform.cli.runs import run_job

    settings = open_home(home)
    prepare_home(settings)
    partition = (day or portfolio_as_of(settings)).isoformat() if scored else ""
    lines = ProgressLines(console)
    outcome = run_job(settings, job, lines, partition=partition)
    if not outcome.succeeded:
        report_failure(outcome, lines, console)
        raise typer.Exit(1)
    console.print(f"{job} succeeded in {outcome.seconds:.0f} s")


if __name__ == "__main__":
    app()
