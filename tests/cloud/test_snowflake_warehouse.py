"""What only the Snowflake warehouse owes: sign-in without leaks, locks with an end, loads of files, exact values."""

from __future__ import annotations

import hashlib
import logging
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from snowflake.connector.errors import ProgrammingError

from credit_risk_platform.adapters.warehouse.base import Batches, Select
from credit_risk_platform.adapters.warehouse.lock import WriterLockTimeoutError
from credit_risk_platform.adapters.warehouse.snowflake_state import STATE
from credit_risk_platform.adapters.warehouse.snowflake_types import Column, as_duckdb
from credit_risk_platform.resources import SnowflakeSettingsError, build_resources, snowflake_connect
from credit_risk_platform.settings import Settings, Target
from tests.cloud.snowflake_server import PASSWORD, Fakesnow

if TYPE_CHECKING:
    from credit_risk_platform.adapters.warehouse.snowflake import SnowflakeWarehouse

KEYS = pa.table({"k": pa.array([1, 2], pa.int64()), "v": ["a", "b"]})


@pytest.fixture(scope="module")
def settings(fakesnow: Fakesnow, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return fakesnow.settings(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def warehouse(fakesnow: Fakesnow, settings: Settings) -> Iterator[SnowflakeWarehouse]:
    warehouse = fakesnow.warehouse(settings)
    yield warehouse
    warehouse.close()


# -------------------------------------------------------------------- signing in


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"snowflake_account": None}, "SNOWFLAKE_ACCOUNT"),
        ({"snowflake_user": None}, "SNOWFLAKE_USER"),
        ({"snowflake_password": None}, "SNOWFLAKE_PRIVATE_KEY_PATH"),
        ({"snowflake_host": "snowflake.example"}, "use https"),
        ({"snowflake_host": None}, "use https"),
    ],
)
def test_a_setting_that_is_missing_or_would_send_secrets_in_the_clear_is_named_before_anything_is_sent(
    fakesnow: Fakesnow, tmp_path: Path, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(SnowflakeSettingsError, match=message) as refused:
        snowflake_connect(fakesnow.settings(tmp_path, **more))()
    assert PASSWORD not in str(refused.value)


def test_a_service_user_signs_in_with_its_encrypted_key_and_no_password(fakesnow: Fakesnow, tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    file = tmp_path / "service.p8"
    phrase = "a-passphrase-that-no-log-may-show"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(phrase.encode()),
        )
    )
    by_key = {"snowflake_private_key_path": file, "snowflake_private_key_passphrase": phrase}
    with fakesnow.connect(fakesnow.settings(tmp_path, **by_key)) as connection:
        assert connection.auth_class.type_.name == "KEY_PAIR"
        assert connection.cursor().execute("select 1").fetchone() == (1,)
    wrong = fakesnow.settings(tmp_path, **{**by_key, "snowflake_private_key_passphrase": "another"})
    with pytest.raises(ValueError, match="private key") as refused, fakesnow.connect(wrong):
        pass
    assert "another" not in str(refused.value)


def test_no_secret_shows_in_logs_representations_or_errors(
    fakesnow: Fakesnow, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = fakesnow.settings(tmp_path)
    resources = build_resources(settings)
    warehouse = resources["warehouse"]
    with pytest.raises(ProgrammingError, match=r"(?i)nowhere") as failed:
        warehouse.query("select * from gold.nowhere where k = ?", ["a bound value"])
    told = f"{warehouse!r} {vars(warehouse)!r} {failed.value} {caplog.text}"
    warehouse.close()
    assert PASSWORD not in told


def test_the_bill_shows_which_run_its_statements_were_for(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from credit_risk_platform.adapters.warehouse.snowflake_session import SnowflakeSession

    said: list[str] = []
    execute = SnowflakeSession.execute

    def told(self: SnowflakeSession, sql: str, params: Any = ()) -> int:
        said.append(sql)
        return execute(self, sql, params)

    @dg.asset
    def counted(warehouse: dg.ResourceParam[Any]) -> None:
        warehouse.query("select 1 as x")

    monkeypatch.setattr(SnowflakeSession, "execute", told)
    resources = build_resources(settings)
    result = dg.materialize([counted], resources={"warehouse": resources["warehouse"]})
    resources["warehouse"].query("select 2 as x")
    resources["warehouse"].close()
    tags = [sql for sql in said if "query_tag" in sql]
    assert f'"run_id": "{result.run_id}"' in tags[0]
    assert "run_id" not in tags[-1]


# -------------------------------------------------------------------- writers


def test_a_writer_waits_no_longer_than_it_is_told_and_says_what_to_look_at(
    fakesnow: Fakesnow, settings: Settings, warehouse: SnowflakeWarehouse
) -> None:
    hasty = fakesnow.warehouse(settings, lock_seconds=1)
    with warehouse.transaction() as transaction:
        transaction.replace_table("gold.held", KEYS)
        with pytest.raises(WriterLockTimeoutError, match="show locks"):
            hasty.replace_table("gold.hasty", KEYS)
    assert not hasty.exists("gold.hasty")
    assert hasty.replace_table("gold.hasty", KEYS) == 2
    hasty.close()


def test_a_writer_that_asks_again_while_it_waits_for_its_turn_writes_once(
    fakesnow: Fakesnow, settings: Settings, warehouse: SnowflakeWarehouse
) -> None:
    """The connector asks again after a minute without an answer, here after a second. A lock may last longer."""
    asked_again = threading.Event()

    def pauses() -> Iterator[float]:
        yield from (0.1, 0.1)
        asked_again.set()  # its second request, too, has waited in vain
        yield from repeat(0.1)

    before = int(warehouse.snapshot())
    with ThreadPoolExecutor(1) as pool, fakesnow.connect(settings) as hasty:
        hasty._socket_timeout, hasty._backoff_policy = 1, pauses
        with warehouse.transaction() as transaction:
            transaction.replace_table("gold.held", KEYS)
            waiting = pool.submit(hasty.cursor().execute, f"update {STATE} set VERSION = VERSION + 1000")
            assert asked_again.wait(30)
            assert not waiting.done()
        assert waiting.result(30).fetchall() == [(1, 0)]
    assert (int(warehouse.snapshot()) - before) // 1000 == 1


def test_a_table_takes_a_new_shape_after_the_commit_and_keeps_the_old_one_when_it_fails(
    warehouse: SnowflakeWarehouse,
) -> None:
    warehouse.replace_table("gold.shaped", KEYS)
    wider = KEYS.append_column("w", pa.array([0.5, None]))

    def fail() -> None:
        with warehouse.transaction() as transaction:
            transaction.replace_table("gold.shaped", wider)
            assert transaction.query("select sum(w) as w from gold.shaped")["w"].to_pylist() == [0.5]
            assert list(warehouse.columns("gold.shaped")) == ["k", "v"]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(warehouse.columns("gold.shaped")) == ["k", "v"]
    assert warehouse.replace_table("gold.shaped", wider) == 2
    assert warehouse.query("select * from gold.shaped order by k").to_pylist() == wider.to_pylist()


def test_a_view_reads_what_its_table_holds_now(warehouse: SnowflakeWarehouse) -> None:
    warehouse.replace_table("gold.viewed", KEYS)
    warehouse.create_view("gold.view_of_it", "select k from gold.viewed where v = 'b'")
    assert warehouse.query("select * from gold.view_of_it")["k"].to_pylist() == [2]


def test_nothing_that_was_staged_stays_behind(warehouse: SnowflakeWarehouse) -> None:
    with warehouse.transaction({"mine": KEYS, "theirs": Select("select * from mine")}) as transaction:
        transaction.stage("during", Select("select count(*) as n from theirs"))
        transaction.append("gold.staged", Select("select n from during"))
    left = "select count(*) as n from information_schema.tables where table_schema = 'SCRATCH'"
    assert warehouse.query(left)["n"].to_pylist() == [0]
    upkeep = warehouse.maintain()
    assert (upkeep.files_before, upkeep.files_after) == (0, 0)


# -------------------------------------------------------------------- files of the lake


def test_files_of_the_lake_replace_their_range_and_columns_they_lack_are_null(
    warehouse: SnowflakeWarehouse, tmp_path: Path
) -> None:
    warehouse.replace_table("bronze.landed", pa.table({"k": [1, 2, 9], "v": ["old", "old", "other"]}))
    nested = pa.array([["a", None], []], pa.list_(pa.string()))
    for name, rows in {
        "it's one": KEYS.append_column("l", nested),
        "two": pa.table({"k": pa.array([3], pa.int64()), "x": [Decimal("1.50")]}),
    }.items():
        pq.write_table(rows, tmp_path / f"{name}.parquet")
    files = sorted(tmp_path.glob("*.parquet"))
    for _ in range(2):
        with warehouse.transaction() as transaction:
            assert transaction.load_parquet("bronze.landed", files, "k < ?", [9]) == 3
    read = warehouse.query("select * from bronze.landed order by k").to_pylist()
    assert read == [
        {"k": 1, "v": "a", "l": ["a", None], "x": None},
        {"k": 2, "v": "b", "l": [], "x": None},
        {"k": 3, "v": None, "l": None, "x": Decimal("1.50")},
        {"k": 9, "v": "other", "l": None, "x": None},
    ]


def test_a_load_that_turns_out_wrong_is_taken_back_with_the_rest(warehouse: SnowflakeWarehouse, tmp_path: Path) -> None:
    warehouse.replace_table("bronze.checked", KEYS)
    pq.write_table(KEYS.slice(0, 1), tmp_path / "short.parquet")

    def load() -> None:
        with warehouse.transaction() as transaction:
            loaded = transaction.load_parquet("bronze.checked", [tmp_path / "short.parquet"], "true")
            raise LookupError(f"{loaded} rows")

    with pytest.raises(LookupError, match="1 rows"):
        load()
    assert warehouse.count("bronze.checked") == 2


def test_a_query_over_files_of_the_lake_is_staged_with_the_tables_that_it_names(
    warehouse: SnowflakeWarehouse, tmp_path: Path
) -> None:
    pq.write_table(KEYS, tmp_path / "before.parquet")
    before = f"select * from read_parquet('{tmp_path}/before.parquet')"
    staged = {
        "wanted": Select("select 2 as k"),
        "found": Select(f"select v || ? as v from ({before}) semi join wanted using (k)", ["!"]),
    }
    with warehouse.transaction(staged) as transaction:
        assert transaction.replace("gold.found", Select("select v from found"), "true") == 1
        assert transaction.append("gold.found", Select(before)) == 2
    read = warehouse.query("select v from gold.found order by v")["v"].to_pylist()
    assert read == ["a", "b", "b!"]


# -------------------------------------------------------------------- values


def test_numbers_inside_lists_keep_every_bit(warehouse: SnowflakeWarehouse) -> None:
    numbers = [[0.1 + 0.2, 1e-7, -2.5e-19, 1.5e16, 123456789.123, None], [], None]
    rows = pa.table({"k": [1, 2, 3], "numbers": pa.array(numbers, pa.list_(pa.float64()))})
    warehouse.replace_table("gold.numbers", rows)
    assert warehouse.query("select numbers from gold.numbers order by k")["numbers"].to_pylist() == numbers


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 5e-324, 1.7e308])
def test_a_number_that_a_list_could_not_keep_is_refused_with_its_column(
    warehouse: SnowflakeWarehouse, number: float
) -> None:
    with pytest.raises(ValueError, match=r"column numbers: .* would not come back"):
        warehouse.replace_table("gold.refused", pa.table({"numbers": [[number]]}))


@pytest.mark.parametrize("number", [7, 10**30 + 1])
def test_whole_numbers_come_back_with_64_bits_or_as_decimals_where_they_do_not_fit(number: int) -> None:
    # As the connector hands NUMBER(38, 0) out; fakesnow keeps 64 bits only.
    given = pa.table({"N": pa.array([Decimal(number), None], pa.decimal128(38, 0))})
    read = as_duckdb(given, [Column("n", "FIXED", 38, 0)])["n"]
    assert read.to_pylist() == [number, None]
    assert read.type == (pa.int64() if number == 7 else pa.decimal128(38, 0))


def test_what_is_computed_on_the_way_in_is_computed_as_the_embedded_warehouse_does(
    warehouse: SnowflakeWarehouse,
) -> None:
    sql = "select k, sha256(v || ?) as hash, list_transform([k], lambda x: x + 1) as l from incoming_rows"
    with warehouse.transaction({"hashed": Batches(KEYS.to_reader(), sql, ["!"])}) as transaction:
        found = transaction.query("select hash from hashed order by k")["hash"].to_pylist()
    assert found == [hashlib.sha256(f"{v}!".encode()).hexdigest() for v in ("a", "b")]


def test_the_local_target_never_loads_snowflake_s_client(tmp_path: Path) -> None:
    resources = build_resources(Settings(home=tmp_path, target=Target.LOCAL))
    assert type(resources["warehouse"]).__name__ == "DuckLakeWarehouse"


def test_a_state_that_this_process_was_not_told_of_has_no_moment(warehouse: SnowflakeWarehouse) -> None:
    told = warehouse.snapshot()
    assert re.search(r"at \(timestamp => '[0-9-]+ [0-9:.]+\+00:00'::timestamptz\)", warehouse.at("gold.loans", told))
    with pytest.raises(KeyError, match="not told of state 4711"):
        warehouse.at("gold.loans", "4711")
