"""What lies where in the bronze lake: sources, their tables, the names of files."""

from __future__ import annotations

from credit_risk_platform.domain.contracts.column import Column
from credit_risk_platform.domain.contracts.feed_columns import MACRO_COLUMNS, REPAYMENT_COLUMNS
from credit_risk_platform.domain.contracts.loan_columns import LOAN_COLUMNS

LOANS, REPAYMENTS, MACRO = "loans", "repayments", "macro_series"
TABLES: dict[str, tuple[Column, ...]] = {LOANS: LOAN_COLUMNS, REPAYMENTS: REPAYMENT_COLUMNS, MACRO: MACRO_COLUMNS}

SOURCES: dict[str, tuple[str, ...]] = {
    "synthetic": (LOANS, REPAYMENTS),
    "lending_club": (LOANS,),
    "landing": (LOANS,),
    "macro": (MACRO,),
}
"""Source folder -> the tables of its batches, the leading one first."""

INCREMENTAL = frozenset({"landing"})
"""Sources whose files add up, a later file restating loans of an earlier one. Elsewhere the latest file is the book."""

SUPERSEDED = "superseded"
REJECTS = "rejects.parquet"
EMPTY_BATCH = "0" * 12
"""Has all columns and no rows, so that a table exists before its first landing and absent columns read as nulls."""


def dataset_name(source: str, table: str) -> str:
    """Table of schema bronze."""
    return table if table == MACRO else f"{source}_{table}"


def manifest_file(table: str) -> str:
    """Name of the receipt of `table` in its batch folder; loans, which most batches are, have the plain name."""
    return "manifest.json" if table == LOANS else f"{table}.manifest.json"
