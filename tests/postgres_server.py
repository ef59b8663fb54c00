"""A real PostgreSQL for tests: Debian's server on a free loopback port, in a folder of its own."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from credit_risk_platform.adapters.kafka_ports import free_port
from credit_risk_platform.settings import PROJECT_ROOT

FETCHED = PROJECT_ROOT / "data" / "postgres-test"
"""Ignored by git; `.ci/fetch_postgres` fills it."""
HOST, USER, PATIENCE = "127.0.0.1", "crp_reader", 30.0
PASSWORD = "hush:hush@/%?#"
"""With every character that means something in a URL."""


@dataclass(frozen=True)
class Postgres:
    """A database of a running server. `sql` runs statements as its owner."""

    port: int
    database: str
    password: str = PASSWORD

    @property
    def url(self) -> str:
        """SQLAlchemy's, with the password as it must be written there."""
        from sqlalchemy import URL

        made = URL.create("postgresql+psycopg", USER, self.password, HOST, self.port, self.database)
        return made.render_as_string(hide_password=False)

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        """Rows of the last statement, if it gives any."""
        with self.connected() as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def connected(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=HOST, port=self.port, dbname=self.database, user=USER, password=PASSWORD, options="-c timezone=UTC"
        )

    def another(self, name: str) -> Postgres:
        """A new database of the same server."""
        with psycopg.connect(
            host=HOST, port=self.port, dbname="postgres", user=USER, password=PASSWORD, autocommit=True
        ) as connection:
            connection.execute(f'create database "{name}"'.encode())
        return replace(self, database=name)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A server from its first answer to the end of the block."""
    bin_folder, user = programs(), _server_user()
    folder = Path(tempfile.mkdtemp(prefix="crp-postgres-"))  # not pytest's own, which others may not enter
    try:
        (folder / "password").write_text(PASSWORD)
        for path in (folder, folder / "password"):
            shutil.chown(path, user)
        environment = {**os.environ, "LD_LIBRARY_PATH": _libraries(), "TZ": "UTC", "LC_ALL": "C"}
        started: dict[str, Any] = {"user": user, "cwd": folder, "env": environment}
        if user != getpass.getuser():
            started |= {"group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
        data, port = folder / "data", free_port(HOST)
        init = ["initdb", "-D", str(data), "-U", USER, "-A", "scram-sha-256", f"--pwfile={folder}/password"]
        _run([str(bin_folder / init[0]), *init[1:], "--no-sync", "--no-locale", "-E", "UTF8"], **started)
        options = [f"port={port}", f"listen_addresses={HOST}", f"unix_socket_directories={folder}", "fsync=off"]
        command = [str(bin_folder / "postgres"), "-D", str(data), *(part for one in options for part in ("-c", one))]
        with (
            (folder / "log").open("wb") as log,
            subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, **started) as server,
        ):
            try:
                _until_it_answers(port, folder / "log", server)
                yield Postgres(port, "postgres")
            finally:
                server.terminate()
                try:
                    server.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    server.kill()
    finally:
        shutil.rmtree(folder)


def programs() -> Path:
    """Folder of `postgres` and `initdb`; without them the test is skipped, and in CI fails."""
    on_path = [Path(found).resolve().parent] if (found := shutil.which("postgres")) else []
    packaged = (base.glob("usr/lib/postgresql/*/bin") for base in (FETCHED, Path("/")))
    for folder in (*on_path, *(found for base in packaged for found in sorted(base, reverse=True))):
        if all((folder / name).exists() for name in ("postgres", "initdb")):
            return folder
    reason = "PostgreSQL's server is missing: run .ci/fetch_postgres (Debian, Ubuntu), or install it"
    raise pytest.fail.Exception(reason) if os.environ.get("CI") == "true" else pytest.skip.Exception(reason)


def _server_user() -> str:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return getpass.getuser()
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _libraries() -> str:
    """Where the fetched server's libraries lie."""
    return os.pathsep.join(str(path) for path in FETCHED.glob("usr/lib/*-linux-gnu*"))


def _run(command: list[str], **started: Any) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **started)
    assert done.returncode == 0, done.stdout + done.stderr


def _until_it_answers(port: int, log: Path, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            psycopg.connect(host=HOST, port=port, dbname="postgres", user=USER, password=PASSWORD).close()
            return
        except psycopg.OperationalError:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
