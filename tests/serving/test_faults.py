"""The API under faults: real processes on loopback, killed, promoted over, doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from credit_risk_platform.adapters.kafka_ports import free_port
from credit_risk_platform.domain.bundle import ModelBundle
from tests.api_book import PREDICT, api, client_of, lake, processes, rows, wait_until, wish
from tests.scoring_book import crown, open_book, train
from tests.stream_book import INTAKE_SQL, new_home

ANSWERED_BEFORE = 40


class Load:
    """Callers that send one application after the other; `told` is what each answer said, `failed` what was none."""

    def __init__(self, client: httpx.Client, first: int = 0) -> None:
        self.told: list[dict[str, object]] = []
        self.failed: list[object] = []
        self._client, self._next, self._lock = client, first, threading.Lock()
        self._ended = threading.Event()

    @contextmanager
    def running(self, callers: int = 3) -> Iterator[None]:
        threads = [threading.Thread(target=self._call) for _ in range(callers)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()

    def _call(self) -> None:
        while not self._ended.is_set():
            with self._lock:
                self._next += 1
                number = self._next
            try:
                answer = self._client.post(PREDICT, json=wish(number))
            except httpx.TransportError as error:
                self.failed.append(error)
                time.sleep(0.05)
                continue
            (self.told if answer.status_code == 200 else self.failed).append(answer.json())


def killed(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def drain(home: Path) -> str:
    command = [sys.executable, "-m", "credit_risk_platform.cli.main", "api", "--drain", "--home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_every_answer_of_a_killed_process_is_in_the_ledger_once(tmp_path: Path) -> None:
    home, port = new_home(tmp_path / "home"), free_port("127.0.0.1")
    with processes(home, port) as server, client_of(home, port) as client:
        load = Load(client)
        with load.running():
            wait_until(lambda: len(load.told) >= ANSWERED_BEFORE)
            killed(server)
    assert list((home / "api" / "spool").glob("*/*"))  # it had no time to drain the last ones
    assert "scores written" in drain(home)
    assert not list((home / "api" / "spool").glob("*/*.segment"))
    answered = {told["score_id"] for told in load.told}
    assert len(answered) == len(load.told) >= ANSWERED_BEFORE
    with lake(home) as book:
        found = Counter(row["score_id"] for row in rows(book, "select score_id from gold.score_ledger"))
        scores = Counter(row["score_id"] for row in rows(book, "select score_id from gold.application_scores"))
    assert set(found.values()) == {1} == set(scores.values())
    assert answered <= set(found)
    assert set(found) == set(scores)


@pytest.mark.slow
def test_two_processes_share_the_port_and_one_of_them_may_die_beside_the_other(tmp_path: Path) -> None:
    home, port = new_home(tmp_path / "home"), free_port("127.0.0.1")
    with processes(home, port, "--workers", "2") as server, client_of(home, port) as client:
        spool = home / "api" / "spool"
        wait_until(lambda: len(list(spool.iterdir())) == 2)
        wait_until(lambda: client.get("/metrics").text.count("crp_api_ready{process=") == 2)  # whoever is asked
        load = Load(client)
        with load.running():
            wait_until(lambda: len(load.told) >= ANSWERED_BEFORE)
            first = next(spool.iterdir())
            os.kill(int(first.name.split("-")[0]), signal.SIGKILL)
            before = len(load.told)
            wait_until(lambda: len(load.told) >= before + ANSWERED_BEFORE)
        wait_until(lambda: not first.exists())  # taken up by the one that lives
        one = load.told[-1]["score_id"]
        for _ in range(4):  # whichever process answers
            assert httpx.get(f"{client.base_url}/api/v1/scores/{one}", headers=client.headers).status_code == 200
        assert server.poll() is None
    with lake(home) as book:
        found = Counter(row["score_id"] for row in rows(book, "select score_id from gold.score_ledger"))
    assert {told["score_id"] for told in load.told} <= set(found)
    assert set(found.values()) == {1}


def challenger(home: Path) -> ModelBundle:
    book = open_book(home)
    bundle = replace(train(book, seed=5), intake_sql=INTAKE_SQL)
    book.close()
    return bundle


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_home(tmp_path_factory.mktemp("promotion") / "home")


def test_a_promotion_under_load_fails_no_request_and_serves_the_new_version(home: Path) -> None:
    bundle = challenger(home)
    with api(home) as client:
        load = Load(client)
        with load.running():
            wait_until(lambda: len(load.told) >= 10)
            book = open_book(home)
            crown(book, bundle)
            book.close()
            wait_until(lambda: load.told[-1]["model_version"] == "v3", 60)
    assert load.failed == []
    versions = [told["model_version"] for told in sorted(load.told, key=lambda told: str(told["model_version"]))]
    assert set(versions) == {"v2", "v3"}


def test_a_damaged_champion_never_scores_and_the_one_before_goes_on(home: Path) -> None:
    book = open_book(home)
    with api(home) as client:
        before = client.get("/readyz").json()
        sha = crown(book, replace(train(book, seed=6), intake_sql=INTAKE_SQL))
        path = book.bundles.path(sha)
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        book.close()
        wait_until(lambda: client.get("/readyz").json()["notes"] != [])
        now = client.get("/readyz").json()
        assert now["bundle_sha"] == before["bundle_sha"]
        assert "changed after it was stored" in now["notes"][0]
        assert client.post(PREDICT, json=wish(1)).status_code == 200
        assert "crp_api_refresh_failures_total 0.0" not in client.get("/metrics").text
