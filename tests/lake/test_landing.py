"""The lake in a bucket: a file lands whole or not at all, and once; what a killed landing leaves nobody sees."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from credit_risk_platform.adapters import restatements
from credit_risk_platform.adapters.files import FileStore
from credit_risk_platform.adapters.landing import BronzeLake, tidy
from credit_risk_platform.adapters.object_files import ObjectFiles
from credit_risk_platform.adapters.object_store import ObjectStoreError, open_files
from credit_risk_platform.adapters.tokens import TokenKey
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from tests.lake.s3_server import Proxy, S3Server
from tests.loan_files import KEY, Lake, loan, write

LATER = datetime.now(UTC) + timedelta(days=2)


def open_lake(server: S3Server, prefix: str, home: Path, key: TokenKey = KEY, **more: str) -> Lake:
    store = server.store(prefix, **more)
    warehouse = DuckLakeWarehouse(home / "warehouse", threads=1, store=store)
    files = open_files(store, home / "lake", "")
    return Lake(home / "lake", warehouse, BronzeLake(files, warehouse, key))


@pytest.fixture
def lake(s3: S3Server, prefix: str, tmp_path: Path) -> Iterator[Lake]:
    made = open_lake(s3, prefix, tmp_path / "home")
    yield made
    made.warehouse.close()


def bronze(server: S3Server, prefix: str, source: str = "landing") -> set[str]:
    """Objects of the batches that have rows."""
    return {name for name in server.objects(f"{prefix}/bronze/{source}") if "batch=000000000000" not in name}


def test_a_file_lands_once_with_its_rejects_and_its_receipt_names_every_object(
    s3: S3Server, prefix: str, lake: Lake, tmp_path: Path
) -> None:
    file = write(tmp_path / "day.csv", [loan(1), loan(2, dti="-5"), loan(3)])
    manifest = lake.land(file)
    assert (manifest.rows_in, manifest.rows_landed, manifest.rows_rejected) == (3, 2, 1)
    assert [row["loan_id"] for row in lake.rows("loan_id")] == ["L1", "L3"]
    assert lake.quarantine() == [(3, "dti", "-5", "out_of_range")]
    assert lake.bronze.rejects(manifest).num_rows == 1
    before = s3.objects(prefix)
    assert lake.land(file).already_landed
    assert s3.objects(prefix) == before

    receipt = json.loads(before[f"bronze/landing/batch={manifest.batch}/manifest.json"])
    named = {f"bronze/landing/{name}" for plain, name in receipt["files"].items() if plain != "rejects.parquet"}
    assert named | {f"bronze/landing/batch={manifest.batch}/manifest.json"} == {
        f"bronze/landing/{name}" for name in bronze(s3, prefix)
    }
    assert f"quarantine/landing/{receipt['files']['rejects.parquet']}" in before
    landings = lake.warehouse.query(
        "select batch, rows_in, rows_landed, rows_rejected from bronze.landings"
    ).to_pylist()
    assert landings == [{"batch": manifest.batch, "rows_in": 3, "rows_landed": 2, "rows_rejected": 1}]
    assert not list((tmp_path / "home" / "lake").rglob("*.parquet")), "nothing of it stays on this host"


@contextmanager
def killed_before(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if the process ended when it is about to upload that file."""
    whole_file, whole_bytes = ObjectFiles.put, ObjectFiles.put_bytes

    def stop(upload: object) -> object:
        def put(self: ObjectFiles, what: object, target: str) -> None:
            if Path(target).name.startswith(name):
                raise KeyboardInterrupt
            upload(self, what, target)  # type: ignore[operator]

        return put

    with monkeypatch.context() as patch:
        patch.setattr(ObjectFiles, "put", stop(whole_file))
        patch.setattr(ObjectFiles, "put_bytes", stop(whole_bytes))
        with pytest.raises(KeyboardInterrupt):
            yield


@pytest.mark.parametrize("moment", ["loans", "superseded", "manifest"])
def test_a_landing_killed_before_its_receipt_is_not_there_and_the_next_one_finishes_it(
    s3: S3Server, prefix: str, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    lake.land(write(tmp_path / "first.csv", [loan(1)]))
    whole = bronze(s3, prefix)
    file = write(tmp_path / "second.csv", [loan(1, dti="1"), loan(2), loan(3, dti="-5")])
    with killed_before(moment, monkeypatch):
        lake.land(file)
    left = s3.objects(f"{prefix}/quarantine/landing").keys() | (bronze(s3, prefix) - whole)
    assert left, "something had been uploaded"
    # Another host finds the state before it: no row, no receipt, no reject.
    other = open_lake(s3, prefix, tmp_path / "other")
    other.bronze.ensure_views()
    assert [row["dti"] for row in other.rows("dti")] == [27.65]
    assert other.quarantine() == []
    assert other.warehouse.count("bronze.landings") == 1
    other.warehouse.close()

    again = lake.land(file)
    assert (again.rows_landed, again.rows_rejected, again.superseded_rows) == (2, 1, 1)
    assert sorted(row["loan_id"] for row in lake.rows("loan_id")) == ["L1", "L2"]


def test_the_upkeep_removes_what_no_receipt_names_and_nothing_else(
    s3: S3Server, prefix: str, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.land(write(tmp_path / "first.csv", [loan(1), loan(2, dti="-5")]))
    before = s3.objects(prefix)
    with killed_before("manifest", monkeypatch):
        lake.land(write(tmp_path / "second.csv", [loan(2)]))
    files = lake.bronze.files
    assert tidy(files, datetime.now(UTC) - timedelta(days=1)) == 0, "it may still be on its way"
    assert tidy(files, LATER) == 3
    assert s3.objects(prefix) == before
    assert lake.quarantine()


def test_a_file_read_anew_under_another_key_replaces_its_batch_at_once(
    s3: S3Server, prefix: str, lake: Lake, tmp_path: Path
) -> None:
    file = write(tmp_path / "day.csv", [loan(1, customer_id="C1")])
    first = lake.land(file)
    own = replace(
        lake, bronze=BronzeLake(lake.bronze.files, lake.warehouse, TokenKey(b"another key, also 32 bytes long."))
    )
    second = own.land(file)
    assert (second.batch, second.already_landed) == (first.batch, False)
    assert [row["subject_token"] for row in own.rows("subject_token")] == [own.bronze.token_key.token("C1")]
    assert tidy(own.bronze.files, LATER) == 1, "the loans under the old key; the other files are the same"
    assert lake.warehouse.count("bronze.landing_loans") == 1


def test_a_book_that_comes_back_counts_again_and_restatements_read_earlier_versions(lake: Lake, tmp_path: Path) -> None:
    old = write(tmp_path / "old.csv", [loan(1), loan(2)])
    new = write(tmp_path / "new.csv", [loan(1, dti="1"), loan(2)])
    for file in (old, new):
        lake.land(file, "lending_club")
    assert [row["dti"] for row in lake.rows("dti", "lending_club", "loan_id")] == [1.0, 27.65]
    [found] = restatements.restatements(lake.bronze.files)
    assert restatements.record(lake.warehouse, lake.bronze.files, found)
    changed = lake.warehouse.query(f"select key, change, columns from {restatements.KEYS_TABLE}").to_pylist()
    assert changed == [{"key": "L1", "change": "changed", "columns": ["dti"]}]
    assert lake.land(old, "lending_club").sequence == 3
    assert [row["dti"] for row in lake.rows("dti", "lending_club", "loan_id")] == [27.65, 27.65]


def test_reading_the_book_opens_its_own_folder_only(s3: S3Server, proxy: Proxy, prefix: str, tmp_path: Path) -> None:
    """Besides the file without rows that carries the columns."""
    lake = open_lake(s3, prefix, tmp_path / "home", endpoint_url=proxy.url)
    batches = [lake.land(write(tmp_path / f"{n}.csv", [loan(n)]), "lending_club").batch for n in (1, 2, 3)]
    lake.warehouse.close()
    fresh = DuckLakeWarehouse(
        tmp_path / "home" / "warehouse", threads=1, store=s3.store(prefix, endpoint_url=proxy.url)
    )
    proxy.requests.clear()
    assert fresh.query("select loan_id from bronze.lending_club_loans")["loan_id"].to_pylist() == ["L3"]
    fresh.close()
    opened = {one.path.split("batch%3D")[-1].split("batch=")[-1][:12] for one in proxy.requests}
    assert opened == {batches[-1], "0" * 12}
    assert not [one for one in proxy.requests if "list-type" in one.path], "no listing: the view names its files"


def test_another_store_s_refusal_names_the_object_and_hides_the_secret(
    s3: S3Server, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = open_lake(s3, prefix, tmp_path / "home")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret-at-all")
    files: FileStore = lake.bronze.files
    assert isinstance(files, ObjectFiles)
    with pytest.raises(ObjectStoreError, match=f"{prefix}/bronze/landing") as caught:
        lake.land(write(tmp_path / "day.csv", [loan(1)]))
    assert "not-the-secret-at-all" not in str(caught.value)
    assert not bronze(s3, prefix)
