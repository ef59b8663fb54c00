"""The daily archive: what arrived is in it, the same content has the same bytes, and it comes back whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from credit_risk_platform.adapters import archive, archive_restore
from credit_risk_platform.adapters.archive_manifest import ArchiveError, manifest_name
from credit_risk_platform.adapters.archive_store import ArchiveStore
from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.settings import PROJECT_ROOT
from tests.archive_book import DAY, NEXT, TABLES, ArchiveBook, copy_archive_book, make_archive_book, open_book

ROWS = {
    "bronze.raw_applications": 20, "bronze.raw_repayments": 20, "bronze.raw_transactions": 20, "bronze.late_events": 3,
    "bronze.dead_letters": 2, "bronze.api_requests": 2, "bronze.stream_batches": 6,
}  # fmt: skip
"""By hand: half of 40 messages a topic are written on DAY, two of the applications' are dead, two calls come by API."""


@pytest.fixture(scope="module")
def archived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArchiveBook]:
    """A book with both days archived; who uses it only reads."""
    book = make_archive_book(tmp_path_factory.mktemp("book"))
    book.archive(DAY)
    book.archive(NEXT)
    yield book
    book.warehouse.close()


@pytest.fixture
def book(tmp_path: Path) -> Iterator[ArchiveBook]:
    made = copy_archive_book(tmp_path / "book")
    yield made
    made.warehouse.close()


@pytest.fixture
def shelf(archived: ArchiveBook, tmp_path: Path) -> ArchiveBook:
    """An archive of one's own, of a lake that is only read."""
    reports = tmp_path / "drift"
    shutil.copytree(archived.reports, reports)
    return ArchiveBook(archived.warehouse, ArchiveStore(tmp_path / "archive"), reports)


def manifest(book: ArchiveBook, day: date = DAY) -> dict:
    return json.loads(book.listing()[manifest_name(day)])


def rows(book: ArchiveBook, table: str) -> list[dict]:
    return book.warehouse.query(f"select * from bronze.{table} order by all").to_pylist()


def test_a_day_holds_what_was_written_on_it_whatever_the_events_own_times_say(archived: ArchiveBook) -> None:
    assert {table["table"]: table["rows"] for table in manifest(archived)["tables"]} == ROWS
    both = [manifest(archived, day)["tables"] for day in (DAY, NEXT)]
    for first, second in zip(*both, strict=True):
        assert first["rows"] + second["rows"] == archived.warehouse.count(first["table"]), "no event is in no day"
    (file,) = manifest(archived)["tables"][0]["files"]
    assert file["name"].startswith("raw/raw_applications/yyyy=2026/mm=06/dd=30/part-000-")
    found = pq.read_table(archived.store.root / file["name"], columns=["partition", "offset", "event_id"]).to_pylist()
    by_api, by_message = ([row for row in found if (row["partition"] is None) is api] for api in (True, False))
    assert [row["event_id"] for row in by_api] == ["call-0", "call-1"]  # the third is of 00:00:00 next day
    places = [(row["partition"], row["offset"]) for row in by_message]
    assert places == sorted(places)
    assert {offset for _, offset in places} == set(range(10)) - {2}  # 2 were dead letters


def test_the_manifest_describes_every_file_to_the_byte(archived: ArchiveBook) -> None:
    listing, said = archived.listing(), manifest(archived)
    files = [file for table in said["tables"] for file in table["files"]] + said["reports"]
    for file in files:
        data = listing[file["name"]]
        assert (file["bytes"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert {Path(file["name"]).name.split("-")[0] for file in said["reports"]} == {"feature_drift"}
    assert said["tables"][0]["schema"]["amount"] == "DECIMAL(18,2)"
    assert (said["run_id"], said["archived_at"]) == ("run-1", "2026-07-01T00:30:00")
    assert archive.verify(archived.store, DAY) == []


def test_archiving_twice_or_elsewhere_gives_the_same_bytes(book: ArchiveBook, tmp_path: Path) -> None:
    assert not book.archive().unchanged
    once = book.listing()
    assert book.archive(run_id="run-2").unchanged
    assert book.listing() == once
    for table in TABLES:  # the same rows in another order of writing, and in many small files
        shuffled = Select(f"select * from bronze.{table} order by hash(row(*columns(*)))")
        book.warehouse.replace_table(f"bronze.{table}", shuffled)
    assert book.archive(run_id="run-3").unchanged
    assert book.listing() == once


def test_large_days_are_cut_into_parts_of_the_same_length(shelf: ArchiveBook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "GROUP_ROWS", 3)
    monkeypatch.setattr(archive, "PART_GROUPS", 2)
    table = shelf.archive().manifest.table("bronze.raw_repayments")
    assert table is not None
    assert [file.rows for file in table.files] == [6, 6, 6, 2]
    assert all(one.equal for one in archive_restore.compare(
        shelf.warehouse, shelf.store, shelf.archive().manifest, shelf.warehouse.snapshot()))  # fmt: skip


def test_an_event_that_is_written_for_an_archived_day_is_noticed_and_added(book: ArchiveBook) -> None:
    book.archive()
    assert archive_restore.out_of_date(book.warehouse, book.store, NEXT, days=3) == []
    late = "select * replace ('call-9' as event_id, timestamp '2026-06-30 12:00:00' as received_at)"
    book.warehouse.append_missing(
        "bronze.api_requests", Select(f"{late} from bronze.api_requests limit 1"), ["event_id"]
    )
    behind = archive_restore.out_of_date(book.warehouse, book.store, NEXT, days=3)
    assert behind == [{"day": "2026-06-30", "table": "bronze.api_requests", "in_lake": 3, "archived": 2}]
    next((book.store.root / "raw" / "raw_repayments").rglob("*.parquet")).unlink()  # and that must not stand in the way
    assert book.archive().manifest.rows == sum(ROWS.values()) + 1
    assert archive.verify(book.store, DAY) == []
    requests = [name for name in book.listing() if name.startswith("raw/api_requests/")]
    assert len(requests) == 1, "the file that this one takes the place of is gone"


def test_a_day_with_nothing_has_a_manifest_that_says_so(archived: ArchiveBook, tmp_path: Path) -> None:
    empty = open_book(tmp_path / "empty")
    for book, day in ((archived, DAY - timedelta(days=400)), (empty, DAY)):
        assert book.archive(day).manifest.rows == 0
        assert archive.verify(book.store, day) == []
        assert archive_restore.restore(book.store, day, book.warehouse) == []
    empty.warehouse.close()


def test_an_archive_never_loses_rows_that_the_lake_has_lost(book: ArchiveBook) -> None:
    book.archive()
    before, table = book.listing(), "bronze.raw_repayments"
    book.warehouse.replace(table, Select(f"select * from {table} limit 0"), '"offset" < 3')
    lost = r"holds 6 rows of bronze.raw_repayments that the table has lost.*restore --day 2026-06-30"
    with pytest.raises(ArchiveError, match=lost):
        book.archive()
    assert book.listing() == before
    changed = f'select * replace (1::decimal(18, 2) as amount) from {table} where "offset" = 5'
    book.warehouse.replace(table, Select(changed), '"offset" = 5')
    found = {one.table: one for one in archive_restore.restore(book.store, DAY, book.warehouse)}
    assert (found[table].archived, found[table].added, found[table].differing) == (20, 6, 2)
    assert sum(one.added + one.differing for one in found.values()) == 8
    assert book.warehouse.query(f'select amount from {table} where "offset" = 5')["amount"].to_pylist() == [1, 1], (
        "what the lake holds otherwise is told and left alone"
    )


def test_a_report_that_is_made_anew_takes_the_place_of_the_old_one_and_a_vanished_one_stays(shelf: ArchiveBook) -> None:
    shelf.archive()
    folder = shelf.reports / DAY.isoformat()
    (folder / "feature_drift.html").write_text("<html>moved again</html>")
    (folder / "feature_drift.json").unlink()
    (folder / "prediction_drift.html").write_text("<html>calm</html>")
    shelf.archive()
    drift = {name: data for name, data in shelf.listing().items() if name.startswith("drift/yyyy=2026/mm=06/dd=30/")}
    assert sorted(drift.values()) == [b"<html>calm</html>", b"<html>moved again</html>", b'{"psi": 0.3}']


# -------------------------------------------------------------------- the way back


def test_an_empty_home_gets_its_events_back_equal_to_the_last_value_and_none_twice(
    archived: ArchiveBook, tmp_path: Path
) -> None:
    home = open_book(tmp_path / "new")
    for day in (DAY, NEXT):
        found = archive_restore.restore(archived.store, day, home.warehouse)
        assert [(one.added, one.differing) for one in found] == [(one.archived, 0) for one in found]
    for table in TABLES:
        assert rows(home, table) == rows(archived, table)
        assert home.warehouse.columns(f"bronze.{table}") == archived.warehouse.columns(f"bronze.{table}")
    assert {one.added for one in archive_restore.restore(archived.store, DAY, home.warehouse)} == {0}
    again = ArchiveStore(tmp_path / "again")
    folder = archived.reports / DAY.isoformat()
    remade = archive.archive_day(home.warehouse, again, folder, DAY, run_id="other", now=datetime(2027, 1, 1))
    assert remade.manifest.version == manifest(archived)["version"], "what was restored is archived to the same bytes"
    home.warehouse.close()


def test_a_damaged_file_is_named_and_nothing_is_restored_from_it(shelf: ArchiveBook, tmp_path: Path) -> None:
    shelf.archive()
    files = [file.name for table in shelf.archive().manifest.tables for file in table.files]
    flipped, gone = shelf.store.root / files[0], shelf.store.root / files[1]
    data = bytearray(flipped.read_bytes())
    data[100] ^= 1
    flipped.write_bytes(data)
    gone.unlink()
    problems = archive.verify(shelf.store, DAY)
    assert [problem.split(" ", 1)[0] for problem in problems] == files[:2]
    assert problems[1].endswith("is missing")
    home = open_book(tmp_path / "new")
    with pytest.raises(ArchiveError, match="is damaged, nothing was restored"):
        archive_restore.restore(shelf.store, DAY, home.warehouse)
    assert not home.warehouse.exists("bronze.raw_applications")
    home.warehouse.close()
    shelf.archive()
    assert archive.verify(shelf.store, DAY) == [], "archiving again mends what is damaged"


# -------------------------------------------------------------------- killed

STALLED = """
import sys, time
from pathlib import Path
from credit_risk_platform.adapters.archive_store import ArchiveStore
from tests.archive_book import open_book
moment, whole, puts = sys.argv[2], getattr(ArchiveStore, sys.argv[2]), []
def stall(self, *arguments):
    puts.append(1)
    if len(puts) == (3 if moment == "put" else 1):
        print("half way", flush=True)
        time.sleep(600)
    return whole(self, *arguments)
setattr(ArchiveStore, moment, stall)
open_book(Path(sys.argv[1])).archive(run_id="killed")
"""


def kill(home: Path, moment: str) -> None:
    """Archive in a process of its own and kill -9 it at its third data file, or when it is about to name them."""
    command = [sys.executable, "-c", STALLED, str(home), moment]
    process = subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"half way\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def test_a_killed_run_leaves_the_earlier_archive_whole(book: ArchiveBook, tmp_path: Path) -> None:
    book.archive()
    before = book.listing()
    for table in ("raw_applications", "raw_repayments", "raw_transactions"):  # more has arrived on the day
        more = 'select * replace (event_id || \'-more\' as event_id, "offset" + 1000 as "offset")'
        kept = 'where kafka_time is not null and "offset" < 3'
        rows = Select(f"{more} from bronze.{table} {kept}")
        book.warehouse.append_missing(f"bronze.{table}", rows, ["event_id"])
    for moment in ("put", "put_bytes"):
        kill(tmp_path / "book", moment)
        held = book.listing()
        assert {name: held[name] for name in before} == before
        assert archive.verify(book.store, DAY) == []
    finished = book.archive(run_id="run-2").manifest
    assert finished.rows > sum(ROWS.values())
    named = {file.name for file in finished.files} | {manifest_name(DAY)}
    assert set(book.listing()) == named, "neither halves nor files that nobody names are left"
