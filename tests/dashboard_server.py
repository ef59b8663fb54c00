"""The dashboard on a port, as `crp dashboard` starts it, and a real browser before it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, sync_playwright

from credit_risk_platform.adapters.kafka_ports import free_port
from credit_risk_platform.cli.dashboard import HEALTH, dashboard_command
from credit_risk_platform.settings import Settings

HOST = "127.0.0.1"
PATIENCE = 30.0


def chromium() -> str:
    """Path of the program; without it the test is skipped, and in CI fails."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if (found := shutil.which(name)) is not None:
            return found
    reason = "no Chromium: run .ci/fetch_chromium (Debian, Ubuntu), or put chromium on the PATH"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def dashboard(settings: Settings, log: Path) -> Iterator[str]:
    """Its URL, from its first answer to the end of the block."""
    port = free_port(HOST)
    command = [sys.executable, "-m", *dashboard_command(HOST, port)]
    with log.open("wb") as output, subprocess.Popen(
        command, env=settings.environment(), stdout=output, stderr=subprocess.STDOUT
    ) as process:  # fmt: skip
        try:
            until(lambda: process.poll() is not None or _answers(f"http://{HOST}:{port}{HEALTH}"), log.read_text)
            assert process.poll() is None, log.read_text()
            yield f"http://{HOST}:{port}"
        finally:
            process.terminate()


@contextmanager
def browser() -> Iterator[Browser]:
    program = chromium()
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


def until(true: Callable[[], Any], otherwise: Callable[[], object] = str) -> None:
    """Wait for it; what `otherwise` says is shown when it does not come."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5):
            return True
    except URLError:
        return False
