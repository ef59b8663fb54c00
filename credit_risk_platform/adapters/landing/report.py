"""A loan file judged without landing it: what `crp validate` shows."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa

from credit_risk_platform.adapters.landing.stage import Counts, Resources, scratch_connection, stage_loans
from credit_risk_platform.adapters.tokens import TokenKey

REJECTS_SHOWN = 1_000


@dataclass(frozen=True)
class LandingReport:
    """What would land and what would not."""

    file: str
    counts: Counts
    columns: tuple[str, ...]
    """Contract columns the file brings."""
    unknown_columns: tuple[str, ...]
    observed_through: date | None
    rejects: pa.Table
    """The first thousand, with the columns of the quarantine."""


def validate_file(file: Path, *, today: date, resources: Resources | None = None) -> LandingReport:
    """Read and judge a loan file as a landing would. Raises `LandingError` where it would."""
    with tempfile.TemporaryDirectory(prefix="crp-validate-") as folder:
        scratch = Path(folder)
        with scratch_connection(scratch, resources or Resources()) as connection:
            staged = stage_loans(connection, file, scratch, today=today, key=TokenKey(b"tokens are not kept"))
            return LandingReport(
                file=file.name,
                counts=staged.counts,
                columns=tuple(column.name for column in staged.columns),
                unknown_columns=staged.file.header.unknown,
                observed_through=staged.observed_through(),
                rejects=staged.rejects(REJECTS_SHOWN),
            )
