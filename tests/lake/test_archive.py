"""A day archived to a bucket can be read back, value by value, on another host."""

from __future__ import annotations

from pathlib import Path

import pytest

from credit_risk_platform.adapters import archive, archive_restore
from credit_risk_platform.adapters.archive_manifest import ArchiveError, manifest_name, require_manifest
from credit_risk_platform.adapters.archive_store import ArchiveStore
from credit_risk_platform.adapters.object_store import open_files
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from tests import archive_book
from tests.archive_book import DAY, NEXT, NOW, ArchiveBook, make_archive_book
from tests.lake.s3_server import Proxy, S3Server


def test_a_day_goes_to_the_bucket_with_its_reports_and_comes_back_equal(
    s3: S3Server, proxy: Proxy, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = s3.store(prefix, endpoint_url=proxy.url)

    def open_book(home: Path) -> ArchiveBook:
        files = open_files(store, home / "lake" / "archive", "archive")
        warehouse = DuckLakeWarehouse(home / "warehouse", threads=1, store=store)
        return ArchiveBook(warehouse, ArchiveStore(files), home / "unused")

    monkeypatch.setattr(archive_book, "open_book", open_book)
    reports = open_files(store, tmp_path / "reports", "reports").below(f"drift/{DAY}")
    reports.put_bytes(b"<html>drift</html>", "report.html")
    reports.put_bytes(b"{}", "report.json")
    book = make_archive_book(tmp_path / "home")
    for day in (DAY, NEXT):
        made = archive.archive_day(book.warehouse, book.store, reports, day, run_id="run", now=NOW)
        assert all(
            one.equal for one in archive_restore.compare(book.warehouse, book.store, made.manifest, made.snapshot)
        )
    again = archive.archive_day(book.warehouse, book.store, reports, DAY, run_id="again", now=NOW)
    assert again.unchanged
    held = s3.objects(f"{prefix}/archive")
    manifest = require_manifest(book.store, DAY)
    assert manifest.rows > 0
    assert manifest_name(DAY) in held
    assert {file.name for file in manifest.files} <= held.keys()
    assert sorted(file.name.rpartition(".")[2] for file in manifest.reports) == ["html", "json"]
    assert not list((tmp_path / "home" / "lake").rglob("*.parquet"))
    book.warehouse.close()

    other = open_book(tmp_path / "other-home")  # a lake of its own: its catalog is another
    other.warehouse.data = open_files(store, tmp_path / "other", "other")
    proxy.requests.clear()
    found = archive_restore.restore(other.store, DAY, DuckLakeWarehouse(tmp_path / "fresh", threads=1, store=store))
    assert {one.table: (one.added, one.differing) for one in found} == {
        table.table: (table.rows, 0) for table in manifest.tables if table.rows
    }
    day = f"yyyy={DAY:%Y}/mm={DAY:%m}/dd={DAY:%d}"
    read = {one.path.replace("%3D", "=") for one in proxy.of("GET", "/archive/")}
    assert read
    assert all(day in path for path in read), "reading a day opens that day's folders only"

    name = manifest.files[0].name
    open_files(store, tmp_path / "vandal", "archive").put_bytes(b"damaged", name)
    [problem] = archive.verify(book.store, DAY)
    assert name in problem
    with pytest.raises(ArchiveError, match="nothing was restored"):
        archive_restore.restore(book.store, DAY, book.warehouse)
    book.warehouse.close()
