"""`crp demo`: from nothing to a governed score book."""

from __future__ import annotations

import shutil
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from credit_risk_platform.cli.home import CommandError, open_home, prepare_home, remember
from credit_risk_platform.cli.progress import ProgressLines
from credit_risk_platform.cli.runs import Request, RunOutcome, run_job, run_jobs
from credit_risk_platform.cli.status import collect, show
from credit_risk_platform.cli.streaming import score_once
from credit_risk_platform.cli.tables import new_table
from credit_risk_platform.cli.warehouse import opened
from credit_risk_platform.settings import PortfolioSource, Settings

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

SLOWEST_SHOWN = 10
SHOW_DECISIONS = ("gold/approvals", "gold/score_distribution", "gold/bi_decisions", "gold/published_marts")


def demo_settings(
    home: Path | None, source: PortfolioSource | None, path: Path | None, loans: int | None, *, serve: bool
) -> Settings:
    """Settings of one demo. The home's memory is not asked: a demo says anew which book it is about."""
    if path is not None and not path.is_file():
        raise CommandError(f"{path} is not a file. --path names the file with the loans")
    settings = open_home(
        home,
        recall=False,
        portfolio_source=source,
        lending_club_path=path if source is PortfolioSource.LENDING_CLUB else None,
        synthetic_loans=loans,
        automation_running=serve or None,
    )
    if settings.portfolio_source is PortfolioSource.LENDING_CLUB and settings.lending_club_path is None:
        raise CommandError("--source lendingclub needs its file: --path LoanStats3a.csv.gz")
    if path is not None and settings.portfolio_source is PortfolioSource.SYNTHETIC:
        raise CommandError("--path goes with --source lendingclub or --source landing; the synthetic book has no file")
    return settings


def run_demo(settings: Settings, console: Console, path: Path | None, *, stream: bool = False) -> bool:
    """Land, build, train, promote, score, watch; then, to `stream`, score events from Kafka where there is a broker.

    False when a step or a blocking check failed.
    """
    prepare_home(settings)
    remember(settings)
    if path is not None and settings.portfolio_source is PortfolioSource.LANDING:
        shutil.copyfile(path, settings.paths.landing / path.name)
    console.print(f"Portfolio [bold]{settings.portfolio_source.value}[/] in {settings.home}", soft_wrap=True)
    console.print("[dim]Loading the graph; a new home compiles the dbt project first ...[/]")
    lines = ProgressLines(console)
    started = time.monotonic()
    outcome: RunOutcome | None = _run_jobs(settings, lines)
    if stream and outcome is not None and outcome.succeeded:
        outcome = score_once(settings, console, lines)
        if outcome is not None and outcome.succeeded:
            outcome = _show_decisions(settings, lines)
    if outcome is not None and not outcome.succeeded:
        report_failure(outcome, lines, console)
        return False
    console.print()
    show(collect(settings), console)
    console.print(_timings(lines.step_seconds, time.monotonic() - started))
    return True


def _run_jobs(settings: Settings, lines: ProgressLines) -> RunOutcome:
    from credit_risk_platform.catalog import SCENARIOS

    if settings.portfolio_source is not PortfolioSource.SYNTHETIC:
        book = f"bronze/{settings.portfolio_source.value}_loans"
        landed = run_job(settings, "daily_ingestion", lines, assets=[book])  # it tells as of when to score it
        if not landed.succeeded:
            return landed
    scenarios = SCENARIOS.get_partition_keys()
    whole = Request("full_pipeline", portfolio_as_of(settings).isoformat())
    stressed = Request("stress_testing", f"{scenarios[0]}...{scenarios[-1]}")
    return run_jobs(settings, [whole, stressed], lines)


def _show_decisions(settings: Settings, lines: ProgressLines) -> RunOutcome:
    """Decide on what was streamed, and bring it to the marts that analysts open; by themselves they follow hourly."""
    shown = Request("portfolio_risk", assets=SHOW_DECISIONS)
    return run_jobs(settings, [Request("application_decisions"), shown], lines)


def portfolio_as_of(settings: Settings) -> date:
    """The day a book is scored at: its last decision day, or the end of its last issue month where no day is known."""
    from credit_risk_platform.catalog import SYNTHETIC_AS_OF

    if settings.portfolio_source is PortfolioSource.SYNTHETIC:
        return SYNTHETIC_AS_OF
    table = f"bronze.{settings.portfolio_source.value}_loans"
    with opened(settings) as warehouse:
        landed = warehouse.exists(table)
        query = f"select max(coalesce(application_date, last_day(issue_d))) as as_of from {table}"
        as_of: date | None = warehouse.query(query)["as_of"][0].as_py() if landed else None
    if as_of is None:
        raise CommandError(
            f"no loan of {settings.portfolio_source.value} stands in {settings.home}. Land some with crp demo; "
            f"what was refused lies in {settings.files('lake').location('quarantine')}"
        )
    return as_of


def report_failure(outcome: RunOutcome, lines: ProgressLines, console: Console) -> None:
    """Why a run failed, and where to read on."""
    console.print(f"\n[red bold]{outcome.job} failed[/] after {outcome.seconds:.0f} s")
    for failure in lines.failures or [outcome.last_words()]:
        console.print(f"  {escape(failure)}", soft_wrap=True)
    console.print(f"Everything the run printed: {outcome.log}", soft_wrap=True)


def _timings(step_seconds: dict[str, float], total: float) -> Table:
    """The slowest steps: where the time went."""
    table = new_table(f"{total:.0f} s in all, slowest steps", ("step", "seconds"), right=("seconds",))
    for step, seconds in sorted(step_seconds.items(), key=lambda item: -item[1])[:SLOWEST_SHOWN]:
        table.add_row(step, f"{seconds:.1f}")
    return table
