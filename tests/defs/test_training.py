"""What models learn from, what each candidate shows, and how they rank: on real parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from credit_risk_platform.adapters import training_data
from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.catalog import Gold, Models
from credit_risk_platform.domain.features import model_features
from credit_risk_platform.domain.splits import Split
from tests.credit_book import build_book
from tests.training_room import CANDIDATES, GOOD, checks, data_version, failure, materialised, metadata


def test_the_training_set_shows_its_splits_and_passes_its_checks(trained):
    room, result = trained
    assert {name for name, passed in checks(result).items() if passed} >= {
        "split_disjoint", "label_maturity", "enough_bads", "cleared_features",
    }  # fmt: skip
    shown = metadata(result, Gold.TRAINING_SET)
    assert shown["dagster/row_count"] == 4000
    assert [line.split(" | ")[0].strip("| ") for line in shown["splits"].splitlines()[2:]] == list(Split)
    assert [card.loans for card in training_data.cards(room.warehouse)][-1] >= 1000


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


YOUNG = "issue_month = date '2023-12-01' and not is_bad"
"""Of a young vintage only the bad loans have closed."""


def test_no_model_learns_from_a_vintage_of_closed_loans_only(small):
    build_book(small.warehouse, 2400)
    closed_only = f"select * replace (not ({YOUNG}) as matured, case when not ({YOUNG}) then is_bad end as is_bad)"
    small.warehouse.replace_table("gold.loan_outcomes", Select(f"{closed_only} from gold.loan_outcomes"))
    assert small.run(Gold.TRAINING_SET).success
    young = "select count(*) as n from gold.training_set where issue_month = date '2023-12-01'"
    assert small.warehouse.query(young)["n"][0].as_py() == 0


def test_outcomes_that_lost_the_good_loans_of_a_vintage_stop_before_any_model_learns_from_them(small):
    build_book(small.warehouse, 2400)
    without_goods = f"select * replace (case when not ({YOUNG}) then is_bad end as is_bad)"
    small.warehouse.replace_table("gold.loan_outcomes", Select(f"{without_goods} from gold.loan_outcomes"))
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
