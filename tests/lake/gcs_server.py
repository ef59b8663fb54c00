"""A Google Cloud Storage of this process: gcp-storage-emulator on a free loopback port, in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from credit_risk_platform.adapters.kafka_ports import free_port
from credit_risk_platform.adapters.object_store import ObjectStore

HOST, BUCKET = "127.0.0.1", "crp-lake-gs"


@dataclass(frozen=True)
class GcsServer:
    """A running server with one bucket. It asks nobody who they are."""

    url: str

    def store(self, prefix: str) -> ObjectStore:
        return ObjectStore(f"gs://{BUCKET}/{prefix}", self.url)


@contextmanager
def serve_gcs() -> Iterator[GcsServer]:
    """From its first answer to the end of the block."""
    from gcp_storage_emulator.server import create_server

    port = free_port(HOST)
    server = create_server(HOST, port, in_memory=True, default_bucket=BUCKET)
    server.start()
    try:
        yield GcsServer(f"http://{HOST}:{port}")
    finally:
        server.stop()
