"""The training room on a real warehouse, real models, MLflow on SQLite and real Dagster runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from credit_risk_platform.adapters import training_data
from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.registry import CHALLENGER, CHAMPION
from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import Gold, Models
from credit_risk_platform.defs import training
from credit_risk_platform.defs.training.mlflow_resource import build_registry
from credit_risk_platform.domain.features import model_features
from credit_risk_platform.domain.splits import Split
from credit_risk_platform.resources import build_resources
from credit_risk_platform.settings import Settings
from tests.credit_book import build_book, copy_mlflow, mlflow_template, write_manifest

__all__ = ["mlflow_template"]

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
        return build_registry(self.settings)

    def run(self, *keys: dg.AssetKey, **promotion: Any) -> dg.ExecuteInProcessResult:
        """Materialise `keys` (all if none) in one Dagster run; `promotion` configures the champion."""
        resources = build_resources(
            self.settings,
            warehouse=self.warehouse,
            bundles=self.bundles,
            registry=self.registry,
            mlflow=training.build_mlflow_resource(self.settings),
        )
        room = dg.Definitions.merge(training.definitions(self.settings), dg.Definitions(resources=resources))
        selected = keys or [key for key in room.resolve_all_asset_keys() if key.path[0] == "models"] + [
            Gold.TRAINING_SET
        ]
        with_champion = Models.CHAMPION in selected
        config = {"ops": {"models__champion": {"config": {**LENIENT, **promotion}}}} if with_champion else {}
        return room.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance, asset_selection=list(selected), run_config=config, raise_on_error=False
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


@pytest.fixture(scope="module")
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


# ------------------------------------------------------------------ training set


def test_the_training_set_shows_its_splits_and_passes_its_checks(trained):
    room, result = trained
    assert {name for name, passed in checks(result).items() if passed} >= {
        "split_disjoint", "label_maturity", "enough_bads", "cleared_features",
    }  # fmt: skip
    shown = metadata(result, Gold.TRAINING_SET)
    assert shown["dagster/row_count"] == 4000
    assert [line.split(" | ")[0].strip("| ") for line in shown["splits"].splitlines()[2:]] == list(Split)
    assert [card.loans for card in training_data.cards(room.warehouse)][-1] >= 1000


@pytest.fixture
def small(tmp_path: Path, mlflow_template: Path) -> Iterator[Room]:
    made = new_room(tmp_path / "home", mlflow_template)
    yield made
    made.warehouse.close()
    made.instance.dispose()


def test_the_fingerprint_follows_the_content_and_not_the_order_of_the_rows(small):
    build_book(small.warehouse, 2400)
    first = data_version(small.run(Gold.TRAINING_SET), Gold.TRAINING_SET)
    upside_down = "select * from gold.application_features order by loan_id desc"
    small.warehouse.replace_table("gold.application_features", Select(upside_down))
    assert data_version(small.run(Gold.TRAINING_SET), Gold.TRAINING_SET) == first
    nudge = "select * replace (case when loan_id = 'L00000007' then dti + 1e-12 else dti end as dti)"
    small.warehouse.replace_table("gold.application_features", Select(f"{nudge} from gold.application_features"))
    assert data_version(small.run(Gold.TRAINING_SET), Gold.TRAINING_SET) != first


def test_immature_and_out_of_policy_loans_do_not_teach(small):
    build_book(small.warehouse, 2400)
    young = (
        "select * replace (issue_month < date '2023-10-01' as matured, loan_id <> 'L00000001' as meets_credit_policy)"
    )
    small.warehouse.replace_table("gold.loan_outcomes", Select(f"{young} from gold.loan_outcomes"))
    result = small.run(Gold.TRAINING_SET)
    assert result.success
    assert metadata(result, Gold.TRAINING_SET)["dagster/row_count"] == 2400 - 3 * 50 - 1


def test_a_vintage_of_closed_loans_only_is_refused_before_any_model_learns_from_it(small):
    build_book(small.warehouse, 2400)
    closed_only = (
        "select * replace (not (issue_month = date '2023-12-01' and not is_bad) as matured, "
        "case when issue_month = date '2023-12-01' and not is_bad then null else is_bad end as is_bad)"
    )
    small.warehouse.replace_table("gold.loan_outcomes", Select(f"{closed_only} from gold.loan_outcomes"))
    result = small.run(Gold.TRAINING_SET, Models.candidate(GOOD))
    assert not result.success
    assert not checks(result)["label_maturity"]
    assert Models.candidate(GOOD) not in materialised(result)


@pytest.mark.parametrize(("loans", "words"), [(0, "0 issue months"), (3, "3 issue months"), (120, "bad loans, needs")])
def test_too_little_data_ends_in_advice(small, loans, words):
    build_book(small.warehouse, loans)
    result = small.run(Gold.TRAINING_SET)
    assert not result.success
    (told,) = [e for e in result.get_asset_check_evaluations() if e.check_name == "enough_bads"]
    assert not told.passed
    assert words in str(told.metadata["short"].value)
    assert "CRP_PERFORMANCE_WINDOW_MONTHS" in str(told.metadata["next_step"].value)


def test_a_sample_is_exact_repeats_itself_and_keeps_the_order_of_time(trained):
    warehouse = trained[0].warehouse

    def sample(seed: int) -> Any:
        return training_data.read(warehouse, ["dti"], (Split.TRAIN, Split.EARLY_STOP), at_most=500, seed=seed)

    assert sample(1).num_rows == 500
    assert sample(1).equals(sample(1))
    assert not sample(1).equals(sample(2))
    months = sample(1)["issue_month"].to_pylist()
    assert months == sorted(months)


# ------------------------------------------------------------------ candidates


def test_a_candidate_page_shows_metrics_of_three_splits_pictures_and_its_mlflow_run(trained):
    room, result = trained
    shown = metadata(result, Models.candidate(GOOD))
    assert "| metric | train | validation | out_of_time |" in shown["metrics"]
    assert len(shown["metrics"].splitlines()) == 2 + 15
    for picture in ("roc_curve", "calibration_curve", "feature_importance", "score_distribution"):
        assert shown[picture].startswith("![")
    assert shown["mlflow_run"].endswith(shown["mlflow_run_id"])
    assert data_version(result, Models.candidate(GOOD)) == shown["bundle_sha"]
    bundle = room.bundles.load(shown["bundle_sha"])
    assert bundle.training_fingerprint == data_version(result, Gold.TRAINING_SET)
    assert [feature.name for feature in bundle.features] == [feature.name for feature in model_features()]
    assert bundle.policy_version == "v1"


def test_a_model_that_does_not_scale_states_how_many_loans_it_learnt_from(trained):
    assert metadata(trained[1], Models.candidate(GOOD))["loans_learnt_from"] == 2_000


def test_mlflow_nests_the_candidates_under_the_one_run_of_the_dagster_run(trained):
    room, result = trained
    client = room.registry._client
    runs = {run.info.run_name: run for run in client.search_runs([room.registry.experiment_id])}
    (parent,) = [run for run in runs.values() if run.data.tags.get("dagster_run_id") == result.run_id
                 and "mlflow.parentRunId" not in run.data.tags]  # fmt: skip
    assert parent.info.status == "FINISHED"
    for name in CANDIDATES:
        tags = runs[name].data.tags
        assert tags["mlflow.parentRunId"] == parent.info.run_id
        assert tags["dagster_run_id"] == result.run_id
        assert tags["dagster_asset"] == f"models/{name}"
        sha = tags["bundle_sha"]
        kept = client.download_artifacts(runs[name].info.run_id, f"bundle/{sha}.zip")
        assert Path(kept).read_bytes() == room.bundles.get(sha)
        assert {"train.auc", "validation.auc", "out_of_time.auc", "out_of_time.auc.low"} <= set(runs[name].data.metrics)


def test_two_homes_with_the_same_loans_train_the_same_bundle_to_the_last_byte(trained, small):
    _, first = trained
    build_book(small.warehouse)
    again = small.run(Gold.TRAINING_SET, *map(Models.candidate, CANDIDATES))
    for key in (Gold.TRAINING_SET, *map(Models.candidate, CANDIDATES)):
        assert data_version(again, key) == data_version(first, key)


def test_tuning_tells_of_every_trial_and_folds_reach_the_leaderboard(small, capfd):
    build_book(small.warehouse, 2400)
    small.settings = small.settings.model_copy(update={"tuning_trials": 2, "candidates": (GOOD,)})
    result = small.run(Gold.TRAINING_SET, Models.candidate(GOOD), Models.LEADERBOARD)
    assert result.success
    assert len(metadata(result, Models.candidate(GOOD))["tuning"].splitlines()) == 2 + 2
    told = capfd.readouterr().err
    assert "trial 1/2" in told
    assert "trial 2/2" in told
    (row,) = small.warehouse.query("select fold_auc_mean, fold_auc_sd from models.leaderboard").to_pylist()
    assert 0.5 < row["fold_auc_mean"] < 1
    assert row["fold_auc_sd"] > 0


# ------------------------------------------------------------------ leaderboard


def test_the_leaderboard_ranks_all_candidates_of_this_training_set(trained):
    room, result = trained
    board = room.warehouse.query("select * from models.leaderboard order by rank").to_pylist()
    assert {row["model"] for row in board} == set(CANDIDATES)
    losses = [row["validation_loss"] for row in board if row["eligible"]]
    assert losses == sorted(losses)
    for row in board:
        assert row["train_to_out_of_time_auc"] == pytest.approx(row["train_auc"] - row["out_of_time_auc"])
    assert metadata(result, Models.LEADERBOARD)["not_trained_on_this_set"] == "none"


def test_candidates_of_another_training_set_do_not_compete(small):
    build_book(small.warehouse, 2400)
    assert small.run(Gold.TRAINING_SET, Models.candidate(GOOD)).success
    build_book(small.warehouse, 2500)
    result = small.run(Gold.TRAINING_SET, Models.LEADERBOARD, Models.CHAMPION)
    assert not result.success
    assert metadata(result, Models.LEADERBOARD)["dagster/row_count"] == 0
    assert "none was trained on the present training set" in failure(result)


# ------------------------------------------------------------------ champion


def test_the_best_candidate_becomes_champion_and_everything_names_it(room):
    result = room.promote()
    assert result.success
    assert all(checks(result).values())
    pointer, shown = room.bundles.pointer(), metadata(result, Models.CHAMPION)
    assert pointer.promotion.name == GOOD
    assert pointer.promotion.run_id == result.run_id
    assert shown["bundle_sha"] == pointer.sha == data_version(result, Models.CHAMPION)
    version = room.registry.version(pointer.promotion.version)
    assert room.registry.alias(CHAMPION) == pointer.promotion.version
    assert version.tags["bundle_sha"] == pointer.sha
    assert version.tags["promotion_dagster_run_id"] == result.run_id
    run = room.registry._client.get_run(pointer.promotion.mlflow_run_id)
    assert run.data.tags["champion_version"] == str(pointer.promotion.version)
    stored = json.loads(room.bundles.pointer_file.read_text())
    assert {"auc", "ks", "brier", "ece"} <= set(stored["metrics"]["out_of_time"])
    assert set(stored["metrics"]) == {"train", "validation", "out_of_time"}
    assert shown["roc_curve"].startswith("![ROC curve]")


def test_promoting_the_same_again_changes_nothing(room):
    room.promote()
    before = room.bundles.pointer_file.read_bytes()
    result = room.promote()
    assert result.success
    assert room.bundles.pointer_file.read_bytes() == before
    assert room.registry.alias(CHAMPION) == 1
    assert data_version(result, Models.CHAMPION) == room.bundles.pointer().sha


def test_a_worse_challenger_leaves_the_champion_and_says_what_it_lacks(room):
    room.promote(GOOD)
    before = room.bundles.pointer_file.read_bytes()
    result = room.promote(WEAK)
    assert not result.success
    assert not checks(result)["better_than_champion"]
    assert Models.CHAMPION not in materialised(result)
    assert room.bundles.pointer_file.read_bytes() == before
    assert (room.registry.alias(CHAMPION), room.registry.alias(CHALLENGER)) == (1, 2)
    assert "better_than_champion" in room.registry.version(2).tags["refused"]
    assert f"Promotion refused, {GOOD} version 1 stays" in failure(result)


def test_a_better_challenger_takes_over_and_the_history_keeps_both(room):
    room.promote(WEAK)
    assert room.promote(GOOD, promoted_by="head of risk", reason="weekly").success
    pointer = room.bundles.pointer()
    assert [entry.name for entry in pointer.history] == [WEAK, GOOD]
    assert (pointer.promotion.promoted_by, pointer.promotion.reason) == ("head of risk", "weekly")
    assert (room.registry.alias(CHAMPION), room.registry.alias(CHALLENGER)) == (2, None)


@pytest.mark.parametrize(
    ("limits", "gate"),
    [
        ({"max_auc": 0.6}, "too_good_to_be_true"),
        ({"max_ece": 0.0}, "calibration"),
        ({"max_overfit": -1.0}, "eligible_candidate"),
    ],
)
def test_any_red_gate_keeps_the_pointer_and_the_alias(room, limits, gate):
    result = room.promote(GOOD, **limits)
    assert not result.success
    assert [name for name, passed in checks(result).items() if not passed] == [gate]
    assert room.bundles.pointer() is None
    assert room.registry.alias(CHAMPION) is None


def test_a_moved_population_only_warns(room):
    result = room.promote(GOOD, max_psi=-1.0)
    assert result.success
    assert not checks(result)["population_stability"]


def test_a_red_leakage_guard_of_the_marts_stops_the_promotion(room):
    red = dg.AssetCheckEvaluation(asset_key=Gold.APPLICATION_FEATURES, check_name="leakage_guard", passed=False)
    room.instance.report_runless_asset_event(red)
    result = room.promote(GOOD)
    assert not checks(result)["leakage"]
    assert room.bundles.pointer() is None


def test_a_feature_that_knows_the_outcome_is_too_good_to_be_true(small):
    build_book(small.warehouse, 2400, leak=True)
    small.settings = small.settings.model_copy(update={"candidates": (GOOD,)})
    result = small.run()
    assert not checks(result)["too_good_to_be_true"]
    assert small.bundles.pointer() is None


def test_a_higher_bad_rate_out_of_time_turns_calibration_red_and_proposes_the_shift(small):
    build_book(small.warehouse, 2400, shift=1.5)
    small.settings = small.settings.model_copy(update={"candidates": (GOOD,)})
    result = small.run(max_ece=0.05)
    (told,) = [e for e in result.get_asset_check_evaluations() if e.check_name == "calibration"]
    assert not told.passed
    shift = float(str(told.metadata["next_step"].value).split("intercept by ")[1].split(" ")[0])
    assert 0.8 < shift < 2.0


def test_a_crash_before_the_pointer_moves_leaves_nothing_half_promoted(room, monkeypatch):
    def crash(*_args: Any, **_kwargs: Any) -> None:
        raise OSError("power cut")

    monkeypatch.setattr(BundleStore, "promote", crash)
    assert not room.promote(GOOD).success
    assert room.bundles.pointer() is None
    monkeypatch.undo()
    assert room.promote(GOOD).success
    assert room.bundles.pointer().promotion.version == room.registry.alias(CHAMPION) == 1


def test_a_champion_that_cannot_be_measured_any_more_goes_only_by_order(room):
    room.promote(WEAK)
    room.bundles.path(room.bundles.pointer().sha).write_bytes(b"damaged")
    result = room.promote(GOOD)
    assert not checks(result)["better_than_champion"]
    assert "cannot be measured" in failure(result)
    assert room.promote(GOOD, replace_unmeasurable_champion=True, reason="bundle lost").success
    assert room.bundles.pointer().promotion.name == GOOD


# ------------------------------------------------------------------ rollback


@pytest.mark.parametrize("by", ["version", "hash"])
def test_a_rollback_puts_the_earlier_champion_back_in_pointer_and_registry(room, by):
    room.promote(WEAK)
    first = room.bundles.pointer()
    room.promote(GOOD)
    to = str(first.promotion.version) if by == "version" else first.sha
    result = room.run(Models.CHAMPION, rollback_to=to, promoted_by="on call", reason="complaints")
    assert result.success
    pointer = room.bundles.pointer()
    assert (pointer.sha, pointer.promotion.reason) == (first.sha, "rollback to version 1: complaints")
    assert data_version(result, Models.CHAMPION) == first.sha
    assert room.registry.alias(CHAMPION) == 1
    assert [entry.version for entry in pointer.history] == [1, 2, 1]


def test_after_a_rollback_the_next_training_does_not_bring_the_withdrawn_model_back(room):
    room.promote(WEAK)
    room.promote(GOOD)
    room.run(Models.CHAMPION, rollback_to="1")
    before = room.bundles.pointer_file.read_bytes()
    result = room.promote()
    assert result.success
    assert room.bundles.pointer_file.read_bytes() == before
    assert room.bundles.pointer().promotion.name == WEAK


def test_a_rollback_works_without_the_warehouse_and_with_red_gates(room, tmp_path):
    room.promote(WEAK)
    room.promote(GOOD)
    room.warehouse = DuckLakeWarehouse(tmp_path / "gone")
    assert room.run(Models.CHAMPION, rollback_to="1", max_auc=0.5, max_ece=0.0).success
    assert room.bundles.pointer().promotion.name == WEAK


def test_a_rollback_to_what_never_was_champion_lists_what_was(room):
    room.promote(GOOD)
    result = room.run(Models.CHAMPION, rollback_to="9")
    assert not result.success
    assert "Roll back to one of: 1 (logistic_regression" in failure(result)


# ------------------------------------------------------------------ MLflow run


def test_every_dagster_run_has_its_own_mlflow_run_even_after_one_was_left_open(room):
    import mlflow

    mlflow.set_tracking_uri(room.registry.tracking_uri)
    left_open = mlflow.start_run(experiment_id=room.registry.experiment_id)
    first, second = room.promote(GOOD), room.promote(GOOD)
    assert mlflow.active_run() is None
    client = room.registry._client
    by_run = {
        run.data.tags["dagster_run_id"]: run.info.run_id
        for run in client.search_runs([room.registry.experiment_id])
        if "dagster_run_id" in run.data.tags and "mlflow.parentRunId" not in run.data.tags
    }
    assert by_run[first.run_id] != by_run[second.run_id]
    assert left_open.info.run_id not in by_run.values()


def test_a_refused_promotion_marks_its_mlflow_run_failed(room):
    result = room.promote(GOOD, max_ece=0.0)
    found = room.registry._client.search_runs([room.registry.experiment_id], f"tags.dagster_run_id = '{result.run_id}'")
    assert [run.info.status for run in found] == ["FAILED"]
