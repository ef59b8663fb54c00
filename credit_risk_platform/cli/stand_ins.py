"""Servers on loopback that stand in for a cloud: fakesnow's for Snowflake, rclone's for S3. For demos and tests only.

Both come with a clone and not with the package: fakesnow, which needs another DuckDB than ours, in an environment of
its own (`.ci/fetch_fakesnow`), rclone among the developers' tools of `.venv`.
"""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from credit_risk_platform.adapters.kafka_ports import free_port
from credit_risk_platform.cli.home import CommandError
from credit_risk_platform.settings import PROJECT_ROOT

HOST = "127.0.0.1"
FETCH = PROJECT_ROOT / ".ci" / "fetch_fakesnow"
FAKESNOW = PROJECT_ROOT / "data" / "fakesnow-test" / "venv" / "bin" / "python"
"""The interpreter with fakesnow; ignored by git, `FETCH` makes it."""
FAKESNOW_SERVER = PROJECT_ROOT / "tests" / "cloud" / "fakesnow_server.py"
RCLONE = Path(sys.executable).with_name("rclone")
PATIENCE_SECONDS = 120.0


def fetch_fakesnow() -> None:
    """Make fakesnow's environment as its lock says; a moment where it is there already."""
    done = subprocess.run(["bash", FETCH], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandError(f"fakesnow cannot be fetched (.ci/fetch_fakesnow): {done.stderr.strip()[-1000:]}")


@contextmanager
def snowflake(log: Path, databases: Path | None = None) -> Iterator[int]:
    """A server of fakesnow until the block ends; yields its port.

    It takes any user and password, and makes a database when somebody signs in to it: in memory, or as a DuckDB file
    of the folder `databases`.
    """
    port = free_port(HOST)
    folder = [databases] if databases is not None else []
    with _served("fakesnow", [FAKESNOW, FAKESNOW_SERVER, port, *folder], log, lambda: _accepts(port)):
        yield port


@contextmanager
def s3(root: Path, key: str, secret: str, log: Path) -> Iterator[int]:
    """A server of rclone until the block ends; yields its port. Folders of `root` are its buckets, files its objects.

    It checks signatures, so only who has `key` and `secret` gets in.
    """
    port = free_port(HOST)
    command = [RCLONE, "serve", "s3", root, "--addr", f"{HOST}:{port}", "--config", "/dev/null"]
    # Not as an option: the list of processes shows those.
    keys = {"RCLONE_AUTH_KEY": f'"{key},{secret}"'}  # a line of CSV
    with _served("rclone", [*command, "--vfs-cache-mode", "off"], log, lambda: _answers_http(port), keys):
        yield port


# ---------------------------------------------------------------- inside


@contextmanager
def _served(
    name: str,
    command: Sequence[object],
    log: Path,
    ready: Callable[[], bool],
    environment: Mapping[str, str] | None = None,
) -> Iterator[None]:
    if not Path(str(command[0])).exists():
        raise CommandError(f"{name} is not there ({command[0]}): run make demo-cloud, which fetches what it needs")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        # In a session of its own: the terminal's Ctrl-C is for the runs, which still need their servers to end well.
        server = subprocess.Popen(
            list(map(str, command)), stdout=output, stderr=output, env=environment, start_new_session=True
        )
    try:
        _until(ready, server, name, log)
        yield
    finally:
        server.terminate()
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _until(ready: Callable[[], bool], server: subprocess.Popen[bytes], name: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not ready():
        if server.poll() is not None or time.monotonic() > deadline:
            raise CommandError(f"{name} did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.05)


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _answers_http(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
        return True
    except OSError:
        return False
    finally:
        connection.close()
