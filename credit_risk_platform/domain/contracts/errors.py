"""Why a whole file does not land. Each error names the file, the column where there is one, and the next step.

A row that is wrong does not raise: it goes to quarantine with a `Reason`.
"""

from __future__ import annotations


class LandingError(ValueError):
    """A file that cannot land; nothing of it was written."""

    next_step = "Ask the sender for a corrected file."

    def __init__(self, file: str, problem: str, *, column: str | None = None, next_step: str | None = None) -> None:
        self.file, self.problem, self.column = file, problem, column
        if next_step is not None:
            self.next_step = next_step
        where = f"{file}, column {column!r}" if column else file
        super().__init__(f"{where}: {problem} Next step: {self.next_step} Nothing was landed.")


class UnreadableFileError(LandingError):
    """The file cannot be opened or is no text."""


class EmptyFileError(LandingError):
    """The file holds no loan."""

    next_step = "Check the export, and send the file again once it holds rows below its header."


class TruncatedArchiveError(LandingError):
    """A compressed file that ends in the middle or is damaged."""

    next_step = "Fetch the file again and compare its size and checksum with the sender's."


class ForeignFileError(LandingError):
    """A file of another dataset."""

    next_step = "Drop a loan file here; the columns it needs are in domain/contracts/loan_columns.py."


class MissingColumnError(LandingError):
    """A required column is not in the header."""


class RenamedColumnError(LandingError):
    """A column of the contract seems to have come under another name."""


class DuplicateColumnError(LandingError):
    """The header names one column twice."""

    next_step = "Remove or rename one of the two: which one counts is not ours to guess."


class ScaleError(LandingError):
    """A percent column written as fractions, or in basis points."""


class BrokenQuoteError(LandingError):
    """A quote opened and never properly closed, so that rows are swallowed."""

    next_step = "Close or remove the quote on that row and send the file again."


class NothingUsableError(LandingError):
    """Every single row was rejected."""


class ReconciliationError(LandingError):
    """Rows in the file, rows landed and rows rejected do not add up."""

    next_step = "Look for stray quotes or broken line ends in the file; if it is sound, report this as a defect."


class ContractBreachError(LandingError):
    """A table handed over by one of our own sources does not have the columns it promises."""

    next_step = "Bring the source and its contract back together; a new column is a new contract version."
