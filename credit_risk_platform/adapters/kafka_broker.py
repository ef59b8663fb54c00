"""A Kafka broker of our own: one node, on loopback, its log in a folder. For demos, tests and a laptop.

It runs apart from the process that started it. A lock on `broker.lock`, which the broker inherits, says whether it
runs: unlike a process id it cannot outlive the broker or come to mean another process.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from credit_risk_platform.adapters.kafka_distribution import KafkaBrokerError, KafkaDistribution
from credit_risk_platform.adapters.kafka_node import ENVIRONMENT, broker_command, format_storage, write_settings
from credit_risk_platform.adapters.kafka_ports import answers, free_port, is_free, is_loopback

START_SECONDS = 60.0
STOP_SECONDS = 20.0
LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class BrokerStatus:
    """`running`: the process is there, under `pid`; `ready`: it answers."""

    bootstrap: str
    running: bool
    ready: bool
    pid: int | None
    version: str
    folder: Path
    log: Path


class KafkaBroker:
    """The broker that lives in `folder`. `cache` holds the jars: the same folder, unless several brokers share it."""

    def __init__(
        self,
        folder: Path,
        host: str = "127.0.0.1",
        port: int = 9092,
        java_heap_mb: int = 512,
        cache: Path | None = None,
    ) -> None:
        if not is_loopback(host):
            raise KafkaBrokerError(f"{host} is not loopback: this broker asks nobody for a password.")
        self.folder, self.host, self.port, self.java_heap_mb = folder, host, port, java_heap_mb
        self.distribution = KafkaDistribution(cache or folder)
        self.log = folder / "broker.log"
        self._lock, self._record = folder / "broker.lock", folder / "broker.json"

    @property
    def bootstrap(self) -> str:
        return f"{self.host}:{self.port}"

    def missing(self) -> list[str]:
        """What this machine lacks, a sentence each with how to get it; empty when the broker can start."""
        return self.distribution.missing()

    def status(self) -> BrokerStatus:
        """Looks, and changes nothing."""
        running = self._runs()
        pid, bootstrap = self._recorded() if running else (None, self.bootstrap)
        return BrokerStatus(
            bootstrap=bootstrap,
            running=running,
            ready=running and answers(bootstrap),
            pid=pid,
            version=self.distribution.version,
            folder=self.folder,
            log=self.log,
        )

    def up(self) -> BrokerStatus:
        """Until it answers. What is absent is fetched, storage is formatted once; where it runs, nothing happens."""
        if missing := self.missing():
            raise KafkaBrokerError(" ".join(missing))
        self.distribution.fetch()
        self.folder.mkdir(parents=True, exist_ok=True)
        pid = None
        deadline = time.monotonic() + START_SECONDS
        try:
            while not self._answers_here():
                if time.monotonic() > deadline:
                    raise KafkaBrokerError(f"Kafka did not answer within {START_SECONDS:.0f} s; see {self.log}")
                if pid is None:
                    pid = self._start()
                elif not self._runs():
                    raise KafkaBrokerError(f"Kafka did not start:\n{_tail(self.log)}\nWhole log: {self.log}")
                time.sleep(LOOK_SECONDS)
        except BaseException:  # Ctrl-C too: nobody would know of a broker that is half up
            if pid is not None:
                self._stop(pid)
            raise
        return self.status()

    def down(self) -> bool:
        """Stop it, by force when it does not stop by itself; True when it ran. What was sent to it stays."""
        if not self._runs():
            return False
        pid, _ = self._recorded()
        if pid is None:
            raise KafkaBrokerError(f"Another command starts the broker of {self.folder}; wait for it, then repeat.")
        self._stop(pid)
        return True

    def _answers_here(self) -> bool:
        """Raises `KafkaBrokerError` when it runs, but at another address than is asked for now."""
        if not self._runs():
            return False
        pid, bootstrap = self._recorded()
        if bootstrap != self.bootstrap:
            raise KafkaBrokerError(
                f"The broker of {self.folder} runs at {bootstrap}, not {self.bootstrap}. Stop it first: crp kafka down"
            )
        return pid is not None and answers(bootstrap)

    def _start(self) -> int | None:
        """Its process id, or None when another command holds the lock and is starting it."""
        with self._lock.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
            self._record.unlink(missing_ok=True)
            self._refuse_taken_port()
            write_settings(self.folder, self.host, self.port, free_port(self.host))
            format_storage(self.distribution.jars, self.folder)
            with self.log.open("wb") as output:
                process = subprocess.Popen(
                    broker_command(self.distribution.jars, self.java_heap_mb),
                    cwd=self.folder,
                    env=ENVIRONMENT,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=[lock.fileno()],
                )
            process.returncode = 0  # It outlives us: Popen must neither wait for it nor complain that nobody did.
            written = self._record.with_suffix(".new")
            written.write_text(json.dumps({"pid": process.pid, "bootstrap": self.bootstrap}))
            written.replace(self._record)
            return process.pid

    def _refuse_taken_port(self) -> None:
        if not is_free(self.host, self.port):
            raise KafkaBrokerError(
                f"{self.bootstrap} is taken by another program. Stop that, or choose another port: "
                f"KAFKA_BOOTSTRAP_SERVERS={self.host}:{self.port + 1}"
            )

    def _runs(self) -> bool:
        """Does anyone hold the lock? Shared, so that two who look are not in each other's way."""
        if not self._lock.exists():
            return False
        with self._lock.open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def _recorded(self) -> tuple[int | None, str]:
        """Process id and address; no id while the broker is being started."""
        try:
            record = json.loads(self._record.read_text())
        except FileNotFoundError:
            return None, self.bootstrap
        return record["pid"], record["bootstrap"]

    def _stop(self, pid: int) -> None:
        for asked in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, asked)
            deadline = time.monotonic() + STOP_SECONDS
            while time.monotonic() < deadline:
                if not self._runs():
                    self._record.unlink(missing_ok=True)
                    with contextlib.suppress(ChildProcessError):  # it was another process's child
                        os.waitpid(pid, 0)
                    return
                time.sleep(LOOK_SECONDS)
        raise KafkaBrokerError(f"Process {pid} does not end, not even by force. Look at it: ps -fp {pid}")


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
