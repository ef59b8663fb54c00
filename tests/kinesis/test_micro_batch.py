"""A micro-batch on Kafka and on Kinesis: every message exactly one row, whoever dies, and the same score either way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from credit_risk_platform.adapters.ledger import LEDGER
from credit_risk_platform.adapters.streaming.batch import Outcome
from credit_risk_platform.adapters.streaming.kinesis_bookmarks import BOOKMARKS
from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.catalog import Gold
from credit_risk_platform.definitions_streaming import build_streaming_definitions
from credit_risk_platform.domain.contracts.messages import APPLICATIONS
from tests.kinesis.carriers import CARRIERS, Carrier, carrier_of
from tests.kinesis.kinesis_cluster import KinesisCluster
from tests.stream_book import NOW, TOPIC, StreamHome, chaotic, fresh_topics, new_home, opened, sound, stamp

SCORES = "select event_id, pd, points, decision from gold.application_scores order by event_id"


@pytest.fixture(params=CARRIERS)
def carrier(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Carrier]:
    found = carrier_of(request, tmp_path / "nothing")
    found.fresh()
    yield found
    found.close()


@pytest.fixture
def stream(carrier: Carrier, tmp_path: Path) -> Iterator[StreamHome]:
    with opened(new_home(tmp_path / "home"), carrier.cluster) as home:
        yield home


def test_every_message_comes_to_the_outcome_its_sender_meant(carrier: Carrier, stream: StreamHome) -> None:
    sent = stream.send(chaotic(300))
    assert sum(sent.partitions.values()) == sent.sent == 300
    report = stream.process()
    assert stream.one_row_each() == report.messages == 300
    assert stream.outcomes() == dict(report.outcomes) == dict(sent.expected)
    assert len(sent.expected) == 3
    assert report.lag == 0
    scored, raw = sent.expected["scored"], stream.warehouse.count(APPLICATIONS.raw_table)
    assert report.rows["gold.application_scores"] == report.rows[LEDGER] == raw == scored
    assert stream.warehouse.count("bronze.dead_letters") == sent.expected["dead_letter"] == sum(report.reasons.values())
    assert stream.warehouse.exists(BOOKMARKS) == (stream.streams.transport.name == "Kinesis")


def test_dead_letters_reach_their_topic_as_they_came_with_where_from_and_why(
    carrier: Carrier, stream: StreamHome
) -> None:
    stream.send(chaotic(200))
    stream.process()
    rows = stream.warehouse.query('select "partition", "offset", reason from bronze.dead_letters').to_pylist()
    found = carrier.dead_letters(TOPIC)
    assert len(found) == len(rows) > 5
    told = {(int(one.headers["origin-partition"]), int(one.headers["origin-offset"])): one for one in found}
    reasons = {(row["partition"], row["offset"]): row["reason"] for row in rows}
    assert {place: one.headers["reason"] for place, one in told.items()} == reasons
    assert {one.headers["origin-topic"] for one in found} == {TOPIC}
    came = carrier.sent(TOPIC)
    assert {place: (one.key, one.value) for place, one in told.items()} == {place: came[place] for place in told}


def test_a_worker_that_dies_between_its_commits_leaves_nothing_twice_and_its_dead_letters_are_sent(
    carrier: Carrier, stream: StreamHome
) -> None:
    stream.send(chaotic(100))
    ranges = stream.pending()
    records = stream.streams.log(TOPIC).read(ranges)

    def die(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stream.streams.take(TOPIC, records, ranges, stamp(), NOW, commit=die)
    sent_before = len(carrier.dead_letters(TOPIC))
    other = stream.reading()
    assert other.log(TOPIC).pending(1_000) == ranges
    report = other.process(TOPIC, ranges, stamp("run-2"), NOW)
    other.close()
    assert report.already_done
    assert stream.one_row_each() == 100
    assert len(carrier.dead_letters(TOPIC)) == 2 * sent_before > 0
    assert stream.pending() == []


def test_a_topic_made_anew_begins_again_and_its_messages_are_others(
    carrier: Carrier, stream: StreamHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrier.metadata, "METADATA_SECONDS", 0.0)
    stream.send(sound(20))
    stream.process()
    carrier.fresh()
    stream.send(sound(10, seed=8))
    report = stream.process(run_id="run-2")
    assert dict(report.outcomes) == {Outcome.SCORED: 10}
    assert stream.one_row_each() == 30


def test_too_large_messages_and_tombstones_are_dead_letters_and_stop_nobody(
    carrier: Carrier, stream: StreamHome
) -> None:
    (good,) = sound(1)
    carrier.produce(TOPIC, [b"x" * carrier.large, None, good.value])
    report = stream.process()
    assert dict(report.outcomes) == {Outcome.DEAD_LETTER: 2, Outcome.SCORED: 1}
    assert dict(report.reasons) == {"too_large": 1, "tombstone": 1}
    assert {one.headers["size"] for one in carrier.dead_letters(TOPIC)} == {str(carrier.large), "0"}


@pytest.mark.parametrize(("expired", "left"), [(15, 5), (20, 0)])
def test_records_that_kinesis_deleted_unread_are_one_lost_row_and_what_is_left_is_scored(
    kinesis: KinesisCluster, tmp_path: Path, expired: int, left: int
) -> None:
    fresh_topics(kinesis, partitions=1)
    with opened(new_home(tmp_path / "home"), kinesis) as home:
        home.send(sound(20))
        home.process(home.pending(10))
        kinesis.expire(TOPIC, expired)
        home.warehouse.replace_table(
            BOOKMARKS, Select(f"select * replace (null::timestamp as tip_at) from {BOOKMARKS}")
        )
        other = home.reading()
        ranges = other.log(TOPIC).pending(100)
        report = other.process(TOPIC, ranges, stamp("run-2"), NOW)
        other.close()
        assert [(found.start, found.end) for found in ranges] == [(10, 11 + left)]
        assert report.outcomes.get(Outcome.SCORED, 0) == left
        assert report.outcomes[Outcome.LOST] == 1
        assert home.one_row_each() == report.messages + 10 == 11 + left
        lost = "select \"offset\", reason from gold.message_trace where outcome = 'lost'"
        assert home.warehouse.query(lost).to_pylist() == [{"offset": 10, "reason": "deleted_by_retention"}]
        home.send(sound(20))
        assert home.process(run_id="run-3").outcomes == {Outcome.DUPLICATE: 10 + left, Outcome.SCORED: 10 - left}


def test_a_record_of_several_is_a_dead_letter_that_names_the_producer_library(
    kinesis: KinesisCluster, tmp_path: Path
) -> None:
    fresh_topics(kinesis, partitions=1)
    with opened(new_home(tmp_path / "home"), kinesis) as home:
        kinesis.produce(TOPIC, [bytes.fromhex("F3899AC2") + b"\x0a\x01k", b"\xff\xfe"])
        home.process()
        dead = home.warehouse.query('select reason, next_step from bronze.dead_letters order by "offset"').to_pylist()
        assert [row["reason"] for row in dead] == ["kpl_aggregated", "bad_encoding"]
        assert "AggregationEnabled=false" in dead[0]["next_step"]


def test_a_run_of_the_job_takes_what_waits_in_kinesis_and_tells_where_from(
    kinesis: KinesisCluster, tmp_path: Path
) -> None:
    fresh_topics(kinesis, partitions=1)
    with opened(new_home(tmp_path / "home"), kinesis) as home, dg.DagsterInstance.ephemeral() as instance:
        home.send(chaotic(40))
        job = build_streaming_definitions(home.settings).resolve_job_def("micro_batch_scoring")
        result = job.execute_in_process(instance=instance)
        assert result.success
        assert home.one_row_each() == 40
        (scores,) = instance.fetch_materializations(Gold.APPLICATION_SCORES, limit=10).records
        told = scores.asset_materialization.metadata
        assert told["offsets"].value == f"{home.streams.log(TOPIC).topic_id()[:8]}:p0:0-40"
        assert (told["messages"].value, told["lag"].value) == (40, 0)
        assert home.pending() == []


def test_an_application_gets_the_same_score_to_the_last_bit_whoever_carried_it(
    request: pytest.FixtureRequest, kinesis: KinesisCluster, tmp_path: Path
) -> None:
    found = {}
    for name, cluster in (("kafka", request.getfixturevalue("kafka")), ("kinesis", kinesis)):
        fresh_topics(cluster)
        with opened(new_home(tmp_path / name), cluster) as home:
            home.send(sound(25))
            home.process()
            found[name] = home.warehouse.query(SCORES).to_pylist()
            assert home.warehouse.count(LEDGER) == home.warehouse.count(APPLICATIONS.raw_table) == 25
    assert found["kafka"] == found["kinesis"]
    assert len(found["kafka"]) == 25
