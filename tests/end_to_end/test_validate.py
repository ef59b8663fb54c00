"""`crp validate`: what a sender of loans learns about a file before anything is landed."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from credit_risk_platform.adapters.sources.synthetic import write_portfolio
from credit_risk_platform.catalog import SYNTHETIC_AS_OF


def validate(file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / "crp"), "validate", str(file)],
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
        cwd=file.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 sound loans as a CSV file."""
    return write_portfolio(tmp_path_factory.mktemp("book"), 200, 7, SYNTHETIC_AS_OF).loans_csv


def test_a_sound_file_passes(book: Path) -> None:
    judged = validate(book)
    assert judged.returncode == 0, judged.stdout + judged.stderr
    assert "Validation passed." in judged.stdout


def test_a_wrong_value_fails_with_its_row_column_and_next_step(book: Path, tmp_path: Path) -> None:
    with book.open(newline="") as file:
        header, *loans = csv.reader(file)
    loans[41][header.index("annual_inc")] = "a lot"
    mended = tmp_path / "march.csv"
    with mended.open("w", newline="") as file:
        csv.writer(file).writerows([header, *loans])
    judged = validate(mended)
    assert judged.returncode == 1
    assert "Validation failed: unparsable." in judged.stdout
    (line,) = [line for line in judged.stdout.splitlines() if "a lot" in line]
    assert line.split()[:2] == ["43", "annual_inc"], "the 42nd loan stands on row 43, below the header"
    assert "Write annual_inc as" in line


def test_a_file_of_another_dataset_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "rates.csv").write_text("observation_date,UNRATE\n2020-01-01,3.5\n")
    judged = validate(tmp_path / "rates.csv")
    assert judged.returncode == 1
    assert "rates.csv would not land" in judged.stdout
    assert "another dataset" in judged.stdout
    assert "Traceback" not in judged.stderr


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    judged = validate(tmp_path / "nowhere.csv")
    assert judged.returncode == 1
    assert "nowhere.csv is not a file" in judged.stderr


def test_notices_between_the_rows_are_counted_and_no_fault(datasets: Path) -> None:
    judged = validate(datasets / "lendingclub" / "lc_accepted_junk_rows_snippet.csv")
    assert judged.returncode == 0, judged.stdout
    rows = dict(line.rsplit(maxsplit=1) for line in map(str.strip, judged.stdout.splitlines()) if line.count(" ") > 1)
    assert (rows["would land"], rows["would be rejected"], rows["junk_line"]) == ("7", "2", "2")
