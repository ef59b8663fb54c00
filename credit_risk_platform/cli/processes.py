"""Child processes that start together, are watched together and end together.

Their addresses stand in `servers.json` while they live, so that `crp status` finds them where a port had to move.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from credit_risk_platform.cli.home import CommandError, logs
from credit_risk_platform.cli.probes import address_book
from credit_risk_platform.settings import PROJECT_ROOT, Settings

START_SECONDS = 120.0
STOP_SECONDS = 20.0
PORTS_TRIED = 20


@dataclass
class Server:
    """One child process. `url` is None for those that only work in the background."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    url: str | None = None


class Servers:
    """A context: everything started inside it is stopped on the way out, last first."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.running: list[Server] = []
        self._addresses = address_book(settings)

    def __enter__(self) -> Servers:
        return self

    def __exit__(self, *_: object) -> None:
        self._addresses.unlink(missing_ok=True)
        for server in reversed(self.running):
            if server.process.poll() is None:
                server.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for server in reversed(self.running):
            _reap(server.process, deadline)

    def start(self, name: str, *module: str, url: str | None = None, **environment: str) -> Server:
        """Start `python -m <module> <arguments>`, its output in the home's logs.

        In a session of its own: the terminal's Ctrl-C reaches us alone, and we stop the children in order.
        """
        log = logs(self.settings) / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *module],
                env={**self.settings.environment(), **environment},
                cwd=PROJECT_ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # Dagster copies the SIGINT handler onto SIGTERM: inherited as "ignore", nothing could stop it.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )
        server = Server(name, process, log, url)
        self.running.append(server)
        return server

    def announce(self) -> dict[str, str]:
        """Write the address book; returns name -> URL."""
        book = {s.name: {"url": s.url, "pid": s.process.pid} for s in self.running if s.url}
        self._addresses.write_text(json.dumps(book))
        return {name: str(entry["url"]) for name, entry in book.items()}

    def wait(self) -> None:
        """Until a child ends by itself, which none should."""
        while True:
            for server in self.running:
                if server.process.poll() is not None:
                    raise CommandError(f"{server.name} ended with code {server.process.returncode}; see {server.log}")
            time.sleep(1)


def until_ready(server: Server, ready: Callable[[], bool]) -> None:
    """Wait until `ready()`; raises `CommandError` when the process ends first or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if server.process.poll() is not None:
            raise CommandError(f"{server.name} did not start:\n{_tail(server.log)}\nWhole log: {server.log}")
        if time.monotonic() > deadline:
            raise CommandError(f"{server.name} did not answer within {START_SECONDS:.0f} s; see {server.log}")
        time.sleep(0.3)


def free_port(host: str, preferred: int) -> int:
    """`preferred`, or the next free port after it."""
    for port in range(preferred, preferred + PORTS_TRIED):
        with socket.socket() as probe_socket:
            probe_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe_socket.bind((host, port))
            except OSError:
                continue
            return port
    raise CommandError(
        f"ports {preferred} to {preferred + PORTS_TRIED - 1} on {host} are all taken; choose another range "
        "with CRP_DAGSTER_PORT, CRP_MLFLOW_PORT, CRP_API_PORT, CRP_REPORTS_PORT or CRP_DASHBOARD_PORT"
    )


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _reap(process: subprocess.Popen[bytes], deadline: float) -> None:
    """Wait for the end; what does not end by then is killed with its children."""
    try:
        process.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
