"""A micro-batch from Kafka to the ledger: every message exactly one row, whoever dies or comes twice.

What holds on Kinesis too stands in tests/kinesis/test_micro_batch.py.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient
from kafka.structs import TopicPartition

from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.ledger import LEDGER, ScoreLedger
from credit_risk_platform.adapters.ledger_audit import verify
from credit_risk_platform.adapters.policies import PolicyBook
from credit_risk_platform.adapters.replay import Replayer
from credit_risk_platform.adapters.streaming.applications import ApplicationScoring
from credit_risk_platform.adapters.streaming.batch import (
    BatchContext,
    BatchReport,
    NotReadyError,
    OffsetRange,
    Outcome,
    Prepared,
)
from credit_risk_platform.domain.contracts.messages import APPLICATIONS
from credit_risk_platform.domain.provenance import Part
from tests.kafka_cluster import KafkaCluster
from tests.stream_book import (
    NOW,
    TOPIC,
    StreamHome,
    chaotic,
    everything,
    fresh_topics,
    new_home,
    opened,
    sound,
    stamp,
)

RAW = APPLICATIONS.raw_table


@pytest.fixture
def stream(kafka: KafkaCluster, tmp_path: Path) -> Iterator[StreamHome]:
    fresh_topics(kafka)
    with opened(new_home(tmp_path / "home"), kafka) as home:
        yield home


def test_a_dead_letter_says_why_and_what_to_do_and_shows_no_personal_data(stream: StreamHome) -> None:
    stream.send(chaotic(400))
    stream.process()
    dead = stream.warehouse.query("select * from bronze.dead_letters").to_pylist()
    assert all(row["next_step"] and row["run_id"] == "run-1" for row in dead)
    assert all(not any(letter.isdigit() and letter not in "09" for letter in row["shape"] or "") for row in dead)
    assert {row["column"] for row in dead if row["reason"] == "missing_field"} == {"loan_amnt"}


def test_processing_the_same_messages_again_writes_nothing(stream: StreamHome) -> None:
    stream.send(chaotic(120))
    ranges = stream.pending()
    first = stream.process(ranges)
    tables = (LEDGER, RAW, "gold.application_scores", "bronze.dead_letters", "bronze.stream_batches")
    before = {table: stream.warehouse.count(table) for table in tables}
    again = stream.process(ranges, "run-2")
    assert again.already_done
    assert again.outcomes == first.outcomes
    assert {table: stream.warehouse.count(table) for table in tables} == before
    assert stream.one_row_each() == 120


def test_an_event_sent_again_later_is_a_duplicate_and_not_a_second_score(stream: StreamHome) -> None:
    stream.send(sound(30))
    stream.process()
    stream.send(sound(30))
    report = stream.process(run_id="run-2")
    assert dict(report.outcomes) == {Outcome.DUPLICATE: 30}
    assert stream.warehouse.count(LEDGER) == 30


def test_a_range_that_reaches_into_what_is_done_is_done_from_there_on(stream: StreamHome) -> None:
    stream.send(sound(40))
    ranges = stream.pending()
    half = [replace(found, end=found.start + found.count // 2) for found in ranges]
    stream.process(half)
    report = stream.process(ranges, "run-2")
    assert not report.already_done
    assert stream.one_row_each() == report.outcomes[Outcome.SCORED] == 40
    runs = stream.warehouse.query("select run_id, count(*) as n from gold.message_trace group by 1").to_pylist()
    assert {row["run_id"] for row in runs} == {"run-1", "run-2"}


def test_two_workers_on_the_same_messages_write_each_of_them_once(stream: StreamHome) -> None:
    stream.send(chaotic(150))
    ranges = stream.pending()
    workers = [stream.reading(warehouse=stream.warehouse) for _ in range(2)]
    start = threading.Barrier(2)

    def work(number: int) -> BatchReport:
        start.wait()
        return workers[number].process(TOPIC, ranges, stamp(f"run-{number}"), NOW)

    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(work, range(2)))
    for worker in workers:
        worker.close()
    assert [report.messages for report in reports] == [150, 150]
    assert stream.one_row_each() == 150
    assert stream.warehouse.count(LEDGER) == stream.outcomes()["scored"]


class FailsOn:
    """The scorer, with a fault that one event brings out."""

    contract = APPLICATIONS

    def __init__(self, scoring: ApplicationScoring, event_ids: set[str]) -> None:
        self.scoring, self.event_ids = scoring, event_ids

    def prepare(self, accepted, context: BatchContext) -> Prepared:
        if self.event_ids & set(accepted["event_id"].to_pylist()):
            raise ZeroDivisionError("a fault of the code")
        return self.scoring.prepare(accepted, context)


def with_fault(stream: StreamHome, events: int, poisoned: tuple[int, ...]) -> set[tuple[int, int]]:
    """Send `events` and let the handler fail on some of them; returns their places."""
    stream.send(sound(events))
    records = everything(stream.cluster.connection, TOPIC)
    chosen = [sorted(records, key=lambda record: (record.partition, record.offset))[number] for number in poisoned]
    processor = stream.streams._processor(TOPIC)
    intake = processor.intake.judge(stream.streams.log(TOPIC).read(stream.pending()), NOW.date()).accepted
    places = {(record.partition, record.offset) for record in chosen}
    ids = {
        row["event_id"]
        for row in intake.select(["partition", "offset", "event_id"]).to_pylist()
        if (row["partition"], row["offset"]) in places
    }
    failing = replace(processor, handler=FailsOn(processor.handler, ids))  # type: ignore[arg-type]
    stream.streams._processors[TOPIC] = failing
    return places


def test_without_isolation_a_fault_fails_the_batch_and_nothing_is_written(stream: StreamHome) -> None:
    with_fault(stream, 20, (7,))
    with pytest.raises(ZeroDivisionError):
        stream.process()
    assert not stream.warehouse.exists("gold.message_trace")
    assert sum(found.count for found in stream.pending()) == 20


def test_isolation_gives_up_exactly_the_messages_the_fault_comes_from(stream: StreamHome) -> None:
    places = with_fault(stream, 6, (1, 4))
    report = stream.process(isolate=True)
    assert dict(report.outcomes) == {Outcome.SCORED: 4, Outcome.DEAD_LETTER: 2}
    dead = stream.warehouse.query("select * from bronze.dead_letters").to_pylist()
    assert {(row["partition"], row["offset"]) for row in dead} == places
    assert {(row["reason"], row["value"]) for row in dead} == {("unprocessable", "ZeroDivisionError")}
    assert stream.one_row_each() == 6
    assert stream.pending() == []


def test_without_a_champion_no_message_is_given_up(stream: StreamHome) -> None:
    stream.send(chaotic(20))
    pointer = stream.settings.paths.models / "champion.json"
    pointer.rename(pointer.with_suffix(".away"))
    with pytest.raises(NotReadyError, match="models/champion"):
        stream.process(isolate=True)
    assert not stream.warehouse.exists("gold.message_trace")
    pointer.with_suffix(".away").rename(pointer)
    stream.process()
    assert stream.one_row_each() == 20


def test_messages_the_log_gave_up_before_they_were_read_are_named(kafka: KafkaCluster, stream: StreamHome) -> None:
    stream.send(sound(60))
    ranges = stream.pending()
    admin = KafkaAdminClient(**kafka.connection.options())
    admin.delete_records({TopicPartition(TOPIC, 1): ranges[1].start + 5})
    admin.close()
    report = stream.process(ranges)
    assert report.outcomes[Outcome.LOST] == 5
    assert stream.one_row_each() == report.messages == 60
    lost = 'select "partition", "offset", reason from gold.message_trace where outcome = \'lost\' order by 2'
    assert [tuple(row.values()) for row in stream.warehouse.query(lost).to_pylist()] == [
        (1, offset, "deleted_by_retention") for offset in range(5)
    ]


def test_messages_beyond_the_range_are_refused_rather_than_written_unseen(stream: StreamHome) -> None:
    stream.send(sound(6))
    ranges = stream.pending()
    records = stream.streams.log(TOPIC).read(ranges)
    with pytest.raises(ValueError, match="cannot all be of"):
        stream.streams.take(TOPIC, records, [OffsetRange(TOPIC, 0, 0, 1)], stamp(), NOW, commit=lambda _: None)


def test_streamed_scores_replay_to_the_last_bit_and_find_their_data_unchanged(stream: StreamHome) -> None:
    stream.send(sound(12))
    stream.process()
    ledger = ScoreLedger(stream.warehouse)
    bundles = BundleStore(stream.settings.paths.models)
    replayer = Replayer(ledger, bundles, PolicyBook(stream.settings.policy_folder))
    reports = [replayer.replay(score_id) for score_id in ledger.sample(12)]
    assert len(reports) == 12
    assert all(report.equal for report in reports)
    data = Counter(part.same for report in reports for part in report.parts if part.part is Part.FEATURE_DATA)
    assert data == {True: 12}


def test_the_ledger_of_many_small_batches_is_whole(stream: StreamHome) -> None:
    for number in range(4):
        stream.send(sound(5, seed=100 + number))
        stream.process(run_id=f"run-{number}")
    found = verify(stream.warehouse)
    assert found.intact
    places = "select distinct kafka_topic, kafka_partition, kafka_offset from gold.score_ledger"
    assert stream.warehouse.query(places).num_rows == 20
