"""What a worker remembers of its own last commit saves it questions, and it never believes what is no longer so."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from credit_risk_platform.adapters import ledger_writer
from credit_risk_platform.adapters.ledger_audit import verify
from credit_risk_platform.adapters.streaming import sink
from tests.kafka_cluster import KafkaCluster
from tests.stream_book import NOW, TOPIC, StreamHome, fresh_topics, new_home, opened, sound, stamp


@pytest.fixture
def stream(kafka: KafkaCluster, tmp_path: Path) -> Iterator[StreamHome]:
    fresh_topics(kafka)
    with opened(new_home(tmp_path / "home"), kafka) as home:
        yield home


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was looked up although it might be remembered: `seal`, `ends`."""
    found: list[str] = []
    sealed, ended = ledger_writer._last_seal, sink._ends

    def last_seal(transaction):
        found.append("seal")
        return sealed(transaction)

    def ends(rows):
        found.append("ends")
        return ended(rows)

    monkeypatch.setattr(ledger_writer, "_last_seal", last_seal)
    monkeypatch.setattr(sink, "_ends", ends)
    return found


def take(stream: StreamHome, count: int, seed: int) -> int:
    """Messages one after another through `take`, as the fast lane works."""
    stream.send(sound(count, seed=seed))
    ranges = stream.pending()
    log = stream.streams.log(TOPIC)
    report = stream.streams.take(TOPIC, log.read(ranges), ranges, stamp(f"s-{seed}"), NOW, commit=log.commit)
    return report.messages


def test_who_works_alone_is_asked_nothing_twice(stream: StreamHome, asked: list[str]) -> None:
    take(stream, 5, seed=1)
    asked.clear()
    assert [take(stream, 5, seed=seed) for seed in (2, 3)] == [5, 5]
    assert asked == []
    assert (stream.one_row_each(), verify(stream.warehouse).intact) == (15, True)


def test_an_application_asked_again_in_the_next_batch_has_one_line_in_the_ledger(
    stream: StreamHome, asked: list[str]
) -> None:
    """Another message, the same loan, day and answers: what was looked up beside the scoring says so."""
    take(stream, 3, seed=1)
    events = sound(6, seed=2)
    stream.send(events[:3])
    stream.process(run_id="first")
    asked.clear()
    stream.send([replace(event, value=_as_another(event.value or b"")) for event in events])
    report = stream.process(run_id="again")
    assert asked.count("seal") == 0
    assert (report.outcomes["scored"], report.rows["gold.score_ledger"]) == (6, 3)
    assert stream.warehouse.count("gold.score_ledger") == 9
    assert (stream.one_row_each(), verify(stream.warehouse).intact) == (12, True)


def _as_another(value: bytes) -> bytes:
    return json.dumps({**json.loads(value), "event_id": str(uuid.uuid4())}).encode()


def test_any_commit_of_another_makes_it_ask_again(stream: StreamHome, asked: list[str]) -> None:
    take(stream, 5, seed=1)
    stream.warehouse.create_view("gold.anything", "select 1 as one")
    asked.clear()
    take(stream, 5, seed=2)
    assert sorted(asked) == ["ends", "seal"]
    assert verify(stream.warehouse).intact


def test_workers_in_turns_keep_one_chain_and_one_row_for_each_message(stream: StreamHome) -> None:
    other = stream.reading(warehouse=stream.warehouse)
    try:
        for turn in range(3):
            stream.send(sound(9, seed=10 + turn))
            for place, found in enumerate(stream.pending()):
                worker = (stream.streams, other)[(place + turn) % 2]
                log = worker.log(TOPIC)
                worker.take(TOPIC, log.read([found]), [found], stamp(f"r-{turn}-{place}"), NOW, commit=log.commit)
    finally:
        other.close()
    assert stream.one_row_each() == stream.outcomes()["scored"] == 27
    assert verify(stream.warehouse).intact


def test_a_batch_that_failed_after_its_seal_was_written_leaves_no_gap_in_the_chain(
    stream: StreamHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(stream, 5, seed=1)
    remember = ledger_writer.Tail.remember

    def remembered(tail, transaction, seal):
        remember(tail, transaction, seal)
        raise OSError("the disk is full")

    monkeypatch.setattr(ledger_writer.Tail, "remember", remembered)
    with pytest.raises(OSError, match="disk is full"):
        take(stream, 5, seed=2)
    monkeypatch.setattr(ledger_writer.Tail, "remember", remember)
    report = stream.process(run_id="again")
    assert report.messages == 5
    assert (stream.one_row_each(), verify(stream.warehouse).intact) == (10, True)
