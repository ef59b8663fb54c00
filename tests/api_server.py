"""The whole API on a port, as `crp api` starts it, in a thread of this process."""

import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx
import uvicorn

from credit_risk_platform.adapters.api_keys import ApiKeys, Role
from credit_risk_platform.adapters.kafka_ports import free_port
from credit_risk_platform.serving.app import create_app
from credit_risk_platform.serving.security.gate import UVICORN
from credit_risk_platform.settings import Settings


def home_settings(home, **more):
    return Settings(_env_file=None, home=home, policy_folder=home / "policies", **more)


@contextmanager
def served(settings, role: Role = Role.UNDERWRITER, ready: bool = True, **opener):
    """A client with a key, once the API can score (or, without `ready`, once it answers)."""
    app = create_app(settings, **opener)
    port = free_port("127.0.0.1")
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, **UVICORN))
    thread = threading.Thread(target=server.run)
    thread.start()
    key = ApiKeys(settings.paths.secrets).create(f"test-{role}", role, datetime.now(UTC))
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"X-API-Key": key}, timeout=60) as client:
            _until(lambda: server.started)
            _until(lambda: not ready or client.get("/readyz").status_code == 200)
            yield client
    finally:
        server.should_exit = True
        thread.join()


def _until(true, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "the API never came up"
        time.sleep(0.05)
