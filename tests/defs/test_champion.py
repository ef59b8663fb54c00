"""Promotion, refusal and rollback: what becomes of the pointer, the registry and the MLflow run. On real parts."""

from __future__ import annotations

import json
from typing import Any

import dagster as dg
import pytest

from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.registry import CHALLENGER, CHAMPION
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import Gold, Models
from tests.credit_book import build_book
from tests.training_room import GOOD, WEAK, checks, data_version, failure, materialised, metadata


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
        ({"min_slope": 5.0, "max_slope": 6.0}, "calibration"),
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
    result = room.promote(GOOD, max_auc=0.5)
    found = room.registry._client.search_runs([room.registry.experiment_id], f"tags.dagster_run_id = '{result.run_id}'")
    assert [run.info.status for run in found] == ["FAILED"]
