"""A file that is wrong as a whole: a clear error that names file, column and next step, and nothing lands."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from credit_risk_platform.adapters.landing import validate_file
from credit_risk_platform.domain.contracts import errors
from tests.loan_files import COLUMNS, TODAY, Lake, line, loan, make_lake, text, write

Maker = Callable[[Path], Path]


def _content(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _gz(path: Path, keep: Callable[[bytes], bytes]) -> Path:
    whole = gzip.compress(text(path / "whole.csv", *(line(n) for n in range(500))).read_bytes())
    (path / "whole.csv").unlink()
    return _content(path / "f.csv.gz", keep(whole))


def _scaled(path: Path, column: str, value: str) -> Path:
    return write(path / "f.csv", [loan(n, **{column: value}) for n in range(20)])


def _without(path: Path, name: str) -> Path:
    return write(path / "f.csv", [loan()], columns=[column for column in COLUMNS if column != name])


BAD_FILES: dict[str, tuple[Maker, type[errors.LandingError], str]] = {
    "missing column": (lambda p: _without(p, "dti"), errors.MissingColumnError, r"column 'dti': this required column"),
    "renamed column": (
        lambda p: text(p / "f.csv", line(), header=",".join(COLUMNS).replace("loan_amnt", "loan_amount")),
        errors.RenamedColumnError,
        r"column 'loan_amnt'.*unknown column 'loan_amount'.*Rename 'loan_amount' back",
    ),
    "empty file": (lambda p: _content(p / "f.csv", b""), errors.EmptyFileError, "empty \\(0 bytes\\)"),
    "blank lines only": (lambda p: _content(p / "f.csv", b"\n\n\n"), errors.EmptyFileError, "only blank lines"),
    "header only": (lambda p: text(p / "f.csv"), errors.EmptyFileError, "a header and no row"),
    "empty archive": (lambda p: _content(p / "f.csv.gz", gzip.compress(b"")), errors.EmptyFileError, "empty file"),
    "truncated gzip": (
        lambda p: _gz(p, lambda whole: whole[: len(whole) // 2]),
        errors.TruncatedArchiveError,
        r"f\.csv\.gz: the gzip file breaks off after [\d,]+ bytes.*Fetch the file again",
    ),
    "gzip with a flipped byte": (
        lambda p: _gz(p, lambda whole: whole[:-6] + b"\x00\x01" + whole[-4:]),
        errors.TruncatedArchiveError,
        "the gzip file is damaged",
    ),
    "no gzip at all": (
        lambda p: _content(p / "f.csv.gz", b"id,dti\n"),
        errors.TruncatedArchiveError,
        "is no gzip file",
    ),
    "file of another dataset": (
        lambda p: _content(p / "f.csv", b"observation_date,UNRATE\n2020-01-01,3.6\n"),
        errors.ForeignFileError,
        "another dataset: it has observation_date, unrate, not loan_amnt",
    ),
    "another separator": (
        lambda p: _content(p / "f.csv", ";".join(COLUMNS).encode() + b"\n1;2\n"),
        errors.ForeignFileError,
        "Write the file with commas; this one seems to be separated by ';'",
    ),
    "column named twice": (
        lambda p: text(p / "f.csv", line() + ",1", header=",".join([*COLUMNS, "dti"])),
        errors.DuplicateColumnError,
        "column 'dti': the header names this column twice",
    ),
    "rate as a fraction": (
        lambda p: _scaled(p, "int_rate", "0.1065"),
        errors.ScaleError,
        r"column 'int_rate': its median is 0\.1065.*fractions.*percent points \(10\.65, not 0\.1065\)",
    ),
    "utilisation as a fraction": (
        lambda p: _scaled(p, "revol_util", "0.837"),
        errors.ScaleError,
        "column 'revol_util'",
    ),
    "dti as a fraction": (lambda p: _scaled(p, "dti", "0.2765"), errors.ScaleError, "column 'dti'"),
    "rate in basis points": (lambda p: _scaled(p, "int_rate", "1065"), errors.ScaleError, "basis points"),
    "a quote that never closes": (
        lambda p: text(p / "f.csv", line(1), '"oops', *(line(n) for n in range(2, 6))),
        errors.BrokenQuoteError,
        "a quote that opens on row 3 swallows the 4 lines after it",
    ),
    "every row wrong": (
        lambda p: write(p / "f.csv", [loan(n, term="soon") for n in range(3)]),
        errors.NothingUsableError,
        r"column 'term': all 3 rows were rejected.*unparsable.*Write term as months",
    ),
    "spreadsheet": (lambda p: _content(p / "f.csv", b"PK\x03\x04rest"), errors.UnreadableFileError, "no UTF-8 text"),
    "binary": (lambda p: _content(p / "f.csv", b"\x01\x00\x02\x00"), errors.UnreadableFileError, "binary data"),
    "no file": (lambda p: p / "f.csv", errors.UnreadableFileError, "cannot be read \\(No such file"),
    "folder": (lambda p: p, errors.UnreadableFileError, "cannot be read \\(Is a directory"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_refused_with_its_name_and_the_next_step(tmp_path: Path, case: str) -> None:
    make, error, message = BAD_FILES[case]
    with pytest.raises(error, match=message) as caught:
        validate_file(make(tmp_path), today=TODAY)
    assert type(caught.value) is error
    assert "Next step: " in str(caught.value)
    assert caught.value.next_step.endswith(".")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake with two loans in it."""
    home = tmp_path_factory.mktemp("home")
    lake = make_lake(home)
    lake.land(write(home / "good.csv", [loan(1), loan(2)]))
    return lake


@pytest.mark.parametrize("case", ["renamed column", "truncated gzip", "rate as a fraction", "every row wrong"])
def test_a_refused_file_leaves_the_lake_as_it_was_to_the_byte(lake: Lake, tmp_path: Path, case: str) -> None:
    before = lake.files()
    make, error, _ = BAD_FILES[case]
    with pytest.raises(error):
        lake.land(make(tmp_path))
    assert lake.files() == before
    assert lake.warehouse.count("bronze.landing_loans") == 2


def test_few_low_values_are_no_wrong_scale(tmp_path: Path) -> None:
    """Somebody uses 1 % of a credit line; that is no reason to refuse a file."""
    rows = [loan(1, revol_util="1.2"), loan(2, revol_util="0.4%"), loan(3, revol_util="55")]
    assert validate_file(write(tmp_path / "f.csv", rows), today=TODAY).counts.rows_landed == 3
