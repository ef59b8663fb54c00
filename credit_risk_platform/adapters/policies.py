"""The versions of the decision policy: which are on file, and which is in force on a day.

Belongs here: the folder, and the risk bands and reason texts of the warehouse. Does not: what a file may say
(`policy_files.py`), nor what a policy decides (`domain/policy.py`).
"""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa

from credit_risk_platform.adapters.policy_files import PolicyDraft, PolicyFileError, read
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.policy import Policy

BANDS = "gold.risk_bands"
REASONS = "gold.reason_codes"
FOLDER = Path(__file__).resolve().parents[1] / "policies"
"""The versions that come with the package."""


class NoPolicyError(LookupError):
    """No policy can be had for the day, or what it needs is not in the warehouse yet; the message says what to do."""


class PolicyBook:
    """The versions in a folder. Files are read when asked for and again when they change."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder
        self._read: tuple[Any, tuple[PolicyDraft, ...]] | None = None

    def all(self) -> tuple[PolicyDraft, ...]:
        """Every version, oldest first. Raises `PolicyFileError`, or `NoPolicyError` for an empty folder."""
        state = self.state()
        if not state:
            raise NoPolicyError(
                f"{self.folder} holds no policy (*.yaml): mend CRP_POLICY_FOLDER, or put a version there"
            )
        if self._read is None or self._read[0] != state:
            drafts = sorted((read(Path(file)) for file, *_ in state), key=lambda draft: draft.effective_from)
            _refuse_same(drafts)
            self._read = (state, tuple(drafts))
        return self._read[1]

    def state(self) -> tuple[tuple[str, int, int], ...]:
        """(file, time of change, size) of each version: another one means that something was edited."""
        found = ((file, file.stat()) for file in sorted(self.folder.glob("*.yaml")))
        return tuple((str(file), seen.st_mtime_ns, seen.st_size) for file, seen in found)

    def on(self, day: date, bands: pa.Table, reasons: pa.Table) -> Policy:
        """The version in force on `day`; raises `NoPolicyError` before the first, `PolicyFileError` for a bad one."""
        started = [draft for draft in self.all() if draft.effective_from <= day]
        if not started:
            raise NoPolicyError(f"no policy in force on {day}: the first in {self.folder} starts later")
        return started[-1].with_tables(bands, reasons)

    def version(self, version: str, bands: pa.Table, reasons: pa.Table) -> Policy | None:
        """The version of that name as it is on file now, or `None` when it is not."""
        found = next((draft for draft in self.all() if draft.version == version), None)
        return found.with_tables(bands, reasons) if found else None


def policy_on(warehouse: Warehouse, book: PolicyBook, day: date) -> Policy:
    """The policy in force on `day`, with what the warehouse holds of it. Raises what `PolicyBook.on` does."""
    return book.on(day, *policy_tables(warehouse))


def policy_tables(warehouse: Warehouse) -> tuple[pa.Table, pa.Table]:
    """Risk bands and reason codes, all versions. Raises `NoPolicyError` naming the table that is not there yet."""
    for table in (BANDS, REASONS):
        if not warehouse.exists(table):
            raise NoPolicyError(f"{table} is not there yet: materialise {table.replace('.', '/')} (the marts) first")
    return warehouse.query(f"select * from {BANDS}"), warehouse.query(f"select * from {REASONS}")


def _refuse_same(drafts: list[PolicyDraft]) -> None:
    for earlier, later in pairwise(drafts):
        if earlier.effective_from == later.effective_from:
            raise PolicyFileError(
                later.file,
                "effective_from",
                f"{later.effective_from} is also the first day of version {earlier.version}",
            )
