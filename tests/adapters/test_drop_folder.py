"""The drop folder, and finding LendingClub's file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from credit_risk_platform.adapters.drop_folder import DropFolder
from credit_risk_platform.adapters.sources.lending_club import find_extract
from credit_risk_platform.domain.contracts.errors import UnreadableFileError


def drop(folder: Path, name: str, content: str = "x", age: int = 0) -> Path:
    file = folder / name
    file.write_text(content)
    os.utime(file, (1_000_000 - age, 1_000_000 - age))
    return file


def test_files_wait_in_the_order_they_were_written(tmp_path: Path) -> None:
    """A later file restates an earlier one, so the order decides which loan status stands."""
    drop(tmp_path, "b.csv", age=10)
    drop(tmp_path, "a.csv.gz", age=5)
    drop(tmp_path, "C.CSV", age=20)
    assert [file.name for file in DropFolder(tmp_path).waiting().files] == ["C.CSV", "b.csv", "a.csv.gz"]


def test_what_is_no_delivery_is_left_alone(tmp_path: Path) -> None:
    for name in (".half.csv", "notes.txt", "loans.csv.part"):
        drop(tmp_path, name)
    (tmp_path / "folder.csv").mkdir()
    assert DropFolder(tmp_path).waiting().files == ()
    assert DropFolder(tmp_path / "absent").waiting().files == ()


def test_the_signature_changes_with_every_change_and_with_nothing_else(tmp_path: Path) -> None:
    folder = DropFolder(tmp_path)
    seen = [folder.waiting().signature]
    drop(tmp_path, "a.csv")
    seen.append(folder.waiting().signature)
    assert folder.waiting().signature == seen[-1]
    drop(tmp_path, "a.csv", "longer")
    seen.append(folder.waiting().signature)
    drop(tmp_path, "a.csv", "longer", age=1)
    seen.append(folder.waiting().signature)
    assert len(set(seen)) == 4


def test_a_file_of_the_same_name_does_not_replace_an_archived_one(tmp_path: Path) -> None:
    folder = DropFolder(tmp_path)
    folder.archive(drop(tmp_path, "a.csv", "one"), "1" * 12)
    folder.archive(drop(tmp_path, "a.csv", "two"), "2" * 12)
    assert [file.read_text() for file in sorted((tmp_path / "archive").iterdir())] == ["one", "two"]


def test_a_refused_file_lies_beside_the_reason(tmp_path: Path) -> None:
    moved = DropFolder(tmp_path).refuse(drop(tmp_path, "a.csv"), "no header")
    assert moved == tmp_path / "failed" / "a.csv"
    assert (tmp_path / "failed" / "a.csv.error.txt").read_text() == "no header\n"


def test_lending_club_s_file_is_found_in_its_folder(tmp_path: Path) -> None:
    file = drop(tmp_path, "accepted_2007_to_2018Q4.csv.gz")
    drop(tmp_path, "rejected_2007_to_2018Q4.csv.gz")
    assert find_extract(tmp_path) == find_extract(file) == file


def test_no_file_or_several_is_an_error_that_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match=r"no such file.*CRP_LENDING_CLUB_PATH"):
        find_extract(tmp_path / "absent.csv")
    drop(tmp_path, "LoanStats3a.csv")
    drop(tmp_path, "LoanStats3b.csv")
    with pytest.raises(UnreadableFileError, match=r"found: LoanStats3a\.csv, LoanStats3b\.csv"):
        find_extract(tmp_path)
