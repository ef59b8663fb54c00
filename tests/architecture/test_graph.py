"""The graph as a whole: it loads, nothing hangs in the air, and every asset tells an analyst what it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster_shared.serdes import deserialize_value, serialize_value

from credit_risk_platform import catalog
from credit_risk_platform.definitions import build_definitions
from credit_risk_platform.definitions_streaming import build_streaming_definitions
from credit_risk_platform.settings import Settings

SQL_FIRST = re.compile(r"\s*(select|with|#)", re.IGNORECASE)
S4_JOBS = {"daily_ingestion", "feature_engineering", "model_training", "model_monitoring"}


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return build_definitions(Settings(home=tmp_path_factory.mktemp("graph")))


@pytest.fixture(scope="module")
def streamed(tmp_path_factory: pytest.TempPathFactory) -> set[dg.AssetKey]:
    """What the streaming location makes, or its runs write beside; this one reads some of it."""
    streaming = build_streaming_definitions(Settings(home=tmp_path_factory.mktemp("streaming")))
    return {spec.key for spec in streaming.resolve_all_asset_specs() if spec.group_name == catalog.Group.STREAMING}


@pytest.fixture(scope="module")
def specs(definitions: dg.Definitions, streamed: set[dg.AssetKey]) -> dict[dg.AssetKey, dg.AssetSpec]:
    return {spec.key: spec for spec in definitions.resolve_all_asset_specs() if spec.key not in streamed}


def catalogued() -> Iterator[dg.AssetKey]:
    for section in (catalog.Bronze, catalog.Gold, catalog.Models, catalog.Monitoring):
        yield from (value for value in vars(section).values() if isinstance(value, dg.AssetKey))


def test_the_definitions_are_valid(definitions: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(definitions)


@pytest.mark.filterwarnings("ignore:Property `ScheduleDefinition.environment_vars`")  # Dagster's own snapshot reads it
def test_the_code_server_can_send_the_graph_to_the_web_server(definitions: dg.Definitions) -> None:
    """Validation in this process does not serialise: an enum as a group name passes it, and breaks the UI."""
    snapshot = RepositorySnap.from_def(definitions.get_repository_def(), defer_snapshots=True)
    assert deserialize_value(serialize_value(snapshot), RepositorySnap) == snapshot


def test_no_asset_depends_on_a_key_that_nobody_makes(definitions: dg.Definitions, streamed: set[dg.AssetKey]) -> None:
    """A typo in a dependency silently becomes an external asset, and Dagster's own validation passes."""
    graph = definitions.resolve_asset_graph()
    assert {key.to_user_string() for key in graph.external_asset_keys - streamed} == set()


def test_every_key_of_the_address_book_is_made(definitions: dg.Definitions, tmp_path: Path) -> None:
    streaming = build_streaming_definitions(Settings(home=tmp_path))
    streamed = {spec.key for spec in streaming.resolve_all_asset_specs() if spec.group_name == catalog.Group.STREAMING}
    made = definitions.resolve_asset_graph().materializable_asset_keys | streamed
    assert {key.to_user_string() for key in catalogued() if key not in made} == set()


def test_every_asset_lives_in_a_layer_and_belongs_to_a_group(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    layers, groups = set(catalog.LAYERS), catalog.GROUPS
    astray = {k.to_user_string() for k, s in specs.items() if k.path[0] not in layers or s.group_name not in groups}
    assert astray == set()


def test_every_asset_has_an_owner_a_kind_and_a_code_version(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    poor = {k.to_user_string() for k, s in specs.items() if not (s.owners and s.kinds and s.code_version)}
    assert poor == set()


def test_every_asset_is_described_in_words(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    """Five words are not a description; nor is dbt's habit of showing raw SQL first."""
    mute = {
        key.to_user_string()
        for key, spec in specs.items()
        if len((spec.description or "").split()) < 6 or SQL_FIRST.match(spec.description or "")
    }
    assert mute == set()


def test_the_whole_pipeline_is_one_job(definitions: dg.Definitions, specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    """But for what is partitioned otherwise, and for what asks somebody else's system or account."""
    pipeline = definitions.resolve_job_def("full_pipeline").asset_layer.executable_asset_keys
    by_vintage_or_scenario = {catalog.Monitoring.BACKTEST_PD, catalog.Gold.STRESS_ECL}
    others = (catalog.Group.BANK_SYSTEMS, catalog.Group.FINTECH, catalog.Group.PARITY, catalog.Group.SERVING)
    asked_for = {key for key, spec in specs.items() if spec.group_name in others}
    left_out = set(definitions.resolve_asset_graph().materializable_asset_keys) - set(pipeline)
    assert left_out == by_vintage_or_scenario | asked_for


def test_the_jobs_of_the_published_system_keep_their_names(definitions: dg.Definitions) -> None:
    assert {job.name for job in definitions.resolve_all_job_defs()} >= S4_JOBS


def test_no_secret_reaches_a_resource_s_repr(definitions: dg.Definitions) -> None:
    """Whatever the UI or a log may print of a resource."""
    settings = Settings(pii_token_key="hush-hush")
    assert "hush-hush" not in repr(settings) + str(settings)
