"""What every warehouse engine owes the rooms: DuckLake, and Snowflake as fakesnow answers for it over HTTP.

Tests that take `lake` are about what only DuckLake has: its files, its lock, its catalog.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol, cast

import duckdb
import pyarrow as pa
import pytest
from snowflake.connector.errors import Error as SnowflakeError

from credit_risk_platform.adapters.warehouse.base import Batches, DuplicateKeyError, Select, Warehouse
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse, Upkeep
from credit_risk_platform.adapters.warehouse.lake_session import attach_sql

NASTY = ["O'Brien", 'say "hi"', "back\\slash", "line\nbreak", "naïve ☃", "", "semi;colon--", "{'a': 1}"]


WAREHOUSES = ["ducklake", "snowflake"]
FAULTS = (duckdb.Error, SnowflakeError)


class Engine(Protocol):
    """What both warehouses have beyond the seam that rooms see."""

    def maintain(self, keep: timedelta = timedelta(days=7)) -> Upkeep: ...

    def merge(self, table: str) -> tuple[str, str]: ...

    def publish(self, target: Path, tables: Sequence[str]) -> None: ...


class AnyWarehouse(Warehouse, Engine, Protocol):
    """Either."""


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[DuckLakeWarehouse]:
    lake = DuckLakeWarehouse(tmp_path / "it's a lake")
    yield lake
    lake.close()


@pytest.fixture(params=WAREHOUSES)
def warehouses(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], AnyWarehouse]]:
    """Opens the same warehouse again and again, as several processes do."""
    opened: list[Any] = []
    if request.param == "snowflake":
        fakesnow = request.getfixturevalue("fakesnow")
        settings = fakesnow.settings(tmp_path / "home")

    def another() -> AnyWarehouse:
        is_lake = request.param == "ducklake"
        opened.append(DuckLakeWarehouse(tmp_path / "it's a lake") if is_lake else fakesnow.warehouse(settings))
        return cast(AnyWarehouse, opened[-1])

    yield another
    for one in opened:
        one.close()


@pytest.fixture
def warehouse(warehouses: Callable[[], AnyWarehouse]) -> AnyWarehouse:
    return warehouses()


def loans(*ids: int, amount: str = "100.10") -> pa.Table:
    return pa.table(
        {"loan_id": pa.array(ids, pa.int64()), "amount": pa.array([Decimal(amount)] * len(ids), pa.decimal128(18, 2))}
    )


def rows(warehouse: Warehouse, table: str = "gold.loans") -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in warehouse.query(f"select * from {table} order by all").to_pylist()]


def test_the_engine_satisfies_the_protocol(warehouse: AnyWarehouse) -> None:
    assert isinstance(warehouse, Warehouse)


# -------------------------------------------------------------------- running twice equals running once


def test_replacing_a_partition_twice_leaves_it_once_and_the_others_alone(warehouse: AnyWarehouse) -> None:
    warehouse.replace_table("gold.loans", loans(1, 2, 11, 12))
    for _ in range(2):
        assert warehouse.replace("gold.loans", loans(3), "loan_id < ?", [10]) == 1
    assert [row[0] for row in rows(warehouse)] == [3, 11, 12]


def test_upserting_twice_changes_each_key_once(warehouse: AnyWarehouse) -> None:
    warehouse.replace_table("gold.loans", loans(1, 2))
    for _ in range(2):
        assert warehouse.upsert("gold.loans", loans(2, 3, amount="7.77"), ["loan_id"]) == 2
    assert rows(warehouse) == [(1, Decimal("100.10")), (2, Decimal("7.77")), (3, Decimal("7.77"))]


def test_appending_again_appends_nothing_and_never_changes_what_is_there(warehouse: AnyWarehouse) -> None:
    assert warehouse.append_missing("gold.loans", loans(1, 2), ["loan_id"]) == 2
    assert warehouse.append_missing("gold.loans", loans(2, 3, amount="7.77"), ["loan_id"]) == 1
    assert warehouse.append_missing("gold.loans", loans(2, 3, amount="8.88"), ["loan_id"]) == 0
    assert rows(warehouse) == [(1, Decimal("100.10")), (2, Decimal("100.10")), (3, Decimal("7.77"))]


def test_a_row_without_a_key_is_not_appended_again_on_every_run(warehouse: AnyWarehouse) -> None:
    nameless = pa.table({"k": pa.array([None], pa.string()), "v": [1]})
    assert [warehouse.append_missing("gold.t", nameless, ["k"]) for _ in range(2)] == [1, 0]
    assert warehouse.upsert("gold.t", nameless, ["k"]) == 1
    assert warehouse.count("gold.t") == 1


@pytest.mark.parametrize("write", ["upsert", "append_missing"])
def test_a_key_that_comes_twice_in_one_write_is_refused_and_nothing_is_written(
    warehouse: AnyWarehouse, write: str
) -> None:
    warehouse.replace_table("gold.loans", loans(1))
    with pytest.raises(DuplicateKeyError, match="2 incoming rows share the key loan_id=5"):
        getattr(warehouse, write)("gold.loans", loans(4, 5, 5), ["loan_id"])
    assert [row[0] for row in rows(warehouse)] == [1]


def test_an_upsert_that_reads_its_own_table_does_not_lose_it(warehouse: AnyWarehouse) -> None:
    warehouse.replace_table("gold.loans", loans(1, 2))
    doubled = Select("select loan_id, (amount * ?)::decimal(18, 2) as amount from gold.loans", [2])
    assert warehouse.upsert("gold.loans", doubled, ["loan_id"]) == 2
    assert warehouse.replace("gold.loans", Select("select * from gold.loans"), "loan_id > 0") == 2
    assert rows(warehouse) == [(1, Decimal("200.20")), (2, Decimal("200.20"))]


def test_a_select_over_staged_rows_may_read_the_table_it_changes_too(warehouse: AnyWarehouse) -> None:
    warehouse.replace_table("gold.loans", loans(1, 2))
    both = Select("select * from gold.loans union all select * from more")
    with warehouse.transaction({"more": loans(3)}) as transaction:
        assert transaction.replace("gold.loans", both, "true") == 3
    warehouse.replace_table("gold.more", loans(8))
    with warehouse.transaction({"more": loans(9)}) as transaction:
        assert transaction.upsert("gold.more", Select("select * from gold.more"), ["loan_id"]) == 1
    assert [row[0] for row in rows(warehouse)] == [1, 2, 3]


def test_staged_batches_pass_through_their_query_batch_by_batch(warehouse: AnyWarehouse) -> None:
    reader = loans(1, 2, 3, 4).to_reader(max_chunksize=2)
    doubled = Batches(reader, "select loan_id * ? as loan_id, amount from incoming_rows", [10])
    with warehouse.transaction({"many": doubled, "one": Select("select max(loan_id) as top from many")}) as transaction:
        assert transaction.query("select top from one")["top"].to_pylist() == [40]
        transaction.append("gold.loans", Select("select * from many"))
    assert [row[0] for row in rows(warehouse)] == [10, 20, 30, 40]


def test_a_workspace_is_private_and_waits_for_no_writer(warehouse: AnyWarehouse) -> None:
    warehouse.replace_table("gold.loans", loans(1, 2))
    with warehouse.transaction() as writer:
        writer.replace("gold.loans", loans(3), "true")
        with warehouse.workspace() as workspace:
            assert workspace.stage("copied", Select("select * from gold.loans")) == 2
            assert workspace.stage("mine", loans(7)) == 1
    with pytest.raises(FAULTS, match=r"(?i)copied"):
        warehouse.query("select * from copied")


def test_a_transaction_knows_whether_anyone_has_written_since_another_one(
    warehouses: Callable[[], AnyWarehouse],
) -> None:
    warehouse, other = warehouses(), warehouses()

    def written() -> tuple[str, str | None]:
        with warehouse.transaction() as transaction:
            assert transaction.before
            transaction.append("gold.loans", loans(1))
            assert transaction.after is None
        return transaction.before, transaction.after

    _, first = written()
    before, second = written()
    assert before == first != second == warehouse.snapshot()
    with pytest.raises(FAULTS), warehouse.transaction() as failed:
        failed.query(f"select * from gold.nowhere where {failed.before} > 0")
    assert (failed.before, failed.after) == (second, None)
    other.append_missing("gold.loans", loans(3), ["loan_id"])
    before, _ = written()
    assert before != second


# -------------------------------------------------------------------- values


def test_quotes_in_text_and_in_nested_values_survive(warehouse: AnyWarehouse) -> None:
    kind = pa.struct([("who", pa.string()), ("words", pa.list_(pa.string()))])
    nested = pa.array([{"who": text, "words": [text, None, text]} for text in NASTY], kind)
    warehouse.append_missing("gold.t", pa.table({"k": range(len(NASTY)), "text": NASTY, "nested": nested}), ["k"])
    read = warehouse.query("select * from gold.t order by k").to_pydict()
    assert read["text"] == NASTY
    assert read["nested"] == nested.to_pylist()
    assert warehouse.query("select k from gold.t where text = ?", [NASTY[0]])["k"].to_pylist() == [0]


@pytest.mark.parametrize("write", ["replace_table", "replace"])
def test_a_sum_of_big_integers_is_exact_to_the_last_digit(warehouse: AnyWarehouse, write: str) -> None:
    summed = Select("select sum(x) as total from (values (9007199254740993::bigint), (0)) as t(x)")
    getattr(warehouse, write)("gold.totals", summed, *(["true"] if write == "replace" else []))
    assert rows(warehouse, "gold.totals") == [(Decimal(9007199254740993),)]


def test_doubles_keep_every_bit_and_missing_stays_apart_from_not_a_number(warehouse: AnyWarehouse) -> None:
    exact = [0.1 + 0.2, 5e-324, 1.7976931348623157e308, -0.0, None]
    values = pa.array([*exact, float("nan")], pa.float64(), from_pandas=False)
    warehouse.replace_table("gold.t", pa.table({"x": values}))
    read = warehouse.query("select x from gold.t")["x"].to_pylist()
    assert [repr(x) for x in read] == [repr(x) for x in exact] + ["nan"]


def test_columns_are_matched_by_name_and_an_unknown_one_is_refused(warehouse: AnyWarehouse) -> None:
    warehouse.replace_table("gold.loans", loans(1))
    warehouse.append_missing("gold.loans", loans(2).select(["amount", "loan_id"]), ["loan_id"])
    assert rows(warehouse)[1] == (2, Decimal("100.10"))
    with pytest.raises(FAULTS, match=r"(?i)surprise"):
        warehouse.append_missing("gold.loans", pa.table({"loan_id": [3], "surprise": [1]}), ["loan_id"])
    assert warehouse.count("gold.loans") == 2


@pytest.mark.parametrize("how", ["append", "replace"])
def test_a_table_of_an_older_version_grows_the_columns_it_lacks(warehouse: AnyWarehouse, how: str) -> None:
    warehouse.replace_table("gold.loans", loans(1, 2))
    decided = loans(3).append_column("Decision", pa.array(["refer"]))
    new = decided.append_column("reasons", pa.array([["AA01", None]]))
    with warehouse.transaction({"scored": new}) as transaction:
        rows_of_it = Select("select * from scored")
        if how == "append":
            transaction.append("gold.loans", rows_of_it)
        else:
            transaction.replace("gold.loans", rows_of_it, "loan_id = ?", [2])
        transaction.append("gold.loans", decided.drop_columns(["Decision"]))
    kept = [(1, None, None)] + [(2, None, None)] * (how == "append")
    given = [(3, "refer", ["AA01", None]), (3, None, None)]
    read = warehouse.query('select loan_id, "Decision", reasons from gold.loans order by all nulls last')
    assert [tuple(row.values()) for row in read.to_pylist()] == kept + given


def test_a_write_that_fails_takes_the_new_columns_back(warehouse: AnyWarehouse) -> None:
    warehouse.replace_table("gold.loans", loans(1))

    def fail_after_growing() -> None:
        with warehouse.transaction() as transaction:
            transaction.append("gold.loans", loans(2).append_column("decision", pa.array(["refer"])))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_growing()
    assert list(warehouse.columns("gold.loans")) == ["loan_id", "amount"]


def test_asking_for_a_table_that_is_not_there_says_so(warehouse: AnyWarehouse) -> None:
    assert not warehouse.exists("gold.nowhere")
    with pytest.raises(KeyError, match=r"no table gold\.nowhere"):
        warehouse.columns("gold.nowhere")


# -------------------------------------------------------------------- transactions


def test_grouped_writes_become_visible_together(warehouse: AnyWarehouse) -> None:
    with warehouse.transaction() as transaction:
        transaction.replace_table("gold.scores", loans(1))
        transaction.append_missing("gold.ledger", loans(1), ["loan_id"])
        assert transaction.query("select count(*) as n from gold.ledger")["n"].to_pylist() == [1]
        assert not warehouse.exists("gold.scores")
    assert warehouse.count("gold.scores") == warehouse.count("gold.ledger") == 1


def test_a_failure_in_a_group_takes_all_of_it_back(warehouse: AnyWarehouse) -> None:
    warehouse.replace_table("gold.scores", loans(1))

    def half_way() -> None:
        with warehouse.transaction() as transaction:
            transaction.replace("gold.scores", loans(2, 3), "true")
            transaction.append_missing("gold.ledger", loans(2), ["loan_id"])
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        half_way()
    assert [row[0] for row in rows(warehouse, "gold.scores")] == [1]
    assert not warehouse.exists("gold.ledger")
    assert warehouse.replace("gold.scores", loans(9), "true") == 1, "the lock and the connection are free again"


def test_a_slow_producer_of_staged_rows_keeps_no_other_writer_waiting(warehouse: AnyWarehouse) -> None:
    def slowly() -> Iterator[pa.RecordBatch]:
        for k in range(2):
            assert warehouse.append_missing("gold.meanwhile", loans(k), ["loan_id"]) == 1
            yield from loans(k).to_batches()

    reader = Batches(pa.RecordBatchReader.from_batches(loans().schema, slowly()))
    with warehouse.transaction({"scored": reader}) as transaction:
        assert transaction.replace("gold.loans", Select("select * from scored"), "true") == 2
    assert warehouse.count("gold.meanwhile") == 2


def test_the_error_of_a_failing_producer_is_the_one_that_is_seen(warehouse: AnyWarehouse) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield from loans(1).to_batches()
        raise LookupError("the model is gone")

    reader = Batches(pa.RecordBatchReader.from_batches(loans().schema, broken()))
    with pytest.raises(LookupError, match="the model is gone"), warehouse.transaction({"scored": reader}):
        pass


def test_a_stream_gives_bounded_batches_of_one_snapshot(warehouse: AnyWarehouse) -> None:
    warehouse.replace_table("gold.t", Select("select range as k from range(30000)"))
    with warehouse.stream("select k from gold.t", batch_rows=10_000) as batches:
        sizes = [next(batches).num_rows]
        warehouse.replace("gold.t", pa.table({"k": [1]}), "true")
        sizes += [batch.num_rows for batch in batches]
    assert sum(sizes) == 30_000
    assert max(sizes) <= 10_000 + 2048


# -------------------------------------------------------------------- readers, writers and kills


def test_a_reader_never_waits_for_a_writer(warehouses: Callable[[], AnyWarehouse]) -> None:
    warehouse = warehouses()
    warehouse.replace_table("gold.loans", loans(1))
    with warehouse.transaction() as transaction:
        transaction.replace("gold.loans", loans(2, 3), "true")
        assert [row[0] for row in rows(warehouse)] == [1]
        assert [row[0] for row in rows(warehouses())] == [1]
    assert [row[0] for row in rows(warehouse)] == [2, 3]


def test_a_reader_never_waits_for_a_writer_even_to_open_the_lake(lake: DuckLakeWarehouse) -> None:
    lake.replace_table("gold.loans", loans(1))
    with lake.transaction() as transaction:
        transaction.replace("gold.loans", loans(2, 3), "true")
        newcomer = DuckLakeWarehouse(lake.root)
        newcomer.lock.timeout_seconds = 0.1
        assert [row[0] for row in rows(newcomer)] == [1]
        newcomer.close()
        analyst = duckdb.connect(config={"extension_directory": str(lake.root / "ext")})
        analyst.execute(attach_sql(lake.root, read_only=True))
        assert analyst.execute("select loan_id from lake.gold.loans").fetchall() == [(1,)]
        analyst.close()


def test_writers_in_several_threads_lose_nothing(warehouse: AnyWarehouse) -> None:
    warehouse.append_missing("gold.loans", loans(), ["loan_id"])

    def append(first: int) -> None:
        for k in range(first, first + 3):
            warehouse.append_missing("gold.loans", loans(k), ["loan_id"])

    threads = [threading.Thread(target=append, args=(100 * n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warehouse.count("gold.loans") == 9


KILLED_WRITER = """
import sys, time
from pathlib import Path
from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
lake = DuckLakeWarehouse(Path(sys.argv[1]))
with lake.transaction() as transaction:
    many = Select("select range as loan_id, 1.00::decimal(18, 2) as amount from range(50000)")
    transaction.replace("gold.loans", many, "true")
    transaction.replace_table("gold.half", Select("select 1 as x"))
    print("written", flush=True)
    time.sleep(600)
"""


def test_a_writer_that_is_killed_leaves_nothing_behind_and_blocks_nobody(lake: DuckLakeWarehouse) -> None:
    lake.replace_table("gold.loans", loans(1, 2))
    writer = subprocess.Popen([sys.executable, "-c", KILLED_WRITER, str(lake.root)], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"written\n"
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    assert [row[0] for row in rows(lake)] == [1, 2]
    assert not lake.exists("gold.half")
    started = time.monotonic()
    assert lake.append_missing("gold.loans", loans(3), ["loan_id"]) == 1
    assert time.monotonic() - started < 20
    fresh = DuckLakeWarehouse(lake.root)
    assert fresh.count("gold.loans") == 3
    fresh.close()


# -------------------------------------------------------------------- the published copy


def test_the_published_copy_is_swapped_whole_while_somebody_reads_it(lake: DuckLakeWarehouse, tmp_path: Path) -> None:
    target = tmp_path / "marts.duckdb"
    seen: list[tuple[int, int]] = []
    stop = threading.Event()

    def publish(state: int) -> None:
        with lake.transaction() as transaction:
            transaction.replace_table("gold.left", Select("select ? as state from range(1000)", [state]))
            transaction.replace_table("silver.right", Select("select ? as state from range(1000)", [state]))
        lake.publish(target, ["gold.left", "silver.right"])

    def read() -> None:
        while not stop.is_set():
            with duckdb.connect(str(target), read_only=True) as reader:
                sql = "select (select max(state) from gold.left), (select min(state) from silver.right)"
                seen.append(reader.execute(sql).fetchone())  # type: ignore[arg-type]

    publish(0)
    held_open = duckdb.connect(str(target), read_only=True)
    thread = threading.Thread(target=read)
    thread.start()
    for state in range(1, 6):
        publish(state)
    stop.set()
    thread.join()
    assert held_open.execute("select max(state) from gold.left").fetchone() == (0,)
    held_open.close()
    assert seen
    assert all(left == right for left, right in seen)
    assert not list(tmp_path.glob("*.tmp*"))


def test_a_publish_that_fails_keeps_the_former_copy(warehouse: AnyWarehouse, tmp_path: Path) -> None:
    target = tmp_path / "marts.duckdb"
    warehouse.replace_table("gold.loans", loans(1))
    warehouse.publish(target, ["gold.loans"])
    with pytest.raises(FAULTS, match=r"(?i)nowhere"):
        warehouse.publish(target, ["gold.loans", "gold.nowhere"])
    warehouse.publish(target, ["gold.loans"])
    with duckdb.connect(str(target), read_only=True) as reader:
        assert reader.execute("select count(*) from gold.loans").fetchone() == (1,)


def test_maintenance_keeps_every_row(warehouse: AnyWarehouse) -> None:
    for k in range(5):
        warehouse.append_missing("gold.loans", loans(k), ["loan_id"])
    before = rows(warehouse)
    warehouse.maintain()
    assert rows(warehouse) == before


def test_upkeep_merges_the_small_files_of_many_batches_once_their_snapshots_have_expired(
    lake: DuckLakeWarehouse,
) -> None:
    for k in range(10):
        lake.append_missing("gold.loans", loans(k), ["loan_id"])
    before = rows(lake)
    lake.maintain(timedelta(0))
    upkeep = lake.maintain(timedelta(0))  # what the first call scheduled is deleted by the second
    assert upkeep.files_after == 1
    assert rows(lake) == before


def test_a_snapshot_names_the_state_and_moves_with_each_write(warehouse: AnyWarehouse) -> None:
    first = warehouse.snapshot()
    assert warehouse.snapshot() == first
    warehouse.replace_table("gold.loans", loans(1))
    assert int(warehouse.snapshot()) > int(first)


def test_rows_are_read_as_they_stood_in_the_state_that_was_told(warehouse: AnyWarehouse) -> None:
    warehouse.replace_table("gold.loans", loans(1))
    assert rows(warehouse, warehouse.at("gold.loans", warehouse.snapshot())) == rows(warehouse)


def test_a_later_write_does_not_reach_the_state_that_was_told_before_it(lake: DuckLakeWarehouse) -> None:
    lake.replace_table("gold.loans", loans(1))
    before, then = rows(lake), lake.snapshot()
    lake.replace_table("gold.loans", loans(1, 2))
    assert rows(lake, lake.at("gold.loans", then)) == before != rows(lake)
