"""The streaming location's own server: a run must not import Dagster anew while events wait for it."""

import inspect
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from dagster._grpc import server

from credit_risk_platform.cli.home import prepare_home
from credit_risk_platform.cli.processes import free_port
from credit_risk_platform.settings import PROJECT_ROOT, Settings


def test_dagsters_server_asks_multiprocessing_for_a_context_and_nothing_else() -> None:
    """What we put in its place has that one method: a new Dagster that asks for more must be seen here."""
    code = [line for line in inspect.getsource(server).splitlines() if not re.search(r"^\s*(#|import|from)", line)]
    used = {name for line in code for name in re.findall(r"(?<![\w\"])multiprocessing\.(\w+)", line)}
    assert used <= {"get_context", "Process"}  # the second stands in an annotation


@pytest.fixture
def serving(tmp_path: Path):
    settings = Settings(home=tmp_path / "home")
    prepare_home(settings)
    port = free_port(settings.host, 24_266)
    process = subprocess.Popen(
        [sys.executable, "-m", "credit_risk_platform.cli.code_server", "-h", settings.host, "-p", str(port)],
        env=settings.environment(), cwd=PROJECT_ROOT,
    )  # fmt: skip
    yield process
    process.terminate()
    process.wait(30)


def test_a_run_is_forked_from_a_process_that_has_imported_the_location(serving) -> None:
    deadline = time.monotonic() + 60
    while not (forked := _forkservers(serving)):
        assert serving.poll() is None, "the code server ended"
        assert time.monotonic() < deadline, "no fork server"
        time.sleep(0.2)
    assert "credit_risk_platform.definitions_streaming" in " ".join(forked[0].cmdline())


def _forkservers(process: subprocess.Popen) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if "forkserver" in " ".join(child.cmdline())]
