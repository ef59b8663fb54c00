"""The behavioural model from observations to champion, and a book that has none to give: on real parts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.registry import CHAMPION
from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import Gold, Models
from credit_risk_platform.defs import behaviour
from credit_risk_platform.defs.behaviour.family import CANDIDATES
from credit_risk_platform.resources import build_resources
from credit_risk_platform.settings import Settings
from tests.behaviour_book import FEATURES, build_book, no_panel
from tests.credit_book import copy_mlflow, write_manifest
from tests.training_room import checks, data_version, failure, materialised, metadata

MODELS = [Models.candidate(f"behaviour_{name}") for name in CANDIDATES]
ALL = {Gold.BEHAVIOUR_TRAINING_SET, *MODELS, Models.BEHAVIOUR_CHAMPION}
LENIENT = {"max_ece": 0.2, "min_slope": 0.1, "max_slope": 9.0, "max_overfit": 0.5, "max_auc": 0.99}
"""What is tested here are the gates and not this book, in which days past due announce every default."""


@dataclass
class Room:
    settings: Settings
    warehouse: DuckLakeWarehouse
    instance: dg.DagsterInstance = field(default_factory=dg.DagsterInstance.ephemeral)

    @property
    def bundles(self) -> BundleStore:
        return BundleStore(self.settings.paths.models, role="behaviour")

    def run(self, *keys: dg.AssetKey, **promotion: Any) -> dg.ExecuteInProcessResult:
        resources = build_resources(self.settings, warehouse=self.warehouse)
        room = dg.Definitions.merge(behaviour.definitions(self.settings), dg.Definitions(resources=resources))
        crowning = not keys or Models.BEHAVIOUR_CHAMPION in keys
        config = {"ops": {"behaviour_champion": {"config": {**LENIENT, **promotion}}}} if crowning else {}
        return room.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance, asset_selection=list(keys) or None, run_config=config, raise_on_error=False
        )


def new_room(home: Path, template: Path) -> Room:
    settings = Settings(home=home, tuning_trials=0, bootstrap_samples=20)
    copy_mlflow(template, settings.paths.mlflow)
    write_manifest(settings.paths.dbt)
    return Room(settings, DuckLakeWarehouse(settings.paths.warehouse, threads=2))


@pytest.fixture
def room(tmp_path: Path, mlflow_template: Path) -> Iterator[Room]:
    made = new_room(tmp_path / "home", mlflow_template)
    yield made
    made.warehouse.close()
    made.instance.dispose()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, mlflow_template: Path) -> Iterator[tuple[Room, Any]]:
    """One book, its candidates and its champion; read by the tests, changed by none."""
    made = new_room(tmp_path_factory.mktemp("behaviour") / "home", mlflow_template)
    build_book(made.warehouse)
    result = made.run()
    assert result.success
    yield made, result
    made.warehouse.close()
    made.instance.dispose()


@pytest.fixture
def copied(trained: tuple[Room, Any], tmp_path: Path) -> Iterator[Room]:
    """The trained room's book, with bundles, pointer and MLflow of this test's own."""
    source, _ = trained
    settings = source.settings.model_copy(update={"home": tmp_path / "home"})
    shutil.copytree(source.settings.paths.models, settings.paths.models)
    shutil.copytree(source.settings.paths.mlflow, settings.paths.mlflow)
    own = Room(settings, source.warehouse)
    yield own
    own.instance.dispose()


def test_a_synthetic_book_gets_a_behavioural_champion_behind_all_its_gates(trained):
    room, result = trained
    assert materialised(result) == ALL
    assert all(checks(result).values())
    assert {"split_disjoint", "label_maturity", "cleared_features", "enough_defaults", "calibration"} <= set(
        checks(result)
    )
    shown, pointer = metadata(result, Models.BEHAVIOUR_CHAMPION), room.bundles.pointer()
    assert shown["bundle_sha"] == pointer.sha == data_version(result, Models.BEHAVIOUR_CHAMPION)
    assert shown["out_of_time_auc"] > 0.6
    assert shown["roc_curve"].startswith("![ROC curve]")
    assert shown["mlflow_version"].endswith(f"/models/behavioural_pd/versions/{pointer.promotion.version}")


def test_the_bundle_tells_what_kind_of_model_it_is_and_carries_its_own_sql(trained):
    bundle = trained[0].bundles.champion()
    assert bundle.created_from["model"] == "behavioural"
    assert [feature.name for feature in bundle.features] == FEATURES
    assert "int_loan_month_panel" in bundle.feature_sql
    assert "create or replace view lake.silver.int_loan_month_panel" in bundle.intake_sql


def test_the_application_champion_is_neither_touched_nor_shadowed(trained):
    room, _ = trained
    assert BundleStore(room.settings.paths.models).pointer() is None
    assert room.bundles.pointer_file.name == "behaviour_champion.json"
    registries = build_resources(room.settings)
    assert registries["behaviour_registry"].alias(CHAMPION) == room.bundles.pointer().promotion.version
    assert registries["registry"].alias(CHAMPION) is None


def test_the_page_of_the_training_set_says_who_is_in_it_and_what_the_embargo_left_out(trained):
    _, result = trained
    shown = metadata(result, Gold.BEHAVIOUR_TRAINING_SET)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in shown["splits"].splitlines()[2:]]
    assert [row[0] for row in rows] == ["train", "early_stop", "validation", "out_of_time"]
    assert sum(int(row[1].replace(",", "")) for row in rows) == shown["dagster/row_count"]
    assert shown["embargo"].startswith("12 months before validation and out_of_time, ")
    assert shown["model"] == "Can be trained."
    assert all(int(row[5].replace(",", "")) < int(row[2].replace(",", "")) for row in rows), (
        "a default shows repeatedly"
    )


def test_two_homes_with_the_same_book_train_the_same_bundles_to_the_last_byte(trained, room):
    build_book(room.warehouse)
    again = room.run(Gold.BEHAVIOUR_TRAINING_SET, *MODELS)
    for key in (Gold.BEHAVIOUR_TRAINING_SET, *MODELS):
        assert data_version(again, key) == data_version(trained[1], key)


def test_promoting_the_same_again_changes_nothing(copied):
    before = copied.bundles.pointer_file.read_bytes()
    assert copied.run(Models.BEHAVIOUR_CHAMPION).success
    assert copied.bundles.pointer_file.read_bytes() == before


def test_an_auc_beyond_the_behavioural_limit_is_too_good_to_be_true(copied):
    copied.bundles.pointer_file.unlink()
    result = copied.run(Models.BEHAVIOUR_CHAMPION, max_auc=0.6)
    assert [name for name, passed in checks(result).items() if not passed] == ["too_good_to_be_true"]
    assert "from repayment behaviour alone" in failure(result)
    assert copied.bundles.pointer() is None


def test_a_rollback_puts_the_earlier_behavioural_champion_back(trained, copied):
    first = copied.bundles.pointer()
    (other,) = {metadata(trained[1], key)["bundle_sha"] for key in MODELS} - {first.sha}
    copied.bundles.promote(replace(first.promotion, sha=other, version=2), first.metrics, replaces=first.sha)
    assert copied.run(Models.BEHAVIOUR_CHAMPION, rollback_to=first.sha, reason="complaints").success
    assert copied.bundles.pointer().sha == first.sha
    assert copied.bundles.pointer().withdrawn == {other}


# ------------------------------------------------------------------ books that cannot teach


def small(warehouse: DuckLakeWarehouse) -> None:
    build_book(warehouse, 150)


def young(warehouse: DuckLakeWarehouse) -> None:
    """Loans of the last months only: no observation's year is over."""
    build_book(warehouse, 500)
    recent = "select * from gold.behaviour_features where observation_month > date '2025-07-31'"
    warehouse.replace_table("gold.behaviour_features", Select(recent))


@pytest.mark.parametrize(
    ("build", "reason", "warned"),
    [
        (no_panel, "no repayment histories", False),
        (young, "not enough history", True),
        (small, "loans that defaulted, needs", True),
    ],
)
def test_a_book_that_cannot_teach_skips_the_models_and_says_why_without_failing_the_run(
    room, build: Callable[[DuckLakeWarehouse], None], reason, warned
):
    build(room.warehouse)
    result = room.run()
    assert result.success
    assert materialised(result) == {Gold.BEHAVIOUR_TRAINING_SET}
    assert reason in metadata(result, Gold.BEHAVIOUR_TRAINING_SET)["model"]
    assert checks(result) == {
        "split_disjoint": True, "label_maturity": True, "cleared_features": True, "enough_defaults": not warned,
    }  # fmt: skip
    assert room.bundles.pointer() is None


def test_a_book_without_repayments_leaves_an_empty_training_set_with_its_columns(room):
    no_panel(room.warehouse)
    result = room.run(Gold.BEHAVIOUR_TRAINING_SET)
    shown = metadata(result, Gold.BEHAVIOUR_TRAINING_SET)
    assert shown["dagster/row_count"] == 0
    assert "Nothing is wrong" in shown["note"]
    assert set(FEATURES) < set(room.warehouse.columns("gold.behaviour_training_set"))


def test_the_champion_asked_for_alone_is_skipped_too_where_nothing_can_be_learnt(room):
    no_panel(room.warehouse)
    room.run(Gold.BEHAVIOUR_TRAINING_SET)
    result = room.run(Models.BEHAVIOUR_CHAMPION)
    assert result.success
    assert materialised(result) == set()
