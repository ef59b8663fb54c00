"""A process that stays asks its memory instead of the tables, and never takes an event or a score for a new one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_risk_platform.adapters import ledger_writer
from credit_risk_platform.adapters.ledger import LEDGER
from credit_risk_platform.adapters.ledger_audit import verify
from credit_risk_platform.adapters.streaming import memory, repeats
from credit_risk_platform.adapters.streaming.batch import Outcome
from credit_risk_platform.adapters.streaming.memory import LONGEST_QUIET, QUIET_BATCHES, Memory
from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.domain.contracts.messages import APPLICATIONS
from tests.kafka_cluster import KafkaCluster
from tests.stream_book import NOW, TOPIC, StreamHome, fresh_topics, new_home, opened, sound, stamp

RAW = APPLICATIONS.raw_table


def keys(names: object) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(list(names), pa.string())])


def batches(names: object) -> list[pa.RecordBatch]:
    return pa.table({"key": keys(names)}).to_batches()


@given(st.sets(st.text()), st.lists(st.sets(st.text()), max_size=4), st.sets(st.text(), min_size=1))
@settings(max_examples=60, deadline=None)
def test_what_was_there_or_came_since_is_held_and_nothing_else(there, came, asked) -> None:
    found = Memory()
    found.fill(batches(there))
    for names in came:
        found.wrote(keys(names), undisturbed=True)
    held = there.union(*came)
    assert found.may_hold(keys(asked)) == bool(asked & held)
    assert all(found.may_hold(keys([name])) for name in held)


def test_many_new_keys_are_held_as_the_old_ones_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_LOOSE", 5)
    found = Memory()
    found.fill(batches("ab"))
    for first in range(0, 30, 3):
        found.wrote(keys(str(number) for number in range(first, first + 3)), undisturbed=True)
    assert all(found.may_hold(keys([name])) for name in [*map(str, range(30)), "a", "b"])
    assert not found.may_hold(keys(["30", "c"]))


def test_it_is_filled_after_quiet_batches_and_after_more_of_them_when_it_had_to_be_given_up() -> None:
    found, waited = Memory(), []
    for _ in range(10):
        batch = 0
        while not found.due:
            found.wrote(keys("a"), undisturbed=True)
            batch += 1
        waited.append(batch)
        found.fill(batches("a"))
        found.wrote(keys("a"), undisturbed=False)
        assert not found.ready
    assert waited == [min(QUIET_BATCHES * 2**turn, LONGEST_QUIET) for turn in range(10)]


def test_of_a_table_with_too_many_keys_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_KEYS", 3)
    found = Memory()
    found.fill(batches("abcd"))
    for _ in range(2 * LONGEST_QUIET):
        found.wrote(keys("e"), undisturbed=True)
    assert not found.ready
    assert not found.due


# ---------------------------------------------------------------- in a worker


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Tables that were looked into, as often as they were."""
    monkeypatch.setattr(memory, "QUIET_BATCHES", 2)
    found: list[str] = []
    known, held = repeats.known_events, ledger_writer.held
    monkeypatch.setattr(repeats, "known_events", lambda *given: (found.append(RAW), known(*given))[1])
    monkeypatch.setattr(ledger_writer, "held", lambda *given: (found.append(LEDGER), held(*given))[1])
    return found


@pytest.fixture
def stream(kafka: KafkaCluster, tmp_path: Path, looks: list[str]) -> Iterator[StreamHome]:
    fresh_topics(kafka, partitions=1)
    with opened(new_home(tmp_path / "home"), kafka) as home:
        yield home


def taken(stream: StreamHome, seed: int, events: int = 3) -> dict[Outcome, int]:
    """As the fast lane takes a batch, which never asks the sink how far it is."""
    stream.send(sound(events, seed=seed))
    log, ranges = stream.streams.log(TOPIC), stream.pending()
    report = stream.streams.take(TOPIC, log.read(ranges), ranges, stamp(), NOW, commit=log.commit)
    return dict(report.outcomes)


def remembering(stream: StreamHome, looks: list[str]) -> None:
    for seed in range(1, 5):
        taken(stream, seed)
    looks.clear()
    assert taken(stream, 5) == {Outcome.SCORED: 3}
    assert looks == []


def test_a_worker_that_writes_alone_looks_into_no_table_and_still_knows_what_comes_again(
    stream: StreamHome, looks: list[str]
) -> None:
    remembering(stream, looks)
    for seed in (1, 5):  # from before it remembered, and since
        assert taken(stream, seed) == {Outcome.DUPLICATE: 3}
    assert looks == [RAW, RAW]
    assert taken(stream, 6) == {Outcome.SCORED: 3}
    assert stream.one_row_each() == 24
    assert stream.warehouse.count(LEDGER) == 18
    assert verify(stream.warehouse).intact


def test_joining_small_files_makes_it_forget_nothing(stream: StreamHome, looks: list[str]) -> None:
    remembering(stream, looks)
    for table in (RAW, LEDGER):
        stream.streams.moved(TOPIC, *stream.warehouse.merge(table))
    assert taken(stream, 6) == {Outcome.SCORED: 3}
    assert looks == []
    assert stream.streams.asks(TOPIC) == set()


def test_what_somebody_else_wrote_meanwhile_is_not_taken_for_new(stream: StreamHome, looks: list[str]) -> None:
    remembering(stream, looks)
    known = json.loads(sound(3, seed=6)[1].value)["event_id"]  # as when it was sent to the API, too
    with stream.warehouse.transaction() as elsewhere:
        elsewhere.append(RAW, Select(f"select * replace (? as event_id) from {RAW} limit 1", [known]))
    assert taken(stream, 6) == {Outcome.SCORED: 2, Outcome.DUPLICATE: 1}
    assert taken(stream, 7) == {Outcome.SCORED: 3}
    assert stream.one_row_each() == 21
    assert stream.warehouse.count(LEDGER) == 20
    assert verify(stream.warehouse).intact
    assert stream.streams.asks(TOPIC) == {RAW, LEDGER}
