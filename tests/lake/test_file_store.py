"""What every place of the lake's files promises, a folder and a bucket alike; and what only a bucket can get wrong."""

from __future__ import annotations

import hashlib
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest

from credit_risk_platform.adapters.files import ChangedMeanwhileError, FileStore, LocalFiles, fetch
from credit_risk_platform.adapters.object_files import PART_BYTES, filesystem
from credit_risk_platform.adapters.object_store import ObjectStore, ObjectStoreError, open_files
from tests.lake import gcs_server
from tests.lake.gcs_server import GcsServer
from tests.lake.s3_server import BUCKET, SECRET, Proxy, S3Server


@pytest.fixture(params=["folder", "s3", "gs"])
def files(request: pytest.FixtureRequest, tmp_path: Path, prefix: str) -> FileStore:
    if request.param == "folder":
        return LocalFiles(tmp_path / "files")
    server: S3Server | GcsServer = request.getfixturevalue(request.param)
    return open_files(server.store(prefix), tmp_path / "files", "area")


def test_what_is_put_is_read_listed_measured_and_removed(files: FileStore, tmp_path: Path) -> None:
    assert (files.read("a/one.json"), files.digest("a/one.json"), files.names(), files.tagged("a/one.json")) == (
        None, None, [], None,
    )  # fmt: skip
    made = tmp_path / "made.bin"
    made.write_bytes(b"\0" * 100_000)
    files.put(made, "a/b/data.bin")
    files.put_bytes(b"one", "a/one.json")
    files.put_bytes(b"two", "a/one.json")
    files.put_bytes(b"", "empty")
    assert files.read("a/one.json") == b"two"
    assert files.read("empty") == b""
    assert files.digest("a/b/data.bin") == (100_000, hashlib.sha256(b"\0" * 100_000).hexdigest())
    assert files.names() == ["a/b/data.bin", "a/one.json", "empty"]
    assert files.names("a/b") == ["a/b/data.bin"]
    assert files.below("a").names() == ["b/data.bin", "one.json"]
    assert files.below("a").read("one.json") == b"two"
    assert files.read_all(["a/one.json", "gone", "empty"]) == {"a/one.json": b"two", "empty": b""}
    with files.open("a/b/data.bin") as file:
        file.seek(99_990)
        assert file.read() == b"\0" * 10
    assert fetch(files, "a/one.json", tmp_path / "copy").read_bytes() == b"two"
    assert abs(files.written("a")["a/one.json"] - datetime.now(UTC)) < timedelta(minutes=5)
    files.remove("a/one.json")
    files.remove("never there")
    assert files.read("a/one.json") is None
    with pytest.raises(FileNotFoundError):
        files.open("a/one.json").read()


def test_a_swap_of_what_it_saw_goes_through(files: FileStore) -> None:
    files.swap(b"1", "pointer", None)
    found = files.tagged("pointer")
    assert found is not None
    assert found[0] == b"1"
    files.swap(b"2", "pointer", found[1])
    assert files.read("pointer") == b"2"


def test_the_address_and_the_location_say_where_a_file_lies(files: FileStore) -> None:
    files.put_bytes(b"x", "a")
    buckets = (f"s3://{BUCKET}/", f"gs://{gcs_server.BUCKET}/")
    assert files.location("a").startswith(("/", *buckets))
    assert files.uri.startswith(("file:///", *buckets))


def test_of_two_hosts_that_swap_the_same_pointer_one_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a store with conditional puts (moto has them, rclone has not)."""
    from moto.server import ThreadedMotoServer

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "y")
    filesystem.cache_clear()
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        store = ObjectStore("s3://bucket/p", f"http://{host}:{port}", "us-east-1")
        boto3.client("s3", endpoint_url=store.endpoint_url, region_name="us-east-1").create_bucket(Bucket="bucket")
        one, two = (open_files(store, tmp_path / name, "models") for name in ("one", "two"))
        one.swap(b"first", "pointer", None)
        with pytest.raises(ChangedMeanwhileError, match="models/pointer was replaced meanwhile"):
            two.swap(b"second", "pointer", None)
        seen = two.tagged("pointer")
        assert seen is not None
        two.swap(b"second", "pointer", seen[1])
        with pytest.raises(ChangedMeanwhileError):
            one.swap(b"third", "pointer", seen[1])
        assert one.read("pointer") == b"second"
    finally:
        server.stop()
        filesystem.cache_clear()


def test_a_folder_refuses_a_swap_of_what_is_gone_by_then(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    files.put_bytes(b"1", "pointer")
    with pytest.raises(ChangedMeanwhileError):
        files.swap(b"2", "pointer", None)
    assert files.read("pointer") == b"1"


# -------------------------------------------------------------------- only a bucket


def remote(server: S3Server, prefix: str, folder: Path, **more: str) -> FileStore:
    return open_files(server.store(prefix, **more), folder, "area")


def test_a_large_file_goes_up_in_parts_and_comes_back_the_same(
    s3: S3Server, proxy: Proxy, prefix: str, tmp_path: Path
) -> None:
    made = tmp_path / "large.bin"
    made.write_bytes(bytes(range(256)) * (PART_BYTES // 128 + 4))  # a little above two parts
    assert made.stat().st_size > 16 << 20
    files = remote(s3, prefix, tmp_path, endpoint_url=proxy.url, encryption="AES256")
    files.put(made, "large.bin")
    assert len(proxy.of("PUT", "partNumber=")) == 3
    assert files.digest("large.bin") == (made.stat().st_size, hashlib.sha256(made.read_bytes()).hexdigest())
    begun = [one for one in proxy.of("POST") if "uploads" in one.path]
    assert [headers(one)["x-amz-server-side-encryption"] for one in begun] == ["AES256"]


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({}, {}),
        ({"encryption": "AES256"}, {"x-amz-server-side-encryption": "AES256"}),
        (
            {"encryption": "aws:kms", "kms_key_id": "arn:aws:kms:eu:1:key/k"},
            {
                "x-amz-server-side-encryption": "aws:kms",
                "x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:eu:1:key/k",
            },
        ),
    ],
    ids=["bucket's default", "AES256", "aws:kms"],
)
def test_every_upload_asks_for_the_encryption_that_is_set(
    s3: S3Server, proxy: Proxy, prefix: str, tmp_path: Path, asked: dict[str, str], sent: dict[str, str]
) -> None:
    files = remote(s3, prefix, tmp_path, endpoint_url=proxy.url, **asked)
    (tmp_path / "made").write_bytes(b"x")
    files.put(tmp_path / "made", "file")
    files.put_bytes(b"y", "bytes")
    files.swap(b"z", "pointer", None)
    uploads = proxy.of("PUT")
    assert len(uploads) == 3
    for upload in uploads:
        found = {name: value for name, value in headers(upload).items() if "server-side" in name}
        assert found == sent


def test_a_store_that_is_busy_for_a_moment_is_asked_again(
    s3: S3Server, proxy: Proxy, prefix: str, tmp_path: Path
) -> None:
    files = remote(s3, prefix, tmp_path, endpoint_url=proxy.url)
    proxy.refusals = [503, 429]
    files.put_bytes(b"x", "a")
    proxy.refusals = [429, 500]
    assert files.read("a") == b"x"
    assert proxy.refused == 4


def test_wrong_credentials_are_named_and_never_shown(
    s3: S3Server, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = f"wrong-{SECRET}"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", wrong)
    files = remote(s3, prefix, tmp_path)
    doings = (
        lambda: files.put_bytes(b"x", "a"), lambda: files.read("a"), files.names, lambda: files.read_all(["a"]),
        lambda: files.open("a"), lambda: files.tagged("a"),
    )  # fmt: skip
    for doing in doings:
        with pytest.raises(ObjectStoreError, match=f"s3://{BUCKET}/{prefix}/area") as caught:
            doing()
        shown = "".join(traceback.format_exception(caught.value))
        assert wrong not in shown
        assert SECRET not in shown
    with pytest.raises(ObjectStoreError, match="AWS_SECRET_ACCESS_KEY or the profile"):
        files.read("a")


def test_a_bucket_that_is_not_there_is_no_empty_lake(s3: S3Server, tmp_path: Path) -> None:
    files = open_files(ObjectStore("s3://no-such-bucket/p", s3.url, "us-east-1"), tmp_path, "models")
    for doing in (lambda: files.read("champion.json"), files.names, lambda: files.put_bytes(b"x", "a")):
        with pytest.raises(ObjectStoreError, match=r"s3://no-such-bucket/p/models.*NoSuchBucket.*CRP_LAKE_URL"):
            doing()


def test_without_credentials_it_says_where_they_are_looked_for(
    s3: S3Server, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(ObjectStoreError, match="AWS_PROFILE"):
        remote(s3, prefix, tmp_path).put_bytes(b"x", "a")


@pytest.mark.parametrize("url", ["s3:/bucket", "/tmp/lake", "https://bucket/x", "s3://", "s3://key:secret@bucket/x"])
def test_what_is_no_address_of_a_lake_is_refused_without_repeating_a_secret(url: str) -> None:
    with pytest.raises(ObjectStoreError, match="CRP_LAKE_URL=s3://bucket/prefix") as caught:
        ObjectStore(url)
    assert "secret@" not in str(caught.value)


def test_kms_without_a_key_is_refused_as_not_every_writer_could_ask_for_it() -> None:
    with pytest.raises(ObjectStoreError, match="CRP_S3_KMS_KEY_ID"):
        ObjectStore("s3://bucket/x", encryption="aws:kms")


def headers(request: object) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}  # type: ignore[attr-defined]
