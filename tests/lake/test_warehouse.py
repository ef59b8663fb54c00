"""DuckLake with its data in a bucket: written here, read by another process, kept tidy, and dbt on it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from dbt.adapters.duckdb.credentials import DuckDBCredentials

from credit_risk_platform.adapters.object_store import ObjectStore, ObjectStoreError
from credit_risk_platform.adapters.warehouse import dbt_lake_secret, lake_secret
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.adapters.warehouse.lake_session import attach_sql
from credit_risk_platform.adapters.warehouse.reader import LakeReader
from credit_risk_platform.settings import PROJECT_ROOT
from tests.lake.s3_server import BUCKET, HOST, Proxy, S3Server

READ = """
import sys
from pathlib import Path
from credit_risk_platform.adapters.warehouse.reader import LakeReader
from credit_risk_platform.settings import Settings
settings = Settings(home=Path(sys.argv[1]))
reader = LakeReader(settings.paths.warehouse, threads=1, store=settings.object_store)
print(reader.query("select sum(n)::bigint as n from gold.numbers")["n"][0].as_py())
reader.close()
"""
NUMBERS = pa.table({"n": list(range(100))})


@pytest.fixture
def warehouse(s3: S3Server, prefix: str, tmp_path: Path) -> Iterator[DuckLakeWarehouse]:
    made = DuckLakeWarehouse(tmp_path / "home" / "warehouse", threads=1, store=s3.store(prefix))
    yield made
    made.close()


def test_what_is_written_lies_in_the_bucket_and_another_process_reads_it(
    s3: S3Server, prefix: str, warehouse: DuckLakeWarehouse, tmp_path: Path
) -> None:
    warehouse.replace_table("gold.numbers", NUMBERS)
    warehouse.upsert("gold.numbers", pa.table({"n": [99, 100]}), ["n"])
    objects = s3.objects(f"{prefix}/warehouse/data")
    assert objects
    assert all(name.startswith("gold/numbers/") for name in objects)
    assert not list((tmp_path / "home" / "warehouse").rglob("*.parquet"))
    environment = {f"CRP_{name.upper()}": value for name, value in s3.settings(prefix).items()}
    read = subprocess.run(
        [sys.executable, "-c", READ, str(tmp_path / "home")],
        env={**os.environ, **environment}, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert read.returncode == 0, read.stderr
    assert int(read.stdout) == sum(range(101))


def test_upkeep_merges_the_files_of_many_writes_and_removes_what_no_snapshot_needs(
    s3: S3Server, prefix: str, warehouse: DuckLakeWarehouse
) -> None:
    for k in range(4):
        warehouse.append_missing("gold.numbers", pa.table({"n": [k]}), ["n"])
    assert warehouse.maintain(timedelta(0)).files_before == 4
    assert warehouse.maintain(timedelta(0)).files_after == 1
    assert len(s3.objects(f"{prefix}/warehouse/data")) == 1
    assert warehouse.query("select n from gold.numbers order by n")["n"].to_pylist() == [0, 1, 2, 3]


def test_a_query_of_one_month_opens_the_file_of_that_month_only(
    s3: S3Server, proxy: Proxy, prefix: str, tmp_path: Path
) -> None:
    """Each write of a partition leaves files of its own, and DuckLake knows what is in each without opening it."""
    store = s3.store(prefix, endpoint_url=proxy.url)
    warehouse = DuckLakeWarehouse(tmp_path / "warehouse", threads=1, store=store)
    for month in (1, 2, 3):
        rows = pa.table({"month": [month] * 10, "n": list(range(10))})
        warehouse.replace("gold.numbers", rows, "month = ?", [month])
    warehouse.close()
    proxy.requests.clear()
    assert warehouse.query("select count(*) as n from gold.numbers where month = 2")["n"][0].as_py() == 10
    warehouse.close()
    assert len({one.path for one in proxy.requests}) == 1


def test_the_key_of_kms_is_named_in_the_uploads_of_the_engine_too(
    s3: S3Server, proxy: Proxy, prefix: str, tmp_path: Path
) -> None:
    store = s3.store(prefix, endpoint_url=proxy.url, encryption="aws:kms", kms_key_id="key-1")
    warehouse = DuckLakeWarehouse(tmp_path / "warehouse", threads=1, store=store)
    warehouse.replace_table("gold.numbers", NUMBERS)
    warehouse.close()
    begun = [
        one
        for one in (*proxy.of("PUT"), *proxy.of("POST"))
        if "partNumber" not in one.path and "uploadId" not in one.path
    ]
    assert begun
    for upload in begun:
        sent = {name.lower(): value for name, value in upload.headers.items()}
        assert sent["x-amz-server-side-encryption"] == "aws:kms"
        assert sent["x-amz-server-side-encryption-aws-kms-key-id"] == "key-1"


def test_a_busy_store_costs_the_engine_time_and_no_rows(
    s3: S3Server, proxy: Proxy, prefix: str, tmp_path: Path
) -> None:
    warehouse = DuckLakeWarehouse(tmp_path / "warehouse", threads=1, store=s3.store(prefix, endpoint_url=proxy.url))
    warehouse.replace_table("gold.numbers", NUMBERS)
    warehouse.close()
    proxy.refusals = [503, 429]
    assert warehouse.query("select sum(n)::bigint as n from gold.numbers")["n"][0].as_py() == sum(range(100))
    warehouse.close()
    assert proxy.refused == 2


def test_a_reader_of_a_lake_in_a_bucket_cannot_write(s3: S3Server, prefix: str, warehouse: DuckLakeWarehouse) -> None:
    warehouse.replace_table("gold.numbers", NUMBERS)
    reader = LakeReader(warehouse.root, threads=1, store=s3.store(prefix))
    assert reader.query("select count(*) as n from gold.numbers")["n"][0].as_py() == 100
    with pytest.raises(duckdb.Error, match="read-only"):
        reader.query("delete from gold.numbers")
    reader.close()


def test_wrong_credentials_fail_with_the_address_and_without_the_secret(
    s3: S3Server, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret-at-all")
    warehouse = DuckLakeWarehouse(tmp_path / "warehouse", threads=1, store=s3.store(prefix))
    with pytest.raises(duckdb.Error, match=prefix) as caught:
        warehouse.replace_table("gold.numbers", NUMBERS)
    assert "not-the-secret-at-all" not in str(caught.value)
    shown = warehouse.query("from duckdb_secrets()").to_pylist()
    assert "not-the-secret-at-all" not in str(shown)
    warehouse.close()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    nobody = DuckLakeWarehouse(tmp_path / "warehouse", threads=1, store=s3.store(prefix))
    with pytest.raises(ObjectStoreError, match=r"no credentials.*AWS_PROFILE"):
        nobody.count("gold.numbers")


def test_credentials_that_were_renewed_reach_an_engine_that_stays_open(
    s3: S3Server, prefix: str, warehouse: DuckLakeWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A role's keys last an hour, the stream's process lasts for weeks."""
    warehouse.replace_table("gold.numbers", NUMBERS)
    secret = warehouse._secret
    assert secret is not None
    found = secret._keys()
    handed: list[str | None] = []
    monkeypatch.setattr(lake_secret, "LOOK_AGAIN_SECONDS", 0.0)
    hand_over = secret._hand_over
    monkeypatch.setattr(
        secret, "_hand_over", lambda engine, keys: (handed.append(keys.secret), hand_over(engine, keys))
    )
    assert warehouse.count("gold.numbers") == 100
    assert handed == [], "the same keys are not handed over again"
    monkeypatch.setattr(secret, "_keys", lambda: found._replace(secret="of another hour"))
    with pytest.raises(duckdb.Error, match=r"403|Forbidden"):
        warehouse.query("select * from gold.numbers")
    monkeypatch.setattr(secret, "_keys", lambda: found)
    assert warehouse.query("select * from gold.numbers").num_rows == 100
    assert handed == ["of another hour", found.secret]


def test_analysts_are_told_a_secret_and_an_address_that_work(
    s3: S3Server, prefix: str, warehouse: DuckLakeWarehouse, tmp_path: Path
) -> None:
    warehouse.replace_table("gold.numbers", NUMBERS)
    store = s3.store(prefix)
    told = lake_secret.secret_sql(store) + attach_sql(warehouse.root, read_only=True, store=store)
    assert s3.credentials["AWS_SECRET_ACCESS_KEY"] not in told
    mine = told.replace("<your key>", s3.credentials["AWS_ACCESS_KEY_ID"])
    mine = mine.replace("<your secret>", s3.credentials["AWS_SECRET_ACCESS_KEY"])
    with duckdb.connect(config={"extension_directory": str(warehouse.root / "ext")}) as notebook:
        notebook.execute("load httpfs")
        notebook.execute(mine)
        assert notebook.execute("select count(*) from lake.gold.numbers").fetchone() == (100,)


def test_dbt_s_engine_gets_the_same_key_and_nothing_where_the_lake_is_a_folder(
    s3: S3Server, prefix: str, warehouse: DuckLakeWarehouse
) -> None:
    warehouse.replace_table("gold.numbers", NUMBERS)
    settings = {"url": f"s3://{BUCKET}/{prefix}", "endpoint_url": s3.url, "region": "us-east-1", "TimeZone": "UTC"}
    empty = dict.fromkeys(settings, "")
    for given, reads in ((settings, True), (empty, False)):
        plugin = dbt_lake_secret.Plugin("lake", given, DuckDBCredentials(database="x", schema="y"))
        with duckdb.connect(config={"extension_directory": str(warehouse.root / "ext")}) as engine:
            plugin.configure_connection(engine)
            plugin.configure_cursor(engine.cursor())
            held = engine.execute("select count(*) from duckdb_secrets()").fetchone()
            assert held == (int(reads),)
            if reads:
                engine.execute(attach_sql(warehouse.root, read_only=True, store=s3.store(prefix)))
                assert engine.execute("select count(*) from lake.gold.numbers").fetchone() == (100,)


def test_google_s_store_gets_a_secret_of_its_own_kind(s3: S3Server, tmp_path: Path) -> None:
    """With HMAC keys, through its S3-compatible side: rclone plays it here."""
    store = ObjectStore(f"gs://{BUCKET}/google", f"http://{HOST}:{s3.port}")
    engine = duckdb.connect()
    lake_secret.LakeSecret(store).equip(engine, tmp_path / "ext")
    engine.execute("copy (select 42 as n) to 'gs://lake-bucket/google/n.parquet'")
    assert engine.execute("select n from 'gs://lake-bucket/google/n.parquet'").fetchone() == (42,)
    engine.close()
