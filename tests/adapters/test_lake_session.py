"""The lake as one process holds it: its catalog stays open, and a session that served long begins anew."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from credit_risk_platform.adapters.warehouse import lake_session
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.adapters.warehouse.reader import LakeReader

TABLE = "bronze.payments"
LOG = "catalog.sqlite-wal"


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[DuckLakeWarehouse]:
    warehouse = DuckLakeWarehouse(tmp_path)
    warehouse.replace_table(TABLE, pa.table({"amount": range(1_000)}))
    yield warehouse
    warehouse.close()


def _append(lake: DuckLakeWarehouse) -> None:
    with lake.transaction() as transaction:
        transaction.append(TABLE, pa.table({"amount": [1]}))


def _alone_with(lake: LakeReader | DuckLakeWarehouse) -> set[int]:
    """The catalog's log after each of a few queries: a file that is made anew has another number."""
    seen = set()
    for _ in range(5):
        lake.query(f"select count(*) from {TABLE}")
        seen.add((lake.root / LOG).stat().st_ino)
    return seen


def test_a_process_alone_in_the_lake_does_not_wait_for_the_catalog_to_be_opened_and_closed_again(
    lake: DuckLakeWarehouse,
) -> None:
    _append(lake)
    first = _alone_with(lake)
    _append(lake)
    assert len(first | _alone_with(lake)) == 1


def test_one_who_only_reads_holds_the_catalog_open_too(lake: DuckLakeWarehouse) -> None:
    _append(lake)
    lake.close()
    reader = LakeReader(lake.root)
    try:
        reader.query(f"select count(*) from {TABLE}")
        assert len(_alone_with(reader)) == 1
    finally:
        reader.close()


def test_the_log_is_written_back_while_the_catalog_is_held_open_and_does_not_grow_for_ever(
    lake: DuckLakeWarehouse,
) -> None:
    for _ in range(200):  # some 13 MB in all; 1,000 pages of 4 kB are written back
        _append(lake)
    assert (lake.root / LOG).stat().st_size < 6_000_000


def test_a_session_that_served_long_begins_anew_and_nobody_who_reads_notices(
    lake: DuckLakeWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lake_session, "SESSION_USES", 7)
    counts: list[int] = []

    def ask() -> None:
        for _ in range(20):
            counts.append(lake.count(TABLE))

    with lake.stream(f"select amount from {TABLE} order by amount", batch_rows=10) as batches:
        begun = next(batches)
        before = lake._connection
        askers = [threading.Thread(target=ask) for _ in range(3)]
        for asker in askers:
            asker.start()
        for _ in range(10):
            _append(lake)
        for asker in askers:
            asker.join()
        rest = sum(batch.num_rows for batch in batches)
    assert lake._connection is not before
    assert (begun.num_rows + rest, len(counts), lake.count(TABLE)) == (1_000, 60, 1_010)
