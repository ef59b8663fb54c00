"""LendingClub's loans as the applications they once were: the file is read as a landing reads it, then sent as events.

LendingClub publishes no day of application: the first day of the issue month stands in for it. Rows that a landing
rejects are no events; outcomes, offers and personal fields stay behind.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pyarrow as pa

from credit_risk_platform.adapters.landing.source import fingerprint
from credit_risk_platform.adapters.landing.stage import Resources, scratch_connection, stage_loans
from credit_risk_platform.adapters.tokens import TokenKey
from credit_risk_platform.domain.contracts.messages import APPLICATIONS
from credit_risk_platform.domain.synthetic.events import Event, Pace, sound_events

READ_AT_ONCE = 1_000
_FROM_THE_FILE = {"id": "loan_id", "application_date": "issue_d"}


def applications_from_lending_club(
    path: Path, pace: Pace, *, today: date, resources: Resources | None = None
) -> Iterator[Event]:
    """The file's loans in its order, as application events; the same file gives the same bytes.

    Args:
        path: LoanStats*.csv or accepted_*.csv, plain or gzipped.
        pace: event times.
        today: dates after it are impossible.

    Raises:
        LandingError: the file cannot be read, or, on the first event asked for, a landing would refuse it.
    """
    tables = _applications(path, today, resources or Resources())
    return sound_events(APPLICATIONS, tables, f"lendingclub/{fingerprint(path)}", pace)


def _applications(path: Path, today: date, resources: Resources) -> Iterator[pa.Table]:
    with tempfile.TemporaryDirectory(prefix="crp-replay-") as folder:
        scratch = Path(folder)
        with scratch_connection(scratch, resources) as connection:
            staged = stage_loans(connection, path, scratch, today=today, key=TokenKey(b"tokens are not kept"))
            brought = {column.name for column in staged.columns} | set(_FROM_THE_FILE)
            wanted = ", ".join(
                f"{_FROM_THE_FILE.get(column.name, column.name)} as {column.name}"
                for column in APPLICATIONS.columns
                if column.name in brought
            )
            rows = connection.execute(f"select {wanted} from numbered where problems = '' order by _row")
            for batch in rows.to_arrow_reader(READ_AT_ONCE):
                yield pa.Table.from_batches([batch])
