"""The process that stays: scores within the second, shares partitions, ends when it is told, and is seen in metrics."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from kafka.structs import ConsumerGroupMetadata, MemberState

from credit_risk_platform.adapters.kafka_ports import free_port
from credit_risk_platform.adapters.streaming.batch import BatchReport, Outcome
from credit_risk_platform.adapters.streaming.fast_lane import FastLane
from credit_risk_platform.adapters.streaming.join_watch import JoinWatch
from credit_risk_platform.adapters.streaming.metrics import record
from credit_risk_platform.settings import PROJECT_ROOT
from tests.kafka_cluster import HOST, KafkaCluster
from tests.stream_book import NOW, TOPIC, StreamHome, chaotic, fresh_topics, new_home, opened, sound, stamp


@pytest.fixture
def stream(kafka: KafkaCluster, tmp_path: Path) -> Iterator[StreamHome]:
    fresh_topics(kafka)
    with opened(new_home(tmp_path / "home"), kafka) as home:
        yield home


def traced(stream: StreamHome) -> int:
    return stream.warehouse.count("gold.message_trace") if stream.warehouse.exists("gold.message_trace") else 0


def until(condition, seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not come"
        time.sleep(0.1)


def test_it_takes_what_waits_and_what_comes_and_ends_on_time(stream: StreamHome) -> None:
    sent = stream.send(chaotic(100))
    reports: list[BatchReport] = []
    lane = FastLane(stream.streams, TOPIC, stamp("stream-1"), lambda: NOW, on_batch=reports.append)
    later = threading.Timer(4, stream.send, [sound(20, seed=8)])
    later.start()
    started = time.monotonic()
    summary = lane.run(8)
    later.join()
    assert 8 <= time.monotonic() - started < 13
    assert stream.one_row_each() == summary.messages == sum(report.messages for report in reports) == 120
    assert summary.outcomes["scored"] == sent.expected["scored"] + 20
    assert (summary.lag, stream.pending()) == (0, [])
    assert summary.as_dict()["event_to_score_p95_ms"] > 0


def test_it_goes_on_where_the_warehouse_ends_and_not_where_kafka_believes(stream: StreamHome) -> None:
    stream.send(chaotic(60))
    ranges = stream.pending()
    log = stream.streams.log(TOPIC)
    stream.streams.take(TOPIC, log.read(ranges), ranges, stamp(), NOW, commit=lambda _: None)
    assert log.lag() == 60
    stream.send(sound(5, seed=8))
    reports: list[BatchReport] = []
    lane = FastLane(stream.streams, TOPIC, stamp("stream-1"), lambda: NOW, on_batch=reports.append)
    summary = lane.run(30, lambda: bool(reports))
    assert summary.messages == 5
    assert stream.one_row_each() == 65
    assert stream.pending() == []


class NeverSettled:
    """A consumer whose answer to the join got lost."""

    closed = False

    def poll(self, **_: object) -> dict:
        time.sleep(0.05)
        return {}

    def assignment(self) -> set:
        return set()

    def group_metadata(self) -> ConsumerGroupMetadata:
        return ConsumerGroupMetadata(group_id="group", state=MemberState.REBALANCING)

    def close(self, **_: object) -> None:
        self.closed = True


def test_a_member_that_never_gets_partitions_joins_anew(stream: StreamHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """kafka-python 3.0.12 may lose the answer to a join: events waited for ever, and no other member got them."""
    stream.send(sound(5))
    lost, told, reports = NeverSettled(), [], []
    monkeypatch.setattr(JoinWatch.__init__, "__defaults__", (0.5,))
    lane = FastLane(stream.streams, TOPIC, stamp("stream-1"), lambda: NOW, on_batch=reports.append, on_wait=told.append)
    real = lane._join
    joins = iter([lambda: lost, real])
    monkeypatch.setattr(lane, "_join", lambda: next(joins, real)())
    monkeypatch.setattr(JoinWatch, "lost", _patient_with_real_ones(JoinWatch.lost))
    summary = lane.run(40, lambda: bool(reports))
    assert (summary.messages, lost.closed) == (5, True)
    assert told == ["The group gave this member no partitions; joining it anew."]


def _patient_with_real_ones(lost):
    return lambda self, consumer: isinstance(consumer, NeverSettled) and lost(self, consumer)


def test_two_of_them_share_the_partitions_and_write_each_message_once(stream: StreamHome) -> None:
    done = threading.Event()
    batches: dict[int, list[BatchReport]] = {0: [], 1: []}
    seconds = stream.reading(warehouse=stream.warehouse)
    lanes = [
        FastLane(streams, TOPIC, stamp(f"stream-{number}"), lambda: NOW, on_batch=batches[number].append)
        for number, streams in enumerate((stream.streams, seconds))
    ]
    threads = [threading.Thread(target=lane.run, args=(90, done.is_set)) for lane in lanes]
    for thread in threads:
        thread.start()
    try:
        sent = 0
        while not all(batches.values()) or sent < 200:
            assert sent < 2_000, "one of them got no partition"
            stream.send(sound(40, seed=100 + sent))
            sent += 40
            time.sleep(1)
        until(lambda: traced(stream) == sent)
    finally:
        done.set()
        for thread in threads:
            thread.join()
        seconds.close()
    assert stream.one_row_each() == stream.outcomes()["scored"] == sent
    assert stream.warehouse.count("gold.score_ledger") == sent


def test_a_message_the_code_fails_on_is_given_up_and_the_others_go_on(stream: StreamHome, monkeypatch) -> None:
    stream.send(sound(6))
    handler = stream.streams._processor(TOPIC).handler
    sound_prepare, poisoned = handler.prepare, []

    def prepare(accepted, context):
        poisoned[:] = poisoned or accepted["event_id"].to_pylist()[:1]
        if poisoned[0] in accepted["event_id"].to_pylist():
            raise ZeroDivisionError("a fault of the code")
        return sound_prepare(accepted, context)

    monkeypatch.setattr(handler, "prepare", prepare)
    waits: list[str] = []
    reports: list[BatchReport] = []
    lane = FastLane(
        stream.streams, TOPIC, stamp("stream-1"), lambda: NOW, on_wait=waits.append, on_batch=reports.append
    )
    summary = lane.run(30, lambda: sum(report.messages for report in reports) == 6)
    assert dict(summary.outcomes) == {Outcome.SCORED: 5, Outcome.DEAD_LETTER: 1}
    assert stream.one_row_each() == 6
    assert all("ZeroDivisionError" in wait for wait in waits)


def test_the_command_scores_serves_metrics_tells_dagster_and_ends_on_ctrl_c(stream: StreamHome) -> None:
    sent = stream.send(chaotic(80))
    port, home = free_port(HOST), stream.settings.home
    command = ["-m", "credit_risk_platform.cli.main", "stream", "--duration", "60", "--json", "--home", str(home)]
    environment = os.environ | {
        "KAFKA_BOOTSTRAP_SERVERS": stream.settings.kafka_bootstrap_servers,
        "CRP_KAFKA_GROUP": stream.settings.kafka_group,
        "CRP_POLICY_FOLDER": str(stream.settings.policy_folder),
    }
    with subprocess.Popen(
        [sys.executable, *command, "--metrics-port", str(port)],
        cwd=PROJECT_ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        until(lambda: traced(stream) == 80)
        time.sleep(2)
        with urllib.request.urlopen(f"http://{HOST}:{port}/metrics") as answer:
            shown = answer.read().decode()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    told = json.loads(output)
    assert (told["messages"], told["lag"]) == (80, 0)
    assert told["outcomes"] == dict(sent.expected)
    scored = f'crp_stream_messages_total{{outcome="scored",topic="{TOPIC}"}} {float(sent.expected["scored"])}'
    assert scored in shown
    assert f'crp_stream_lag_messages{{topic="{TOPIC}"}} 0.0' in shown
    with dg.DagsterInstance.from_config(str(stream.settings.paths.dagster)) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["gold", "application_scores"]))
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["rows_written"].value == sent.expected["scored"]


def batch(messages: int, lag: int, **outcomes: int) -> BatchReport:
    found = {Outcome(name): count for name, count in outcomes.items()}
    reasons = {"not_json": found[Outcome.DEAD_LETTER]} if Outcome.DEAD_LETTER in found else {}
    return BatchReport(TOPIC, (), messages, found, {}, reasons, lag, 0.4, latencies_ms=[120.0] * messages)


def test_counters_in_the_file_go_on_from_run_to_run_and_the_lag_is_the_last_one(tmp_path: Path) -> None:
    record(batch(5, 70, scored=4, dead_letter=1), tmp_path)
    record(batch(2, 3, scored=2), tmp_path)
    file = record(batch(1, 0, scored=1), tmp_path)
    shown = file.read_text()
    assert f'crp_stream_messages_total{{outcome="scored",topic="{TOPIC}"}} 7.0' in shown
    assert f'crp_stream_dead_letters_total{{reason="not_json",topic="{TOPIC}"}} 1.0' in shown
    assert f'crp_stream_lag_messages{{topic="{TOPIC}"}} 0.0' in shown
    assert f'crp_stream_event_to_result_seconds_bucket{{le="0.2",topic="{TOPIC}"}} 8.0' in shown
    assert f'crp_stream_event_to_result_seconds_bucket{{le="0.1",topic="{TOPIC}"}} 0.0' in shown
    assert f'crp_stream_batch_seconds_count{{topic="{TOPIC}"}} 3.0' in shown


def test_latency_is_told_from_kafka_s_own_clock(stream: StreamHome) -> None:
    stream.send(sound(3))
    time.sleep(1)
    now = datetime.now(UTC).replace(tzinfo=None)
    report = stream.streams.process(TOPIC, stream.pending(), stamp(), now)
    assert report.latency_p50_ms is not None
    assert 1_000 < report.latency_p50_ms <= (report.latency_max_ms or 0) < 60_000
