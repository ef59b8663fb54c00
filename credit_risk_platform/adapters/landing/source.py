"""Opens a delivered CSV file: fingerprint, unpacking, header, and a row count that owes nothing to the CSV parser.

The count is what makes `rows in = landed + rejected` a statement and not a tautology.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from credit_risk_platform.domain.contracts.errors import (
    BrokenQuoteError,
    EmptyFileError,
    TruncatedArchiveError,
    UnreadableFileError,
)
from credit_risk_platform.domain.contracts.header import Header, looks_like_header, recognise

CHUNK = 1 << 22
HEADER_SEARCH_LINES = 5
"""LendingClub puts a prospectus notice above its header; nobody puts five."""
_GZIP_MAGIC = b"\x1f\x8b"
_BLANK = re.compile(rb"^\r?\n", re.MULTILINE)


@dataclass(frozen=True)
class RowCount:
    """Rows of a file. A row spans lines where a quoted value does; blank lines are no rows."""

    rows: int
    """Loan rows, header and what stands above it excluded."""
    blanks: tuple[int, ...]
    """Row numbers that are blank lines, counting every row and blank line from the top of the file as 1."""


@dataclass(frozen=True)
class LoanFile:
    """A delivered file, ready for the parser."""

    name: str
    text: Path
    """Plain text with uniform line ends: the file itself, or a copy in the scratch folder."""
    header: Header
    skip: int
    """Lines above the first loan."""
    lines: RowCount
    """The quick count: every physical line is taken for a row. Right unless a quoted value breaks its line."""

    def exact_count(self) -> RowCount:
        """Count with quotes understood: slower, asked only when the quick count does not explain the parser's."""
        try:
            with self.text.open(encoding="latin-1", newline="") as file:
                filled = [bool(row) for row in csv.reader(file)]
        except csv.Error as error:
            raise BrokenQuoteError(self.name, f"a quote opens and does not close ({error}).") from error
        blanks = tuple(number for number, is_filled in enumerate(filled, 1) if not is_filled)
        below = len(filled) - self.skip
        return RowCount(below - sum(number > self.skip for number in blanks), blanks)


def fingerprint(file: Path) -> str:
    """SHA-256 of the file as delivered. Raises `UnreadableFileError`."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        step = "Check that the path is right and that the platform may read it."
        raise UnreadableFileError(file.name, f"cannot be read ({error.strerror}).", next_step=step) from error


def open_loan_file(file: Path, scratch: Path) -> LoanFile:
    """Unpack, find the header, count the lines. Writes copies to `scratch` only where the parser needs one.

    Raises:
        LandingError: empty, truncated, no text, or no loan file; see `domain.contracts.errors`.
    """
    text = _unpacked(file, scratch)
    cells, skip = _find_header(file.name, text)
    header = recognise(file.name, cells)
    lines, uniform = _count_lines(text, skip)
    if not uniform:
        text = _with_uniform_line_ends(text, scratch)
    if lines.rows == 0:
        raise EmptyFileError(file.name, "there is a header and no row below it.")
    return LoanFile(file.name, text, header, skip, lines)


def _unpacked(file: Path, scratch: Path) -> Path:
    """DuckDB reads what it can of a cut-off gzip and says nothing, so we unpack, which checks length and checksum."""
    try:
        with file.open("rb") as stream:
            start = stream.read(4)
    except OSError as error:
        raise UnreadableFileError(file.name, f"cannot be read ({error.strerror}).") from error
    if not start:
        raise EmptyFileError(file.name, "the file is empty (0 bytes).")
    if start.startswith((b"PK\x03\x04", b"PAR1", b"\xd0\xcf\x11\xe0", b"\xff\xfe", b"\xfe\xff")):
        step = "Send comma-separated text in UTF-8, plain or gzipped."
        raise UnreadableFileError(file.name, "this is no UTF-8 text file (a spreadsheet, an archive?).", next_step=step)
    if not start.startswith(_GZIP_MAGIC):
        if file.suffix == ".gz":
            raise TruncatedArchiveError(file.name, "its name ends in .gz, but it is no gzip file.")
        return file
    return _gunzip(file, scratch / "unpacked.csv")


def _gunzip(file: Path, target: Path) -> Path:
    unpacked = 0
    try:
        with gzip.open(file) as packed, target.open("wb") as plain:
            while chunk := packed.read(CHUNK):
                unpacked += plain.write(chunk)
    except EOFError as error:
        raise TruncatedArchiveError(file.name, f"the gzip file breaks off after {unpacked:,} bytes of text.") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise TruncatedArchiveError(file.name, f"the gzip file is damaged ({error}).") from error
    if unpacked == 0:
        raise EmptyFileError(file.name, "the archive holds an empty file.")
    return target


def _find_header(name: str, text: Path) -> tuple[list[str], int]:
    """Cells of the header, and the number of lines up to and including it."""
    with text.open("rb") as stream:
        top = [stream.readline(CHUNK) for _ in range(HEADER_SEARCH_LINES)]
    if any(b"\0" in line for line in top):
        step = "Send comma-separated text in UTF-8, plain or gzipped."
        raise UnreadableFileError(name, "its first lines hold binary data.", next_step=step)
    # One odd byte in a loan's text is that row's trouble, not the header's.
    lines = [line.decode("utf-8-sig", errors="replace") for line in top if line]
    if not any(line.strip() for line in lines):
        raise EmptyFileError(name, "the file holds only blank lines.")
    parsed = [next(csv.reader([line]), []) for line in lines]
    for number, cells in enumerate(parsed, 1):
        if looks_like_header(cells):
            return cells, number
    return max(parsed, key=len), 1  # the likeliest header, for the message that refuses it


def _count_lines(text: Path, skip: int) -> tuple[RowCount, bool]:
    """Lines below the header, blank ones apart, and whether all lines end alike."""
    lines, blanks, carriage_returns, paired = 0, list[int](), 0, 0
    with text.open("rb") as stream:
        for chunk in _whole_lines(stream):
            returns = chunk.count(b"\r")
            if b"\n\n" in chunk or chunk.startswith((b"\n", b"\r\n")) or (returns and b"\n\r\n" in chunk):
                starts = (match.start() for match in _BLANK.finditer(chunk))
                blanks.extend(_line_numbers(chunk, starts, lines))
            if returns:
                carriage_returns += returns
                paired += chunk.count(b"\r\n")
            lines += chunk.count(b"\n") + (not chunk.endswith(b"\n"))
    below = lines - skip - sum(number > skip for number in blanks)
    uniform = carriage_returns == 0 or (carriage_returns == paired and lines - paired <= 1)
    return RowCount(below, tuple(blanks)), uniform


def _whole_lines(stream: BinaryIO) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK):
        yield chunk if chunk.endswith(b"\n") else chunk + stream.readline()


def _line_numbers(chunk: bytes, starts: Iterable[int], lines_before: int) -> Iterator[int]:
    counted, number = 0, lines_before + 1
    for start in starts:
        number += chunk.count(b"\n", counted, start)
        counted = start
        yield number


def _with_uniform_line_ends(text: Path, scratch: Path) -> Path:
    """DuckDB's parser stops at a file whose lines end in different ways."""
    target = scratch / "uniform.csv"
    with text.open("rb") as stream, target.open("wb") as plain:
        for chunk in _whole_lines(cast(BinaryIO, stream)):
            plain.write(chunk.replace(b"\r\n", b"\n").replace(b"\r", b" "))
    return target
