"""`crp validate`: what a landing would say about a file, without landing it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from credit_risk_platform.cli.home import CommandError
from credit_risk_platform.cli.tables import new_table

if TYPE_CHECKING:
    from rich.console import Console

    from credit_risk_platform.adapters.landing.report import LandingReport

REJECTS_SHOWN = 20


def validate_file(file: Path, console: Console) -> bool:
    """Print the report; False when somebody has to mend something.

    Notices and totals between the rows (`junk_line`) are counted and shown, but are no fault: LendingClub's own files
    carry them.
    """
    from credit_risk_platform.adapters.landing.report import validate_file as judge
    from credit_risk_platform.domain.contracts.errors import LandingError
    from credit_risk_platform.domain.contracts.reasons import Reason

    if not file.is_file():
        raise CommandError(f"{file} is not a file")
    try:
        report = judge(file, today=datetime.now(UTC).date())
    except LandingError as error:
        refused = new_table(f"{file.name} would not land", ("column", "problem", "next step"))
        refused.add_row(escape(error.column or "whole file"), escape(error.problem), escape(error.next_step))
        console.print(refused)
        return False
    _show(report, console)
    faults = {reason for reason in report.counts.rejects_by_reason if reason != Reason.JUNK_LINE}
    console.print("Validation passed." if not faults else f"Validation failed: {', '.join(sorted(faults))}.")
    return not faults


def _show(report: LandingReport, console: Console) -> None:
    counts = report.counts
    summary = new_table(report.file, ("", "rows"), right=("rows",))
    summary.add_row("in the file", f"{counts.rows_in:,}")
    summary.add_row("would land", f"{counts.rows_landed:,}")
    summary.add_row("would be rejected", f"{counts.rows_rejected:,}")
    for reason, rows in sorted(counts.rejects_by_reason.items()):
        summary.add_row(f"  {reason}", f"{rows:,}")
    console.print(summary)
    known = f"{len(report.columns)} columns of the contract"
    unknown = f", not landed: {', '.join(report.unknown_columns)}" if report.unknown_columns else ""
    console.print(f"{known}{unknown}; outcomes known up to {report.observed_through or 'no day'}", soft_wrap=True)
    if counts.rows_rejected:
        shown = ("row", "column", "value", "reason", "next_step")
        rejects = new_table(f"Rejected, first {REJECTS_SHOWN}", shown, right=("row",))
        for reject in report.rejects.slice(0, REJECTS_SHOWN).to_pylist():
            rejects.add_row(*(escape(str(reject[name] if reject[name] is not None else "")) for name in shown))
        console.print(rejects)
