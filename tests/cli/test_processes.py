"""Children start, are found, and never outlive the command."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from credit_risk_platform.cli.home import CommandError, open_home, prepare_home
from credit_risk_platform.cli.probes import address_book, announced, fetch, probe
from credit_risk_platform.cli.processes import Servers, free_port, until_ready
from credit_risk_platform.cli.serving import refuse_second, start_reports
from credit_risk_platform.settings import Settings

HOST = "127.0.0.1"


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    settings = open_home(tmp_path)
    prepare_home(settings)
    return settings


def test_a_taken_port_gives_way_to_the_next() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port < free_port(HOST, port) <= port + 20


def test_servers_are_found_while_they_live_and_gone_afterwards(home: Settings) -> None:
    port = free_port(HOST, 8700)
    with Servers(home) as servers:
        web = servers.start("web", "http.server", str(port), "--bind", HOST, url=f"http://{HOST}:{port}")
        until_ready(web, lambda: fetch(f"{web.url}/") is not None)
        servers.announce()
        assert announced(home) == {"web": f"http://{HOST}:{port}"}
    assert web.process.returncode is not None
    assert announced(home) == {}
    assert fetch(f"http://{HOST}:{port}/") is None


def test_a_child_that_ignores_the_polite_signal_is_killed(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("credit_risk_platform.cli.processes.STOP_SECONDS", 1.0)
    (home.home / "deaf.py").write_text(
        "import pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "pathlib.Path(sys.argv[1]).touch()\n"
        "time.sleep(60)\n"
    )
    listening = home.home / "listening"
    with Servers(home) as servers:
        deaf = servers.start("deaf", "deaf", str(listening), PYTHONPATH=str(home.home))
        until_ready(deaf, listening.exists)
    assert deaf.process.returncode == -signal.SIGKILL


def test_a_server_that_does_not_start_shows_its_own_last_words(home: Settings) -> None:
    with Servers(home) as servers, pytest.raises(CommandError, match="No module named no_such_module"):
        until_ready(servers.start("broken", "no_such_module"), lambda: False)


def test_the_end_of_one_server_ends_the_demo_with_its_name(home: Settings) -> None:
    with Servers(home) as servers:
        servers.start("short", "this")
        with pytest.raises(CommandError, match="short ended with code 0"):
            servers.wait()


def test_two_demos_never_serve_one_home(home: Settings) -> None:
    address_book(home).write_text(f'{{"dagster": {{"url": "http://{HOST}:1", "pid": {os.getpid()}}}}}')
    with pytest.raises(CommandError, match="already served"):
        refuse_second(home)


def test_a_crashed_demo_leaves_no_server_that_looks_alive(home: Settings) -> None:
    gone = os.fork()
    if gone == 0:
        os._exit(0)
    os.waitpid(gone, 0)
    address_book(home).write_text(f'{{"dagster": {{"url": "http://{HOST}:1", "pid": {gone}}}}}')
    refuse_second(home)
    found = probe(home)
    assert {name: found[name].up for name in ("dagster", "mlflow")} == {"dagster": False, "mlflow": False}


def test_someone_else_s_server_on_our_port_is_not_taken_for_ours(home: Settings) -> None:
    port = free_port(HOST, 8740)
    stranger = home.model_copy(update={"dagster_port": port})
    with Servers(home) as servers:
        web = servers.start("web", "http.server", str(port), "--bind", HOST, url=f"http://{HOST}:{port}")
        until_ready(web, lambda: fetch(f"{web.url}/") is not None)
        assert probe(stranger)["dagster"].up is False


def test_a_report_of_the_night_opens_where_its_asset_links_to(home: Settings) -> None:
    """On loopback, from a folder that may not be there yet."""
    settings = home.model_copy(update={"reports_port": free_port(HOST, 8780)})
    with Servers(settings) as servers:
        reports = start_reports(settings, servers)
        until_ready(reports, lambda: fetch(f"{reports.url}/") is not None)
        servers.announce()
        assert probe(settings)["reports"].up
        written = settings.paths.reports / "drift" / "2026-06-30" / "feature_drift.html"
        written.parent.mkdir(parents=True)
        written.write_text("the page")
        assert fetch(f"{settings.reports_url}/drift/2026-06-30/feature_drift.html") == b"the page"
