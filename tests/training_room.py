"""The training room as its tests see it: real warehouse, real models, MLflow on SQLite, real Dagster runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import Gold, Models
from credit_risk_platform.defs import training
from credit_risk_platform.resources import build_resources
from credit_risk_platform.settings import Settings
from tests.credit_book import build_book, copy_mlflow, write_manifest

GOOD, WEAK = "logistic_regression", "xgboost"
"""On this small book, made of four linear effects, deep boosting on defaults is clearly worse than the regression."""
LENIENT = {"max_ece": 0.2, "min_slope": 0.1, "max_slope": 9.0, "max_overfit": 0.5}
"""A thousand out-of-time loans cannot show an ECE of 2 %; what is tested here are the gates, not this book."""
CANDIDATES = (GOOD, WEAK)


@dataclass
class Room:
    """The training room with a home of its own; `warehouse` may be shared by tests that only read it."""

    settings: Settings
    warehouse: DuckLakeWarehouse
    instance: dg.DagsterInstance = field(default_factory=dg.DagsterInstance.ephemeral)

    @property
    def bundles(self) -> BundleStore:
        return BundleStore(self.settings.paths.models)

    @property
    def registry(self) -> Any:
        return build_resources(self.settings)["registry"]

    def run(self, *keys: dg.AssetKey, **promotion: Any) -> dg.ExecuteInProcessResult:
        """Materialise `keys` (all if none) in one Dagster run; `promotion` configures the champion."""
        resources = build_resources(self.settings, warehouse=self.warehouse)
        room = dg.Definitions.merge(training.definitions(self.settings), dg.Definitions(resources=resources))
        with_champion = not keys or Models.CHAMPION in keys
        config = {"ops": {"models__champion": {"config": {**LENIENT, **promotion}}}} if with_champion else {}
        return room.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance, asset_selection=list(keys) or None, run_config=config, raise_on_error=False
        )

    def promote(self, *candidates: str, **promotion: Any) -> dg.ExecuteInProcessResult:
        """Weigh only these candidates."""
        self.settings = self.settings.model_copy(update={"candidates": candidates or CANDIDATES})
        return self.run(Models.CHAMPION, **promotion)


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {evaluation.check_name: evaluation.passed for evaluation in result.get_asset_check_evaluations()}


def metadata(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> Mapping[str, Any]:
    (event,) = [event for event in result.get_asset_materialization_events() if event.asset_key == key]
    return {name: value.value for name, value in event.materialization.metadata.items()}


def materialised(result: dg.ExecuteInProcessResult) -> set[dg.AssetKey]:
    return {event.asset_key for event in result.get_asset_materialization_events()}


def data_version(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> str:
    (event,) = [event for event in result.get_asset_materialization_events() if event.asset_key == key]
    return event.materialization.tags["dagster/data_version"]


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    return str(event.step_failure_data.error_display_string)


def new_room(home: Path, template: Path, **changes: Any) -> Room:
    settings = Settings(
        home=home, candidates=CANDIDATES, tuning_trials=0, bootstrap_samples=20, training_sample_rows=2_000, **changes
    )
    copy_mlflow(template, settings.paths.mlflow)
    write_manifest(settings.paths.dbt)
    return Room(settings, DuckLakeWarehouse(settings.paths.warehouse, threads=2))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, mlflow_template: Path) -> Iterator[tuple[Room, Any]]:
    """One book and its candidates, trained once; tests that promote work on copies of its models."""
    room = new_room(tmp_path_factory.mktemp("trained"), mlflow_template)
    build_book(room.warehouse)
    keys = (Gold.TRAINING_SET, *map(Models.candidate, CANDIDATES), Models.LEADERBOARD)
    result = room.run(*keys)
    assert result.success
    yield room, result
    room.warehouse.close()
    room.instance.dispose()


@pytest.fixture
def room(trained: tuple[Room, Any], tmp_path: Path) -> Iterator[Room]:
    """The trained candidates, nobody promoted yet, MLflow and bundles of this test's own."""
    source, _ = trained
    settings = source.settings.model_copy(update={"home": tmp_path / "home"})
    shutil.copytree(source.settings.paths.models, settings.paths.models)
    shutil.copytree(source.settings.paths.mlflow, settings.paths.mlflow)
    own = Room(settings, source.warehouse)
    yield own
    own.instance.dispose()


@pytest.fixture
def small(tmp_path: Path, mlflow_template: Path) -> Iterator[Room]:
    made = new_room(tmp_path / "home", mlflow_template)
    yield made
    made.warehouse.close()
    made.instance.dispose()
