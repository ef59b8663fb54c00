"""What MLflow keeps of a training, on a real SQLite database."""

from __future__ import annotations

from pathlib import Path

import pytest

from credit_risk_platform.adapters.registry import BEHAVIOURAL_MODEL, CHALLENGER, CHAMPION, CandidateRun, ModelRegistry
from tests.credit_book import copy_mlflow, mlflow_template

__all__ = ["mlflow_template"]


@pytest.fixture
def registry(tmp_path: Path, mlflow_template: Path) -> ModelRegistry:
    copy_mlflow(mlflow_template, tmp_path / "mlflow")
    return ModelRegistry(tmp_path / "mlflow", "http://127.0.0.1:5000/")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / f"{'a' * 64}.zip"
    path.write_bytes(b"a bundle")
    return path


def log(registry: ModelRegistry, bundle: Path, **metrics: float) -> str:
    found = CandidateRun("xgboost", {"max_depth": 6}, {"out_of_time.auc": 0.7, **metrics}, {"bundle_sha": "a"}, bundle)
    return registry.log_candidate("parent", found)


def test_a_record_in_another_database_leaves_none_below_the_home(tmp_path, mlflow_template, bundle):
    """As a deployment has it that keeps the record in PostgreSQL: only the artefacts are the home's."""
    copy_mlflow(mlflow_template, tmp_path / "elsewhere")
    url = f"sqlite:///{tmp_path / 'elsewhere' / 'mlflow.db'}"
    registry = ModelRegistry(tmp_path / "home", "http://127.0.0.1:5000", tracking_url=url)
    assert registry._client.get_run(log(registry, bundle)).info.status == "FINISHED"
    assert not (tmp_path / "home" / "mlflow.db").exists()


def test_a_run_holds_parameters_metrics_tags_its_parent_and_the_bundle_itself(registry, bundle):
    run_id = log(registry, bundle)
    run = registry._client.get_run(run_id)
    assert run.data.params == {"max_depth": "6"}
    assert run.data.metrics == {"out_of_time.auc": 0.7}
    assert run.data.tags["mlflow.parentRunId"] == "parent"
    assert run.data.tags["bundle_sha"] == "a"
    assert run.info.status == "FINISHED"
    kept = Path(registry._client.download_artifacts(run_id, f"bundle/{bundle.name}"))
    assert kept.read_bytes() == b"a bundle"


def test_artefacts_go_below_the_home_wherever_the_process_stands(registry, bundle, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    log(registry, bundle)
    assert list(elsewhere.iterdir()) == []
    assert list((tmp_path / "mlflow" / "artifacts").rglob("*.zip"))


def test_a_metric_that_could_not_be_measured_does_not_stop_the_others(registry, bundle):
    run_id = log(registry, bundle, broken=float("nan"), endless=float("inf"))
    assert registry._client.get_run(run_id).data.metrics == {"out_of_time.auc": 0.7}


def test_the_same_bundle_is_one_version_however_often_it_is_trained(registry, bundle):
    first = registry.register("a" * 64, log(registry, bundle), {})
    again = registry.register("a" * 64, log(registry, bundle), {})
    other = registry.register("b" * 64, log(registry, bundle), {})
    assert (first, again, other) == (1, 1, 2)


def test_version_and_run_name_each_other(registry, bundle):
    run_id = log(registry, bundle)
    version = registry.register("a" * 64, run_id, {"dagster_run_id": "d"})
    assert registry.version(version).run_id == run_id
    assert registry.version(version).tags == {"dagster_run_id": "d", "bundle_sha": "a" * 64}
    assert registry._client.get_run(run_id).data.tags["registered_version"] == "1"


def test_an_alias_names_one_version_and_the_champion_is_no_longer_the_challenger(registry, bundle):
    run_id = log(registry, bundle)
    assert registry.alias(CHAMPION) is None
    first, second = (registry.register(sha * 64, run_id, {}) for sha in "ab")
    registry.point(CHAMPION, first)
    registry.point(CHALLENGER, second)
    assert (registry.alias(CHAMPION), registry.alias(CHALLENGER)) == (first, second)
    registry.point(CHAMPION, second)
    assert (registry.alias(CHAMPION), registry.alias(CHALLENGER)) == (second, None)


def test_links_lead_to_the_run_and_the_version_in_the_ui(registry):
    assert registry.run_url("r1") == f"http://127.0.0.1:5000/#/experiments/{registry.experiment_id}/runs/r1"
    assert registry.version_url(3) == "http://127.0.0.1:5000/#/models/application_pd/versions/3"


def test_the_behavioural_model_has_versions_and_a_champion_of_its_own(registry, bundle):
    behavioural = ModelRegistry(registry.root, registry.ui_url, BEHAVIOURAL_MODEL)
    run_id = log(registry, bundle)
    for one in (registry, behavioural):
        one.point(CHAMPION, one.register("a" * 64, run_id, {}))
    behavioural.point(CHAMPION, behavioural.register("b" * 64, run_id, {}))
    assert (registry.alias(CHAMPION), behavioural.alias(CHAMPION)) == (1, 2)
    assert behavioural.version_url(2).endswith("/models/behavioural_pd/versions/2")
