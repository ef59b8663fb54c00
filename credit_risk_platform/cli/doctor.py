"""`crp doctor`: each part the platform needs, whether it is there, and how to get it.

A part is `ok`, `missing` (required: the command fails) or `skipped` (optional: says what goes without it).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from credit_risk_platform.cli.tables import new_table
from credit_risk_platform.cli.warehouse import opened
from credit_risk_platform.settings import PROJECT_ROOT, Settings, StreamTransport, Target

if TYPE_CHECKING:
    from rich.console import Console

DISK_NEEDED_GB = 2
LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)
COLOURS = {"ok": "green", "missing": "red bold", "skipped": "dim"}


@dataclass(frozen=True)
class Finding:
    """One line of the table."""

    part: str
    state: str
    found: str
    fix: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Every finding, required parts first. A check that cannot even be made is itself a finding."""
    for part, required, check in CHECKS:
        try:
            found, fix = check(settings)
        except Exception as error:  # noqa: BLE001  whatever broke is what the doctor is asked to report
            found, fix = "", f"{type(error).__name__}: {error}"
        needed = required or (check is _snowflake and settings.target is Target.SNOWFLAKE)
        state = "ok" if not fix else "missing" if needed else "skipped"
        yield Finding(part, state, found, fix)


def show(findings: Iterator[Finding], console: Console) -> bool:
    """Print the table; True when nothing required is missing."""
    table = new_table("crp doctor", ("part", "state", "found", "how to fix"))
    missing = 0
    for finding in findings:
        colour = COLOURS[finding.state]
        missing += finding.state == "missing"
        table.add_row(finding.part, f"[{colour}]{finding.state}[/]", escape(finding.found), escape(finding.fix))
    console.print(table)
    console.print("All needed parts are here." if not missing else f"{missing} needed part(s) missing.")
    return not missing


# Each check returns (what was found, how to fix it or "" when nothing is to be fixed).


def _python(_: Settings) -> tuple[str, str]:
    found = ".".join(map(str, sys.version_info[:3]))
    return found, "" if sys.version_info[:2] == (3, 11) else "install Python 3.11, then: rm -rf .venv && make demo"


def _packages(_: Settings) -> tuple[str, str]:
    """Installed versions against the lock; packages for other systems or pythons are not in the way."""
    locked = dict(LOCKED.findall((PROJECT_ROOT / "requirements.lock").read_text()))
    wrong = []
    for name, wanted in locked.items():
        try:
            installed = version(name)
        except PackageNotFoundError:
            installed = "absent"
        if installed != wanted:
            wrong.append(f"{name} {installed}, locked {wanted}")
    shown = "; ".join(wrong[:3]) + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else "")
    return shown or f"{len(locked)} packages as locked", "touch requirements.lock && make demo" if wrong else ""


def _extensions(_: Settings) -> tuple[str, str]:
    import duckdb

    from credit_risk_platform.adapters.warehouse.extensions import EXTENSIONS, extension_directory

    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        connection.execute(f"set extension_directory = '{extension_directory(Path(folder))}'")
        connection.execute("set autoinstall_known_extensions = false")
        for extension in EXTENSIONS:
            connection.execute(f"load {extension}")
    return f"DuckDB {duckdb.__version__} with {', '.join(EXTENSIONS)}", ""


def _dbt(settings: Settings) -> tuple[str, str]:
    program = shutil.which("dbt", path=settings.environment()["PATH"])
    fix = "touch requirements.lock && make demo"
    return (f"dbt-core {version('dbt-core')}", "") if program else ("", fix)


def _home(settings: Settings) -> tuple[str, str]:
    place = _nearest_existing(settings.home)
    try:
        with tempfile.TemporaryFile(dir=place):
            return str(settings.home), ""
    except OSError as error:
        return str(settings.home), f"{place}: {error.strerror}. Choose another: --home DIR or CRP_HOME"


def _disk(settings: Settings) -> tuple[str, str]:
    free = shutil.disk_usage(_nearest_existing(settings.home)).free / 1e9
    fix = f"free some: a demo needs {DISK_NEEDED_GB} GB" if free < DISK_NEEDED_GB else ""
    return f"{free:.0f} GB free", fix


def _warehouse(settings: Settings) -> tuple[str, str]:
    if settings.target is Target.SNOWFLAKE:
        return f"Snowflake, database {settings.snowflake_database}", ""
    if not (settings.paths.warehouse / "catalog.sqlite").exists():
        return "made by the first run", ""
    with opened(settings) as warehouse:
        return f"{settings.paths.warehouse}, snapshot {warehouse.snapshot()}", ""


def _object_store(settings: Settings) -> tuple[str, str]:
    """Writes, reads and removes a small object: the least that a landing needs."""
    from credit_risk_platform.adapters.object_store import ObjectStoreError

    try:
        if settings.object_store is None:
            return f"not used: the lake is {settings.paths.lake} (CRP_LAKE_URL moves it)", ""
        files, name = settings.files("lake"), f".doctor-{uuid.uuid4().hex}"
        files.put_bytes(b"crp doctor", name)
        sound = files.read(name) == b"crp doctor"
        files.remove(name)
    except ObjectStoreError as error:
        return "", str(error)
    return files.uri, "" if sound else f"{files.uri} gives back other bytes than it was given: ask who runs the store"


def _ports(settings: Settings) -> tuple[str, str]:
    from credit_risk_platform.cli.probes import announced
    from credit_risk_platform.cli.processes import free_port

    if running := announced(settings):
        return "this home is served at " + ", ".join(running.values()), ""
    wanted = {"Dagster": settings.dagster_port, "MLflow": settings.mlflow_port}
    ports = {name: free_port(settings.host, port) for name, port in wanted.items()}
    texts = [f"{name} {p}" + ("" if p == wanted[name] else f" ({wanted[name]} is taken)") for name, p in ports.items()]
    return ", ".join(texts), ""


def _java(_: Settings) -> tuple[str, str]:
    fix = "only `crp kafka up` and the Spark benchmark need it: apt-get install openjdk-17-jre-headless"
    program = shutil.which("java")
    if program is None:
        return "", fix
    said = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=20, check=False).stderr
    release = re.search(r'version "(\d+)', said)
    return said.splitlines()[0] if said else program, "" if release and int(release[1]) >= 17 else fix


def _maven(_: Settings) -> tuple[str, str]:
    program = shutil.which("mvn")
    return program or "", "" if program else "only `crp kafka up` needs it, once, to fetch Kafka: apt-get install maven"


def _stream(settings: Settings) -> tuple[str, str]:
    if settings.stream_transport is StreamTransport.KINESIS:
        from credit_risk_platform.cli.kinesis import collect

        found = collect(settings)
        if found["ready"]:
            return f"{found['where']}: {len(found['streams'])} streams", ""
        return "", found["problem"] or f"{found['where']} lacks streams, or they are not ACTIVE: crp kinesis up"
    return _kafka(settings)


def _kafka(settings: Settings) -> tuple[str, str]:
    from credit_risk_platform.cli.kafka import own_broker
    from credit_risk_platform.cli.probes import kafka_server

    server = kafka_server(settings)
    if server.up:
        return f"{server.url} answers", ""
    if own_broker(settings):
        return "", f"nothing answers at {server.url}; only streams need it: crp kafka up"
    return "", f"nothing answers at {server.url}: correct KAFKA_BOOTSTRAP_SERVERS, or start that cluster"


def _chromium(_: Settings) -> tuple[str, str]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    return program or "", "" if program else "only docs/screenshots.py needs it: apt-get install chromium"


def _snowflake(settings: Settings) -> tuple[str, str]:
    """By key pair or password; signs in where the target is Snowflake."""
    from credit_risk_platform.resources import SnowflakeSettingsError, check_snowflake, snowflake_connect

    try:
        check_snowflake(settings)
    except SnowflakeSettingsError as error:
        return "", f"only CRP_TARGET=snowflake needs it: {error}"
    key = settings.snowflake_private_key_path
    if key is not None and not key.is_file():
        return "", f"SNOWFLAKE_PRIVATE_KEY_PATH: there is no file {key}"
    told = f"{settings.snowflake_user} at {settings.snowflake_account} by {'key pair' if key else 'password'}"
    if settings.target is not Target.SNOWFLAKE:
        return f"{told}, not tried: the target is local", ""
    with snowflake_connect(settings)() as connection, connection.cursor() as cursor:
        cursor.execute("select schema_name from information_schema.schemata where schema_name = 'SCRATCH'")
        ready = cursor.fetchone() is not None
    return f"{told}, signed in", "" if ready else "the schemas are not there: crp snowflake init"


def _nearest_existing(path: Path) -> Path:
    return next(p for p in (path, *path.parents) if p.exists())


CHECKS: tuple[tuple[str, bool, Callable[[Settings], tuple[str, str]]], ...] = (
    ("Python 3.11", True, _python),
    ("Python packages", True, _packages),
    ("DuckDB extensions", True, _extensions),
    ("dbt", True, _dbt),
    ("home is writable", True, _home),
    ("disk space", True, _disk),
    ("object store", True, _object_store),
    ("warehouse", True, _warehouse),
    ("ports", True, _ports),
    ("Java 17", False, _java),
    ("Maven", False, _maven),
    ("stream", False, _stream),
    ("Chromium", False, _chromium),
    ("Snowflake", False, _snowflake),
)
