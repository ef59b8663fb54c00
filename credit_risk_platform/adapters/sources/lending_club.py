"""Finds LendingClub's published loan file where the settings point.

Belongs here: which file. Does not: its layout quirks; the landing engine knows every layout.
"""

from __future__ import annotations

from pathlib import Path

from credit_risk_platform.domain.contracts.errors import UnreadableFileError

PATTERNS = ("accepted_*.csv*", "LoanStats*.csv*", "*lending*club*.csv*")
"""Names it is published under, the widest edition first."""
HOW_TO_POINT = (
    "Set CRP_LENDING_CLUB_PATH to LendingClub's loan file (LoanStats*.csv or accepted_*.csv, plain or gzipped), "
    "or run: crp demo --source lendingclub --path FILE"
)


def find_extract(path: Path) -> Path:
    """The loan file at `path`: the file itself, or the only one of its kind in a folder.

    Raises:
        UnreadableFileError: nothing there, or several files that could be meant.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise UnreadableFileError(str(path), "there is no such file.", next_step=f"{HOW_TO_POINT}.")
    found = next((files for pattern in PATTERNS if (files := sorted(path.glob(pattern)))), [])
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        problem = f"the folder holds no single LendingClub file (found: {names})."
        raise UnreadableFileError(str(path), problem, next_step="Name the file itself.")
    return found[0]
