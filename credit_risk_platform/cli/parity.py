"""`crp parity`: do both warehouses hold the same marts? Runs the asset that compares them, and shows its verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from credit_risk_platform.cli.command import Home, command, console

if TYPE_CHECKING:
    from credit_risk_platform.cli.runs import RunOutcome
    from credit_risk_platform.settings import Settings

JOB = "warehouse_parity"


def parity(home: Home = None) -> None:
    """Compare every mart of this home's lake with the same mart in Snowflake; exit code 1 when one differs."""
    from credit_risk_platform.cli.demo import report_failure
    from credit_risk_platform.cli.home import open_home, prepare_home
    from credit_risk_platform.cli.progress import ProgressLines
    from credit_risk_platform.cli.runs import run_job

    with command():
        settings = open_home(home)
        prepare_home(settings)
        lines = ProgressLines(console)
        outcome = run_job(settings, JOB, lines)
        if not outcome.succeeded:
            report_failure(outcome, lines, console)
            raise typer.Exit(1)
        equal, told = verdict(settings, outcome)
        console.print("\n".join(told), markup=False, soft_wrap=True)
        raise typer.Exit(0 if equal else 1)


def verdict(settings: Settings, outcome: RunOutcome) -> tuple[bool, list[str]]:
    """What the check of that run said: whether the warehouses agree, and lines that name what does not."""
    import dagster as dg

    with dg.DagsterInstance.from_config(str(settings.paths.dagster)) as instance:
        found = instance.get_records_for_run(outcome.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        events = [record.event_log_entry.dagster_event for record in found.records]
        made = instance.get_records_for_run(outcome.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
        [(materialised)] = [record.event_log_entry.asset_materialization for record in made.records]
    [check] = [event.asset_check_evaluation_data for event in events if event is not None]
    metadata: dict[str, Any] = {} if materialised is None else dict(materialised.metadata)
    tables, rows = metadata["tables"].value, metadata["dagster/row_count"].value
    if check.passed:
        return True, [f"The warehouses agree: {tables} tables, {rows:,} rows, every key and column."]
    apart = check.metadata["tables_that_differ"].value
    differences = str(check.metadata["differences"].value).splitlines()
    return False, [f"{apart} of {tables} tables differ:", *differences, str(check.metadata["next_step"].value)]
