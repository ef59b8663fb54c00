"""The dashboard's connection: it sees each commit, and the engine refuses what would change one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.adapters.warehouse.reader import LakeReader, NoLakeError


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckLakeWarehouse]:
    warehouse = DuckLakeWarehouse(tmp_path_factory.mktemp("home") / "warehouse")
    warehouse.replace_table("gold.loans", pa.table({"loan_id": ["a", "b"], "balance": [10, 20]}))
    yield warehouse
    warehouse.close()


@pytest.fixture(scope="module")
def reader(writer: DuckLakeWarehouse) -> Iterator[LakeReader]:
    opened = LakeReader(writer.root)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    "write",
    [
        "insert into gold.loans values ('c', 30)",
        "update gold.loans set balance = 0",
        "delete from gold.loans",
        "create table gold.other as select 1 as a",
        "drop table gold.loans",
        "alter table gold.loans add column b int",
        "create schema lake.mine",
        "call lake.set_option('parquet_compression', 'gzip')",
    ],
)
def test_the_engine_refuses_to_write(reader: LakeReader, write: str) -> None:
    before = reader.snapshot()
    with pytest.raises(duckdb.Error, match=r"(?i)read.only"):
        reader.query(write)
    assert reader.snapshot() == before
    assert reader.query("select sum(balance)::int as b from gold.loans")["b"].to_pylist() == [30]


def test_a_commit_is_seen_at_once_and_has_its_time(writer: DuckLakeWarehouse, reader: LakeReader) -> None:
    before = reader.state()
    assert before.snapshot == writer.snapshot()
    writer.replace_table("gold.new_one", pa.table({"a": [1]}))
    after = reader.state()
    assert int(after.snapshot) > int(before.snapshot)
    assert after.committed_at >= before.committed_at
    assert after.committed_at.utcoffset() is not None
    assert reader.exists("gold.new_one")
    assert not reader.exists("gold.never_made")


def test_a_home_without_a_lake_says_how_to_make_one_and_is_found_later(tmp_path: Path) -> None:
    reader = LakeReader(tmp_path / "warehouse")
    with pytest.raises(NoLakeError, match="crp demo --once"):
        reader.state()
    assert not (tmp_path / "warehouse").exists()  # looking makes nothing
    writer = DuckLakeWarehouse(tmp_path / "warehouse")
    writer.replace_table("gold.loans", pa.table({"a": [1]}))
    assert reader.query("select a from gold.loans")["a"].to_pylist() == [1]
    reader.close()
    writer.close()
