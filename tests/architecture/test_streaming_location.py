"""The streaming location is slim, whole and sendable: every micro-batch starts a process that loads it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster_shared.serdes import deserialize_value, serialize_value

from credit_risk_platform import catalog
from credit_risk_platform.definitions import build_definitions
from credit_risk_platform.definitions_streaming import build_streaming_definitions
from credit_risk_platform.settings import PROJECT_ROOT, Settings

FORBIDDEN = {
    "mlflow", "evidently", "dbt", "dagster_dbt", "dagster_mlflow", "dagster_snowflake", "snowflake", "pandas",
    "sklearn", "xgboost", "lightgbm", "scipy", "matplotlib", "skops", "boto3",
}  # fmt: skip
LOAD = """
import json, sys
from credit_risk_platform.definitions_streaming import defs
from dagster import Definitions
Definitions.validate_loadable(defs())
with_code = {name.split(".")[0] for name, m in sys.modules.items() if getattr(m, "__file__", None)}
print(json.dumps(sorted(with_code)))
"""


@pytest.fixture(scope="module")
def streaming(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return build_streaming_definitions(Settings(home=tmp_path_factory.mktemp("streaming")))


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return build_definitions(Settings(home=tmp_path_factory.mktemp("platform")))


def test_a_micro_batch_does_not_pay_for_training_libraries_and_opens_nothing_to_load(tmp_path: Path) -> None:
    environment = {**os.environ, "CRP_HOME": str(tmp_path / "home"), "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "-c", LOAD], env=environment, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert FORBIDDEN & set(json.loads(done.stdout.splitlines()[-1])) == set()
    assert not (tmp_path / "home").exists()


def test_the_code_server_can_send_the_streaming_graph_to_the_web_server(streaming: dg.Definitions) -> None:
    snapshot = RepositorySnap.from_def(streaming.get_repository_def(), defer_snapshots=True)
    assert deserialize_value(serialize_value(snapshot), RepositorySnap) == snapshot


def test_what_the_stream_reads_is_made_by_the_other_location(
    streaming: dg.Definitions, platform: dg.Definitions
) -> None:
    """A typo in a dependency silently becomes an asset that nobody makes, and lineage ends there."""
    made = platform.resolve_asset_graph().materializable_asset_keys
    graph = streaming.resolve_asset_graph()
    shared = {catalog.Gold.MESSAGE_TRACE, catalog.Bronze.DEAD_LETTERS}
    assert {key.to_user_string() for key in graph.external_asset_keys - made - shared} == set()


def test_no_table_has_two_makers(streaming: dg.Definitions, platform: dg.Definitions) -> None:
    both = (
        streaming.resolve_asset_graph().materializable_asset_keys
        & platform.resolve_asset_graph().materializable_asset_keys
    )
    assert both == set()


def test_lineage_runs_from_the_message_to_the_score_and_through_the_model(streaming: dg.Definitions) -> None:
    graph = streaming.resolve_asset_graph()
    assert graph.get(catalog.Gold.APPLICATION_SCORES).parent_keys >= {
        catalog.Bronze.RAW_APPLICATIONS,
        catalog.Models.CHAMPION,
    }
    assert graph.get(catalog.Gold.MESSAGE_TRACE).parent_keys == {
        catalog.Bronze.RAW_APPLICATIONS,
        catalog.Bronze.RAW_REPAYMENTS,
        catalog.Bronze.RAW_TRANSACTIONS,
    }


def test_every_streamed_table_says_what_it_is_and_who_answers_for_it(streaming: dg.Definitions) -> None:
    own = [spec for spec in streaming.resolve_all_asset_specs() if spec.group_name == catalog.Group.STREAMING]
    assert len(own) == 9
    for spec in own:
        assert spec.key.path[0] in catalog.LAYERS
        assert set(spec.owners) <= catalog.OWNERS
        assert spec.owners
        assert spec.kinds == {"kafka", "duckdb"}
        assert spec.code_version
        assert len((spec.description or "").split()) >= 12


@pytest.mark.parametrize(
    ("topic", "job", "sensor"),
    [
        ("loan_applications", "micro_batch_scoring", "kafka_applications_sensor"),
        ("repayments", "repayment_updates", "kafka_repayments_sensor"),
        ("bank_transactions", "transaction_windows", "kafka_transactions_sensor"),
    ],
)
def test_each_topic_has_a_job_of_one_step_and_two_sensors_that_take_turns(
    streaming: dg.Definitions, topic: str, job: str, sensor: str
) -> None:
    assert streaming.resolve_job_def(job).nodes_in_topological_order[0].name == topic
    assert len(streaming.resolve_job_def(job).nodes) == 1
    for name in (sensor, sensor.replace("_sensor", "_relief_sensor")):
        assert streaming.resolve_sensor_def(name).job_name == job


def test_sensors_ship_running_only_where_the_settings_say_so(tmp_path: Path) -> None:
    for running, status in ((False, dg.DefaultSensorStatus.STOPPED), (True, dg.DefaultSensorStatus.RUNNING)):
        found = build_streaming_definitions(Settings(home=tmp_path, automation_running=running)).sensors or []
        assert {sensor.default_status for sensor in found} == {status}  # type: ignore[union-attr]


def test_batch_runs_leave_a_slot_to_every_topic_and_long_ticks_leave_threads_to_other_sensors(tmp_path: Path) -> None:
    """Otherwise a training run and a backfill would hold the events of a whole night."""
    (tmp_path / "dagster.yaml").write_bytes((PROJECT_ROOT / "dagster.yaml").read_bytes())
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        (batch,) = [limit for limit in queue.tag_concurrency_limits if limit["key"] == catalog.LANE]
        assert batch["value"] == catalog.BATCH_RUN[catalog.LANE]
        assert queue.max_concurrent_runs - batch["limit"] >= 3
        settings = instance.get_sensor_settings()
        assert settings["use_threads"]
        assert settings["num_workers"] > 2 * 3


def test_every_batch_job_is_told_from_a_stream_s(streaming: dg.Definitions, platform: dg.Definitions) -> None:
    for graph, kind in ((streaming, "stream"), (platform, "batch")):
        named = [job for job in graph.resolve_all_job_defs() if not job.name.startswith("__")]
        assert {job.name: job.tags.get(catalog.LANE) for job in named} == {job.name: kind for job in named}
