"""One S3 server per test session, and this process's credentials for it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from credit_risk_platform.adapters.object_files import filesystem
from tests.lake.gcs_server import GcsServer, serve_gcs
from tests.lake.s3_server import Proxy, S3Server, recording, serve_s3


@pytest.fixture(scope="session")
def _s3_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with serve_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3(_s3_session: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """The server, with the right credentials in the environment."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in _s3_session.credentials.items():
        monkeypatch.setenv(name, value)
    # boto3's own session, which Dagster uses, keeps the credentials that whoever asked first in this process had.
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    filesystem.cache_clear()
    yield _s3_session
    filesystem.cache_clear()


@pytest.fixture(scope="session")
def _gcs_session() -> Iterator[GcsServer]:
    with serve_gcs() as server:
        yield server


@pytest.fixture
def gs(_gcs_session: GcsServer) -> Iterator[GcsServer]:
    """Google's storage, which needs no credentials here."""
    filesystem.cache_clear()
    yield _gcs_session
    filesystem.cache_clear()


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[Proxy]:
    """Stands before the server and writes down what passes."""
    with recording(s3) as found:
        yield found


@pytest.fixture
def prefix() -> str:
    """A prefix that no other test has."""
    return f"lakes/{uuid.uuid4().hex[:12]}"
