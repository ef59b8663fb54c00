"""What Kinesis does and Kafka does not: records that expire unseen, shards that split and merge, calls it refuses."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from credit_risk_platform.adapters.streaming import kinesis_log, kinesis_pages, kinesis_shard
from credit_risk_platform.adapters.streaming.batch import NotReadyError, OffsetRange
from credit_risk_platform.adapters.streaming.kinesis_log import KinesisLog
from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from tests.kinesis.kinesis_cluster import CREDENTIALS, SECRET, KinesisCluster


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """New shards are seen at the next look."""
    monkeypatch.setattr(kinesis_log, "METADATA_SECONDS", 0.0)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckLakeWarehouse]:
    """One for all of them, each with a group and a topic of its own: to make one takes longer than most tests."""
    found = DuckLakeWarehouse(tmp_path_factory.mktemp("bookmarks"))
    yield found
    found.close()


@pytest.fixture
def opened(kinesis: KinesisCluster, warehouse: DuckLakeWarehouse) -> Iterator[Callable[[str], KinesisLog]]:
    """Logs of one group, each as a process of its own would have it."""
    group, made = f"group-{uuid.uuid4().hex[:8]}", list[KinesisLog]()

    def open_log(topic: str) -> KinesisLog:
        made.append(KinesisLog(kinesis.connection, topic, group, warehouse))
        return made[-1]

    yield open_log
    for log in made:
        log.close()


def values(log: KinesisLog, at_most: int = 100) -> list[bytes]:
    """What waits, taken."""
    ranges = log.pending(at_most)
    found: list[bytes] = log.read(ranges)["value"].to_pylist()
    log.commit(ranges)
    return found


def texts(prefix: str, count: int) -> list[bytes]:
    return [f"{prefix}{number}".encode() for number in range(count)]


# -------------------------------------------------------------------- retention


def test_records_that_expired_before_anyone_read_them_are_one_lost_offset_that_is_seen(
    kinesis: KinesisCluster, opened: Callable[[str], KinesisLog], caplog: pytest.LogCaptureFixture
) -> None:
    topic = kinesis.new_topic(partitions=1)
    kinesis.produce(topic, texts("a", 10))
    log = opened(topic)
    log.commit([OffsetRange(topic, 0, 0, 6)])
    kinesis.expire(topic, 8)
    _forget_the_tip(log)
    later = opened(topic)
    (waiting,) = later.pending(100)
    assert (waiting.start, waiting.end, later.beginnings()[0]) == (6, 9, 7)
    records = later.read([waiting])
    assert list(zip(records["offset"].to_pylist(), records["value"].to_pylist(), strict=True)) == [
        (7, b"a8"),
        (8, b"a9"),
    ]
    assert "raise the stream's retention" in caplog.text
    later.commit([waiting])
    assert opened(topic).pending(100) == []


def test_a_quiet_stream_whose_last_record_expired_has_lost_nothing(
    kinesis: KinesisCluster, opened: Callable[[str], KinesisLog], caplog: pytest.LogCaptureFixture
) -> None:
    topic = kinesis.new_topic(partitions=1)
    kinesis.produce(topic, texts("a", 5))
    assert values(opened(topic)) == texts("a", 5)
    kinesis.expire(topic, 5)
    log = opened(topic)
    assert log.pending(100) == []
    kinesis.produce(topic, texts("b", 3))
    assert [(found.start, found.end) for found in log.pending(100)] == [(5, 8)]
    assert values(opened(topic)) == texts("b", 3)
    assert "lost" not in caplog.text


def test_who_watches_a_quiet_stream_keeps_its_bookmark_young(
    kinesis: KinesisCluster,
    opened: Callable[[str], KinesisLog],
    warehouse: DuckLakeWarehouse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    topic = kinesis.new_topic(partitions=2)
    kinesis.produce(topic, texts("a", 3), partition=0)
    log = opened(topic)
    values(log)
    log.pending(10)
    log.rest()
    rows = f'select "partition", "offset" from bronze.stream_bookmarks where taken and topic = \'{topic}\' order by all'
    assert [tuple(row.values()) for row in warehouse.query(rows).to_pylist()] == [(0, 3), (1, 0)]
    log.rest()
    assert warehouse.query(rows).num_rows == 2  # and not at every look
    monkeypatch.setattr(kinesis_log, "REST_SHARE", 1e12)
    log.pending(10)
    log.rest()
    assert warehouse.query(rows).num_rows == 4


def test_a_shard_nobody_had_looked_at_within_the_retention_may_have_lost_records(
    kinesis: KinesisCluster, opened: Callable[[str], KinesisLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = kinesis.new_topic(partitions=1)
    kinesis.produce(topic, texts("a", 5))
    values(opened(topic))
    kinesis.expire(topic, 5)
    monkeypatch.setattr(kinesis_shard, "MARGIN", timedelta(hours=24))
    log = opened(topic)
    assert [(found.start, found.end) for found in log.pending(100)] == [(5, 6)]
    assert log.read(log.pending(100)).num_rows == 0
    log.commit(log.pending(100))
    kinesis.produce(topic, texts("b", 2))
    assert values(log) == texts("b", 2)


def test_records_that_expire_between_the_sensor_s_look_and_the_run_are_missed_at_the_front_and_not_at_the_end(
    kinesis: KinesisCluster, opened: Callable[[str], KinesisLog]
) -> None:
    topic = kinesis.new_topic(partitions=1)
    kinesis.produce(topic, texts("a", 10))
    ranges = opened(topic).pending(100)
    kinesis.expire(topic, 3)
    run = opened(topic)
    records = run.read(ranges)
    assert records["offset"].to_pylist() == list(range(3, 10))
    assert run.beginnings() == {0: 3}
    run.commit(ranges)
    kinesis.produce(topic, texts("b", 2))
    assert [(found.start, found.end) for found in opened(topic).pending(100)] == [(10, 12)]


def test_an_attempt_that_failed_and_the_next_one_count_alike_though_records_expired_between_them(
    kinesis: KinesisCluster, opened: Callable[[str], KinesisLog]
) -> None:
    """The first may have written what it read and died before its bookmark: what comes second must know it again."""
    topic = kinesis.new_topic(partitions=1)
    kinesis.produce(topic, texts("a", 10))
    first = opened(topic)
    ranges = first.pending(100)
    before = first.read(ranges)
    kinesis.produce(topic, texts("b", 4))
    again = opened(topic)
    assert again.read(ranges).equals(before)
    assert [(found.start, found.end) for found in again.pending(100)] == [(0, 14)]


# -------------------------------------------------------------------- shards


@pytest.mark.usefixtures("_at_once")
def test_a_split_shard_is_taken_to_its_end_before_its_children(
    kinesis: KinesisCluster, opened: Callable[[str], KinesisLog]
) -> None:
    topic = kinesis.new_topic(partitions=1)
    kinesis.produce(topic, texts("parent", 6))
    log = opened(topic)
    log.commit([OffsetRange(topic, 0, 0, 2)])
    kinesis.split(topic, 0)
    kinesis.produce(topic, texts("left", 2), partition=1)
    kinesis.produce(topic, texts("right", 2), partition=2)
    assert {found.partition for found in log.pending(100)} == {0}
    assert values(log) == texts("parent", 6)[2:]
    assert values(log) == texts("left", 2) + texts("right", 2)
    assert opened(topic).pending(100) == []
    assert opened(topic).committed() == {0: 6, 1: 2, 2: 2}


@pytest.mark.usefixtures("_at_once")
def test_merged_shards_are_both_taken_before_the_one_they_became(
    kinesis: KinesisCluster, opened: Callable[[str], KinesisLog]
) -> None:
    topic = kinesis.new_topic(partitions=2)
    kinesis.produce(topic, texts("first", 3), partition=0)
    kinesis.produce(topic, texts("second", 3), partition=1)
    log = opened(topic)
    kinesis.merge(topic, 0, 1)
    kinesis.produce(topic, texts("merged", 3), partition=2)
    assert {found.partition for found in log.pending(100)} == {0, 1}
    log.commit([OffsetRange(topic, 0, 0, 3), OffsetRange(topic, 1, 0, 1)])
    assert {found.partition for found in log.pending(100)} == {1}
    assert values(log) == texts("second", 3)[1:]
    assert values(log) == texts("merged", 3)


@pytest.mark.usefixtures("_at_once")
def test_a_closed_shard_whose_records_expire_later_is_not_taken_for_lost(
    kinesis: KinesisCluster, opened: Callable[[str], KinesisLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = kinesis.new_topic(partitions=1)
    kinesis.produce(topic, texts("a", 4))
    log = opened(topic)
    values(log)
    kinesis.split(topic, 0)
    log.pending(10)
    log.rest()
    kinesis.expire(topic, 4)
    monkeypatch.setattr(kinesis_shard, "MARGIN", timedelta(hours=24))
    later = opened(topic)
    assert [found.partition for found in later.pending(10) if found.partition == 0] == []


# -------------------------------------------------------------------- faults


def test_a_place_that_expired_is_found_again(kinesis: KinesisCluster, opened: Callable[[str], KinesisLog]) -> None:
    topic = kinesis.new_topic(partitions=1)
    kinesis.produce(topic, texts("a", 3))
    log = opened(topic)
    log.commit([OffsetRange(topic, 0, 0, 1)])
    kinesis.refuse("GetRecords", "ExpiredIteratorException")
    kinesis.produce(topic, texts("b", 2))
    assert values(log) == [*texts("a", 3)[1:], *texts("b", 2)]


def test_a_shard_that_others_keep_busy_is_waited_for(
    kinesis: KinesisCluster, opened: Callable[[str], KinesisLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("credit_risk_platform.adapters.kinesis_connection.ATTEMPTS", 1)
    topic = kinesis.new_topic(partitions=1)
    kinesis.produce(topic, texts("a", 3))
    kinesis.refuse("GetRecords", "ProvisionedThroughputExceededException", times=4)
    assert values(opened(topic)) == texts("a", 3)
    monkeypatch.setattr(kinesis_pages, "STALL_SECONDS", 0.05)
    kinesis.refuse("GetRecords", "ProvisionedThroughputExceededException", times=50)
    with pytest.raises(NotReadyError, match=r"asked more of .* than it bears"):
        opened(topic).pending(10)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("UnrecognizedClientException", "does not accept the AWS credentials"),
        ("ExpiredTokenException", "does not accept the AWS credentials"),
        ("AccessDeniedException", r"may not kinesis:DescribeStreamSummary on .*docs/kinesis\.md"),
        ("ResourceNotFoundException", "crp kinesis up"),
        ("KMSAccessDeniedException", "kms:Decrypt"),
        ("InternalFailure", "refused DescribeStreamSummary"),
    ],
)
def test_a_refusal_says_what_to_do_and_shows_no_credential(
    kinesis: KinesisCluster, opened: Callable[[str], KinesisLog], monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    monkeypatch.setattr("credit_risk_platform.adapters.kinesis_connection.ATTEMPTS", 1)
    log = opened(kinesis.new_topic(partitions=1))
    kinesis.refuse("DescribeStreamSummary", code)
    with pytest.raises(NotReadyError, match=said) as told:
        log.pending(10)
    assert told.value.__cause__ is None
    assert not any(secret in str(told.value) for secret in (SECRET, CREDENTIALS["AWS_ACCESS_KEY_ID"]))
    assert log.pending(10) == []


def test_without_credentials_or_region_or_in_the_clear_it_says_what_to_set(
    kinesis: KinesisCluster, opened: Callable[[str], KinesisLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened("any")
    far = replace(kinesis.connection, endpoint_url="http://user:word@kinesis.example:80")
    log.connection = far
    with pytest.raises(NotReadyError, match="Use https") as told:
        log.pending(10)
    assert "word" not in str(told.value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    log.connection = kinesis.connection
    with pytest.raises(NotReadyError, match="AWS_PROFILE"):
        log.pending(10)
    log.close()
    log.connection = replace(kinesis.connection, region=None)
    with pytest.raises(NotReadyError, match="CRP_KINESIS_REGION"):
        log.pending(10)


def test_a_stream_that_is_being_made_or_deleted_is_waited_for(
    kinesis: KinesisCluster, opened: Callable[[str], KinesisLog]
) -> None:
    topic = kinesis.new_topic(partitions=1)
    kinesis.become(topic, "CREATING")
    with pytest.raises(NotReadyError, match="is CREATING: wait"):
        opened(topic).pending(10)


# -------------------------------------------------------------------- counting


def test_what_counting_did_not_keep_is_read_anew(
    kinesis: KinesisCluster, opened: Callable[[str], KinesisLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kinesis_shard, "KEPT_BYTES", 10)
    topic = kinesis.new_topic(partitions=1)
    kinesis.produce(topic, texts("message", 20))
    assert values(opened(topic), 15) == texts("message", 20)[:15]


def test_a_range_beyond_the_end_is_refused_rather_than_taken_for_empty(
    kinesis: KinesisCluster, opened: Callable[[str], KinesisLog]
) -> None:
    topic = kinesis.new_topic(partitions=1)
    kinesis.produce(topic, texts("a", 3))
    log = opened(topic)
    log.commit(log.pending(1))
    with pytest.raises(NotReadyError, match="up to offset 3, not 9"):
        log.read([OffsetRange(topic, 0, 1, 9)])


def _forget_the_tip(log: KinesisLog) -> None:
    """As if the group had never been near the end: a backlog of a day."""
    sql = "select * replace (null::timestamp as tip_at) from bronze.stream_bookmarks"
    log.warehouse.replace_table("bronze.stream_bookmarks", Select(sql))
