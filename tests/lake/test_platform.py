"""What one setting moves: every place of the lake, Dagster's logs and resources, and the page that serves reports."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import dagster as dg
import pytest

from credit_risk_platform.adapters.object_files import filesystem
from credit_risk_platform.adapters.object_store import ObjectStoreError
from credit_risk_platform.cli import doctor
from credit_risk_platform.cli.home import prepare_home
from credit_risk_platform.cli.reports import report_server
from credit_risk_platform.resources import build_resources
from credit_risk_platform.settings import PROJECT_ROOT, Settings
from tests.lake.s3_server import BUCKET, S3Server

LOADED = """
import json, sys
from pathlib import Path
from credit_risk_platform.settings import Settings
from credit_risk_platform.adapters.application_scorer import ApplicationScorer
from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
settings = Settings(home=Path(sys.argv[1]))
assert BundleStore(settings.files("models")).pointer() is None
DuckLakeWarehouse(settings.paths.warehouse, store=settings.object_store).snapshot()
print(json.dumps(sorted(name for name in sys.modules if "." not in name)))
"""


def test_without_the_setting_every_place_is_where_it_was(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert settings.object_store is None
    places = {area: settings.files(area).local for area in ("lake", "archive", "reports", "models")}
    paths = settings.paths
    assert places == {"lake": paths.lake, "archive": paths.archive, "reports": paths.reports, "models": paths.models}
    prepare_home(settings)
    assert (paths.dagster / "dagster.yaml").read_bytes() == (PROJECT_ROOT / "dagster.yaml").read_bytes()


def test_one_setting_moves_every_place_and_a_wrong_one_is_told(s3: S3Server, prefix: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, **s3.settings(prefix, s3_encryption="AES256"))
    found = {area: settings.files(area).uri for area in ("lake", "archive", "reports", "models")}
    root = f"s3://{BUCKET}/{prefix}"
    assert found == {"lake": root, **{area: f"{root}/{area}" for area in ("archive", "reports", "models")}}
    resources = build_resources(settings)
    assert resources["warehouse"].data.uri == f"{root}/warehouse/data"
    assert resources["bundles"].files.uri == f"{root}/models"
    assert resources["s3"].endpoint_url == s3.url
    assert "s3" not in build_resources(Settings(home=tmp_path))
    with pytest.raises(ObjectStoreError, match="CRP_LAKE_URL"):
        build_resources(Settings(home=tmp_path, lake_url="/mnt/lake"))


def test_a_process_with_a_local_lake_loads_nothing_of_object_stores(tmp_path: Path) -> None:
    """Every micro-batch starts a process: botocore alone is a fifth of a second."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, str(tmp_path)],
        env={**os.environ}, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not {"boto3", "botocore", "s3fs", "fsspec", "aiobotocore", "gcsfs"} & set(eval(done.stdout))


def test_what_steps_print_goes_to_the_bucket(s3: S3Server, prefix: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, **s3.settings(prefix, s3_encryption="AES256"))
    prepare_home(settings)

    @dg.op
    def speak() -> None:
        print("words of a step", flush=True)

    @dg.job
    def speaking() -> None:
        speak()

    with dg.DagsterInstance.from_config(str(settings.paths.dagster)) as instance:
        assert speaking.execute_in_process(instance=instance).success
    logs = {name: data for name, data in s3.objects(f"{prefix}/compute-logs").items() if name.endswith(".out")}
    assert any(b"words of a step" in data for data in logs.values())


def test_reports_in_a_bucket_have_a_page_of_their_own(s3: S3Server, prefix: str, tmp_path: Path) -> None:
    files = Settings(home=tmp_path, **s3.settings(prefix)).files("reports")
    files.put_bytes(b"<html>drift</html>", "drift/2026-06-30/features.html")
    files.put_bytes(b"<html>daily</html>", "daily/2026-06-30/index.html")
    server = report_server(files, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}"

    def get(path: str) -> bytes:
        with urllib.request.urlopen(address + path, timeout=20) as answer:
            return answer.read()

    try:
        assert get("/drift/2026-06-30/features.html") == b"<html>drift</html>"
        assert get("/daily/2026-06-30/") == b"<html>daily</html>"
        assert b'href="/drift"' in get("/")
        for nowhere in ("/gone.html", "/drift/../../models/champion.json"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                get(nowhere)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_doctor_tries_the_bucket_and_names_what_is_wrong_with_it(
    s3: S3Server, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def finding() -> tuple[str, str]:
        return doctor._object_store(Settings(home=tmp_path, **s3.settings(prefix)))

    assert finding() == (f"s3://{BUCKET}/{prefix}", "")
    assert s3.objects(prefix) == {}
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "NOBODYSKEY")
    filesystem.cache_clear()
    assert "look at AWS_ACCESS_KEY_ID" in finding()[1]
    assert "lake" in doctor._object_store(Settings(home=tmp_path))[0]
