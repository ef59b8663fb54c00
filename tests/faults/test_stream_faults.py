"""The stream under fire: workers killed, a broker that goes away. No message is lost and none counts twice."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from credit_risk_platform.adapters.ledger_audit import verify
from credit_risk_platform.adapters.streaming.fast_lane import FastLane
from credit_risk_platform.settings import PROJECT_ROOT
from tests.kafka_cluster import KafkaCluster
from tests.stream_book import NOW, TOPIC, StreamHome, chaotic, fresh_topics, new_home, opened, sound, stamp

MESSAGES, BATCH = 5_000, 500
KILLS = (0.0, 0.15, 0.3)
"""Seconds after a batch began at which its worker is killed: while it computes, while it writes, after that."""
AWAY_SECONDS = 3.0


def worker(stream: StreamHome) -> subprocess.Popen[str]:
    settings = stream.settings
    place = [str(settings.home), settings.kafka_bootstrap_servers, settings.kafka_group, str(BATCH)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.stream_worker", *place],
        cwd=PROJECT_ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def until_begun(process: subprocess.Popen[str], batches: int) -> None:
    """Read what the worker says until it begins its batch number `batches`."""
    assert process.stdout is not None
    for line in process.stdout:
        batches -= line.startswith("begin")
        if not batches:
            return
    raise AssertionError("the worker ended before it was killed")


def test_a_worker_killed_three_times_leaves_each_message_once(kafka: KafkaCluster, tmp_path: Path) -> None:
    fresh_topics(kafka)
    with opened(new_home(tmp_path / "home"), kafka) as stream:
        sent = stream.send(chaotic(MESSAGES))
        for number, seconds in enumerate(KILLS):
            with worker(stream) as process:
                until_begun(process, 2 + number % 2)
                time.sleep(seconds)
                process.send_signal(signal.SIGKILL)
        assert sum(found.count for found in stream.pending()) > 0
        with worker(stream) as process:
            output = process.communicate(timeout=120)[0]
        assert process.returncode == 0, output
        assert stream.one_row_each() == MESSAGES
        assert stream.outcomes() == dict(sent.expected)
        assert stream.warehouse.count("gold.score_ledger") == sent.expected["scored"]
        assert stream.warehouse.count("bronze.dead_letters") == sent.expected["dead_letter"]
        assert verify(stream.warehouse).intact
        assert stream.pending() == []


@pytest.mark.slow
def test_a_broker_that_goes_away_and_comes_back_costs_time_and_no_message(
    own_broker: KafkaCluster, tmp_path: Path
) -> None:
    fresh_topics(own_broker)
    with opened(new_home(tmp_path / "home"), own_broker) as stream:
        first = stream.send(chaotic(200))
        done = threading.Event()
        lane = FastLane(stream.streams, TOPIC, stamp("stream"), lambda: NOW)
        thread = threading.Thread(target=lane.run, args=(240, done.is_set))
        thread.start()
        try:
            until(lambda: traced(stream) == 200)
            own_broker.broker.down()
            time.sleep(AWAY_SECONDS)
            own_broker.broker.up()
            second = stream.send(sound(200, seed=8))
            until(lambda: traced(stream) == 400)
        finally:
            done.set()
            thread.join()
        both = {name: first.expected.get(name, 0) + second.expected.get(name, 0) for name in first.expected}
        assert stream.one_row_each() == 400
        assert stream.outcomes() == both
        assert stream.pending() == []


def traced(stream: StreamHome) -> int:
    return stream.warehouse.count("gold.message_trace") if stream.warehouse.exists("gold.message_trace") else 0


def until(condition, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not come"
        time.sleep(0.2)
