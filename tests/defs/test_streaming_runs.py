"""A micro-batch as a Dagster run, on a real cluster and a real lake: what it writes, what it tells, what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from credit_risk_platform.catalog import Bronze, Gold
from credit_risk_platform.definitions_streaming import build_streaming_definitions
from credit_risk_platform.defs.streaming.lanes import SCORING
from credit_risk_platform.defs.streaming.requests import NOT_READY
from credit_risk_platform.defs.streaming.sensors import Watch
from tests.kafka_cluster import KafkaCluster
from tests.stream_book import TOPIC, StreamHome, chaotic, fresh_topics, new_home, opened, sound

SHARED = {Gold.MESSAGE_TRACE, Bronze.DEAD_LETTERS}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_home(tmp_path_factory.mktemp("stream") / "home")


@pytest.fixture
def home(place: Path, kafka: KafkaCluster) -> Iterator[StreamHome]:
    fresh_topics(kafka)
    with opened(place, kafka) as stream:
        yield stream


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def asked(home: StreamHome, instance: dg.DagsterInstance) -> dg.RunRequest:
    """What the sensor asks for."""
    eye = Watch(SCORING, home.settings, look_seconds=5)
    request = eye.tick(instance)
    eye.log.close()
    assert isinstance(request, dg.RunRequest), request
    return request


def run(home: StreamHome, instance: dg.DagsterInstance, request: dg.RunRequest | None) -> dg.ExecuteInProcessResult:
    """The run of a request, or of *Materialize* in the UI."""
    graph = build_streaming_definitions(home.settings, streams=home.streams, warehouse=home.warehouse)
    return graph.resolve_job_def(SCORING.job).execute_in_process(
        instance=instance,
        run_config=dict(request.run_config) if request else None,
        tags=dict(request.tags) if request else None,
        raise_on_error=False,
    )


def told(result: dg.ExecuteInProcessResult) -> dict[dg.AssetKey, dict[str, Any]]:
    """Asset -> metadata of its materialisation."""
    events = result.filter_events(lambda event: event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION)
    made = [event.step_materialization_data.materialization for event in events]
    return {found.asset_key: {name: value.value for name, value in found.metadata.items()} for found in made}


def versions(result: dg.ExecuteInProcessResult) -> dict[dg.AssetKey, str]:
    made = {event.asset_key: event.materialization for event in result.get_asset_materialization_events()}
    return {key: (made[key].tags or {})["dagster/data_version"] for key in SCORING.keys}


def checked(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {found.check_name: found for found in result.get_asset_check_evaluations()}


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    return event.step_failure_data.user_failure_data.description


def test_a_run_scores_exactly_the_messages_it_was_asked_for(home: StreamHome, instance: dg.DagsterInstance) -> None:
    home.send(sound(60, seed=100))
    request = asked(home, instance)
    home.send(sound(90, seed=101)[:30])  # comes after the request: the next batch's
    result = run(home, instance, request)
    assert result.success
    found = told(result)
    assert set(found) == {Bronze.RAW_APPLICATIONS, Gold.APPLICATION_SCORES} | SHARED
    for metadata in found.values():
        assert metadata["messages"] == 60
        assert metadata["offsets"] == request.tags["crp/range"]
        assert metadata["attempt"] == 1
        assert metadata["lag"] == 30
        assert metadata["bundle_sha"]
        assert 0 < metadata["event_to_result_p50_ms"] <= metadata["event_to_result_p95_ms"]
        assert metadata["examples"].count("`crp replay ") == 3
    assert found[Gold.APPLICATION_SCORES]["rows_written"] == 60
    assert found[Gold.APPLICATION_SCORES]["dagster/row_count"] == home.warehouse.count("gold.application_scores")
    assert {name: check.passed for name, check in checked(result).items()} == {
        "nothing_lost": True,
        "dead_letter_rate": True,
    }
    (observed,) = result.filter_events(lambda event: event.event_type is dg.DagsterEventType.ASSET_OBSERVATION)
    assert observed.asset_observation_data.asset_observation.asset_key == Gold.SCORE_LEDGER
    assert sum(found.count for found in home.pending()) == 30


def test_a_range_asked_for_twice_is_written_once(home: StreamHome, instance: dg.DagsterInstance) -> None:
    """Two daemons, or a lease that ended too early."""
    home.send(chaotic(50, seed=102))
    request = asked(home, instance)
    first, written = run(home, instance, request), home.one_row_each()
    second = run(home, instance, request)
    assert first.success
    assert second.success
    assert home.one_row_each() == written
    assert told(second)[Gold.APPLICATION_SCORES]["already_done"] is True
    assert told(second)[Gold.APPLICATION_SCORES]["rows_written"] == 0
    assert versions(first) == versions(second)


def test_bad_messages_are_counted_explained_and_do_not_stop_the_batch(
    home: StreamHome, instance: dg.DagsterInstance
) -> None:
    home.send(sound(20, seed=103))
    home.cluster.produce(TOPIC, [b"not json", b"[]", b"{}"])
    result = run(home, instance, asked(home, instance))
    assert result.success
    found = told(result)[Bronze.DEAD_LETTERS]
    assert (found["messages"], found["dead_letters"], found["rows_written"]) == (23, 3, 3)
    assert found["dead_letter_reasons"].count("\n") >= 2
    check = checked(result)["dead_letter_rate"]
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.WARN
    assert "bronze.dead_letters" in check.metadata["next_step"].value
    assert checked(result)["nothing_lost"].passed


def test_without_a_champion_nothing_is_given_up_and_the_run_says_what_to_do(
    home: StreamHome, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    home.send(sound(5, seed=104))
    with opened(tmp_path / "new", home.cluster) as untrained:
        result = run(untrained, instance, asked(untrained, instance))
        assert not result.success
        assert "crp train" in failure(result)
        assert "crp train" in instance.get_run_by_id(result.run_id).tags[NOT_READY]
        assert sum(found.count for found in untrained.pending()) == 5
        assert not untrained.warehouse.exists("gold.message_trace")
    again = run(home, instance, asked(home, instance))
    assert again.success


def test_offsets_of_a_topic_that_was_made_anew_are_refused(home: StreamHome, instance: dg.DagsterInstance) -> None:
    home.send(sound(5, seed=105))
    request = asked(home, instance)
    fresh_topics(home.cluster)
    home.send(sound(5, seed=106))
    with opened(home.settings.home, home.cluster) as later:
        result = run(later, instance, request)
        assert "deleted and made anew" in failure(result)
        again = run(later, instance, asked(later, instance))
        assert again.success
        assert told(again)[Gold.APPLICATION_SCORES]["rows_written"] == 5


def test_messages_that_kafka_deleted_unread_turn_the_check_red_and_the_stream_goes_on(
    home: StreamHome, instance: dg.DagsterInstance
) -> None:
    sent = home.cluster.produce(TOPIC, [event.value for event in sound(10, seed=107)], partition=1)
    home.streams.log(TOPIC).commit([])
    request = asked(home, instance)
    admin = KafkaAdminClient(**home.cluster.connection.options())
    admin.delete_records({TopicPartition(TOPIC, 1): 4})
    admin.close()
    result = run(home, instance, request)
    assert not result.success
    check = checked(result)["nothing_lost"]
    assert check.metadata["lost"].value == 4
    assert "retention" in check.metadata["next_step"].value
    assert told(result)[Gold.MESSAGE_TRACE]["messages"] == len(sent)
    assert home.pending() == []
    home.cluster.produce(TOPIC, [event.value for event in sound(3, seed=108)], partition=1)
    following = asked(home, instance)
    assert following.run_key.endswith(":p1:10-13#1")


def test_materialize_in_the_ui_takes_what_waits(home: StreamHome, instance: dg.DagsterInstance) -> None:
    home.send(sound(7, seed=109))
    result = run(home, instance, None)
    assert told(result)[Gold.APPLICATION_SCORES]["rows_written"] == 7
    assert home.pending() == []
    assert "Nothing waits" in failure(run(home, instance, None))
