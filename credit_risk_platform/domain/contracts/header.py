"""What a file's header says about the file: which columns came, which are new, and whether it is a loan file at all."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from credit_risk_platform.domain.contracts.errors import (
    DuplicateColumnError,
    ForeignFileError,
    LandingError,
    MissingColumnError,
    RenamedColumnError,
)
from credit_risk_platform.domain.contracts.loan_columns import INPUT, REQUIRED

SIMILAR = 0.7
"""A missing required column: the unknown column that is at least this alike is offered as its new name."""
ALMOST_EQUAL = 0.85
"""An absent optional column: only an unknown column this alike is taken for a renamed one."""

_KNOWN = {column.name: column for column in INPUT}
_OTHER_NAMES = {
    "interest_rate": "int_rate", "rate": "int_rate", "loan_amount": "loan_amnt", "amount": "loan_amnt",
    "annual_income": "annual_inc", "income": "annual_inc", "debt_to_income": "dti", "status": "loan_status",
    "issue_date": "issue_d", "origination_date": "issue_d", "issue_month": "issue_d", "state": "addr_state",
    "loan_id": "id", "loan_term": "term", "term_months": "term", "employment_length": "emp_length",
    "revolving_balance": "revol_bal", "revolving_utilization": "revol_util", "utilisation": "revol_util",
    "open_accounts": "open_acc", "total_accounts": "total_acc", "earliest_credit_line": "earliest_cr_line",
}  # fmt: skip
"""Names in common use elsewhere, too unlike ours for a spelling comparison."""


@dataclass(frozen=True)
class Header:
    """A header that may land."""

    names: tuple[str, ...]
    """Every column of the file in file order, in lower case."""
    unknown: tuple[str, ...]
    """Columns the contract does not have: read past, and reported as a minor bump of the contract."""

    @property
    def known(self) -> tuple[str, ...]:
        return tuple(name for name in self.names if name in _KNOWN)

    def has(self, name: str) -> bool:
        return name in self.names


def clean(cells: Sequence[str]) -> tuple[str, ...]:
    """Header cells as column names: byte order mark, quotes, blanks and capitals do not matter."""
    return tuple(cell.strip().strip('"').strip().lower() for cell in cells)


def looks_like_header(cells: Sequence[str]) -> bool:
    """Whether a line is a loan header, mended or not: at least half of the required columns."""
    present = set(clean(cells))
    return sum(column.name in present for column in REQUIRED) * 2 >= len(REQUIRED)


def recognise(file: str, cells: Sequence[str]) -> Header:
    """The header of a loan file.

    Raises:
        ForeignFileError: fewer than half of the required columns are there.
        DuplicateColumnError: a column of the contract is named twice.
        RenamedColumnError: a column is missing and an unknown one looks like it.
        MissingColumnError: a required column is missing.
    """
    names = clean(cells)
    if not looks_like_header(cells):
        raise _foreign(file, names)
    twice = [name for name, count in Counter(names).items() if count > 1 and name in _KNOWN]
    if twice:
        raise DuplicateColumnError(file, "the header names this column twice.", column=twice[0])
    unknown = tuple(name for name in names if name not in _KNOWN)
    absent = [column.name for column in INPUT if column.name not in names]
    problem = _missing(file, absent, unknown)
    if problem is not None:
        raise problem
    return Header(names, unknown)


def _missing(file: str, absent: Sequence[str], unknown: Sequence[str]) -> LandingError | None:
    required = [column.name for column in REQUIRED if column.name in absent]
    for name in required:
        if (alike := _lookalike(name, unknown, SIMILAR)) is not None:
            return _renamed(file, name, alike)
    if required:
        others = f" (and {', '.join(map(repr, required[1:]))})" if required[1:] else ""
        step = f"Send the file with the column {required[0]!r}, in the spelling of the contract."
        return MissingColumnError(file, f"this required column is missing{others}.", column=required[0], next_step=step)
    for name in absent:
        if (alike := _lookalike(name, unknown, ALMOST_EQUAL)) is not None:
            return _renamed(file, name, alike)
    return None


def _renamed(file: str, name: str, alike: str) -> RenamedColumnError:
    problem = f"this column is missing, and the file has an unknown column {alike!r}: was it renamed?"
    step = f"Rename {alike!r} back to {name!r}; if it is a new column, give it a name of its own."
    return RenamedColumnError(file, problem, column=name, next_step=step)


def _lookalike(name: str, unknown: Sequence[str], cutoff: float) -> str | None:
    """The unknown column that is `name` under another spelling, or None."""
    for candidate in unknown:
        plain = re.sub(r"[^a-z0-9]+", "_", candidate).strip("_")
        if _OTHER_NAMES.get(plain) == name or plain.replace("_", "") == name.replace("_", ""):
            return candidate
    # `open_rv_36m` beside an absent `open_rv_24m` is a new column, however alike the two look.
    same_digits = [candidate for candidate in unknown if re.findall(r"\d+", candidate) == re.findall(r"\d+", name)]
    return next(iter(difflib.get_close_matches(name, same_digits, n=1, cutoff=cutoff)), None)


def _foreign(file: str, names: Sequence[str]) -> ForeignFileError:
    shown = ", ".join(name[:40] for name in names[:6]) + (", ..." if len(names) > 6 else "")
    separator = next((sign for sign in (";", "\t", "|") if len(names) == 1 and sign in names[0]), None)
    if separator is not None:
        step = f"Write the file with commas; this one seems to be separated by {separator!r}."
        return ForeignFileError(file, f"the first lines hold no comma-separated loan header ({shown}).", next_step=step)
    need = ", ".join(column.name for column in REQUIRED[:5])
    return ForeignFileError(file, f"this is a file of another dataset: it has {shown}, not {need} and so on.")
