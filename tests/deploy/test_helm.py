"""The values for Dagster's chart: what it makes of them is checked by Dagster and by its launcher for Kubernetes.

The chart itself is not at hand; its names of values are written down below.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config

from credit_risk_platform.defs.automation.jobs import model_training
from credit_risk_platform.settings import PROJECT_ROOT
from tests.deploy_files import DEPLOY, documents, package, parse, unknown

(VALUES,) = documents(DEPLOY / "helm" / "values.yaml")
CODE = VALUES["dagster-user-deployments"]["deployments"]
CHART = {
    "global", "dagster-user-deployments", "runLauncher", "dagsterWebserver", "dagsterDaemon", "retention", "telemetry",
    "additionalInstanceConfig", "computeLogManager", "postgresql", "generatePostgresqlPasswordSecret",
    "serviceAccount", "ingress", "rabbitmq", "redis", "flower",
}  # fmt: skip
DEPLOYMENT = {
    "name", "image", "dagsterApiGrpcArgs", "port", "includeConfigInLaunchedRuns", "env", "envConfigMaps", "envSecrets",
    "labels", "affinity", "podSecurityContext", "securityContext", "volumes", "volumeMounts", "resources",
}  # fmt: skip
UNITS = {"Mi": 1, "Gi": 1024}


def test_only_names_of_the_chart_are_used() -> None:
    assert set(VALUES) <= CHART
    for deployment in CODE:
        assert set(deployment) <= DEPLOYMENT


def test_the_instance_has_the_settings_it_has_here() -> None:
    """And the chart writes none of these sections itself: two of a name would be no YAML."""
    given = {
        name: value for name, value in VALUES["additionalInstanceConfig"].items() if name != "local_artifact_storage"
    }
    ours = yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text())
    assert ours.pop("telemetry") == VALUES["telemetry"] == {"enabled": False}
    assert given == ours
    daemon = VALUES["dagsterDaemon"]
    assert [daemon[name]["enabled"] for name in ("runCoordinator", "runMonitoring", "runRetries")] == [False] * 3
    assert daemon["sensors"]["useThreads"] is False
    assert VALUES["retention"]["enabled"] is False


def test_dagster_accepts_what_the_chart_writes(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(VALUES["additionalInstanceConfig"]))
    config, _ = dagster_instance_config(str(tmp_path))
    assert config["concurrency"]["runs"]["max_concurrent_runs"] == 5


def test_every_run_has_a_pod_that_the_launcher_can_make() -> None:
    package("dagster_k8s")
    from dagster._config import process_config
    from dagster_k8s import K8sRunLauncher
    from dagster_k8s.job import UserDefinedDagsterK8sConfig

    assert VALUES["runLauncher"]["type"] == "K8sRunLauncher"
    given = VALUES["runLauncher"]["config"]["k8sRunLauncher"]
    run = given["runK8sConfig"]
    snake = {
        "container_config": run["containerConfig"],
        "pod_spec_config": run["podSpecConfig"],
        "pod_template_spec_metadata": run["podTemplateSpecMetadata"],
        "job_spec_config": run["jobSpecConfig"],
    }
    UserDefinedDagsterK8sConfig.from_dict(snake)  # Kubernetes' own client reads every field
    launcher = {
        "service_account_name": "dagster", "instance_config_map": "dagster-instance", "dagster_home": "/opt/dagster",
        "postgres_password_secret": "dagster-postgresql", "job_namespace": "credit-risk", "run_k8s_config": snake,
        "load_incluster_config": given["loadInclusterConfig"], "image_pull_policy": given["imagePullPolicy"],
        "labels": given["labels"], "fail_pod_on_run_failure": given["failPodOnRunFailure"],
    }  # fmt: skip
    judged = process_config(K8sRunLauncher.config_type(), launcher)
    assert judged.success, judged.errors


@pytest.mark.parametrize("deployment", CODE, ids=lambda deployment: deployment["name"])
def test_a_code_location_starts_with_its_own_name_and_its_runs_get_its_environment(deployment: dict[str, Any]) -> None:
    arguments = deployment["dagsterApiGrpcArgs"]
    parse(["dagster", "api", "grpc", "-h", "0.0.0.0", "-p", str(deployment["port"]), *arguments])
    assert arguments[arguments.index("--location-name") + 1] == deployment["name"]
    assert deployment["includeConfigInLaunchedRuns"] == {"enabled": True}
    assert unknown(list(deployment["env"])) == []
    listed = {entry["name"] for entry in (*deployment["envConfigMaps"], *deployment["envSecrets"])}
    assert listed == {"crp-settings", "crp-secrets"}


def test_both_locations_of_the_workspace_are_deployed() -> None:
    workspace = yaml.safe_load((PROJECT_ROOT / "workspace.yaml").read_text())
    here = {
        entry["python_module"]["location_name"]: entry["python_module"]["module_name"]
        for entry in workspace["load_from"]
    }
    there = {deployment["name"]: deployment["dagsterApiGrpcArgs"][1] for deployment in CODE}
    assert there == here


@pytest.mark.parametrize("deployment", CODE, ids=lambda deployment: deployment["name"])
def test_pods_and_the_runs_they_start_share_the_home_of_the_api(deployment: dict[str, Any]) -> None:
    (home,) = documents(DEPLOY / "kubernetes" / "home.yaml")
    (api,) = [found for found in documents(DEPLOY / "kubernetes" / "api.yaml") if found["kind"] == "Deployment"]
    spec = api["spec"]["template"]["spec"]
    assert deployment["volumes"][0]["persistentVolumeClaim"]["claimName"] == home["metadata"]["name"]
    assert deployment["volumeMounts"] == spec["containers"][0]["volumeMounts"]
    assert deployment["podSecurityContext"] == spec["securityContext"]
    assert deployment["affinity"] == spec["affinity"]
    assert deployment["labels"].items() <= api["spec"]["template"]["metadata"]["labels"].items()
    run = VALUES["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]
    assert run["podTemplateSpecMetadata"]["labels"] == deployment["labels"]
    assert run["podSpecConfig"]["affinity"] == spec["affinity"]


def test_a_stream_s_run_asks_for_little_and_a_training_for_much() -> None:
    asked = {one["name"]: one["resources"] for one in CODE}
    for resources in asked.values():
        assert memory(resources["requests"]) <= memory(resources["limits"])
    assert memory(asked["platform"]["limits"]) >= 4 * memory(asked["streaming"]["limits"])


def test_a_training_asks_for_a_pod_of_its_own_size_by_its_tags() -> None:
    package("dagster_k8s")
    from dagster_k8s.job import UserDefinedDagsterK8sConfig

    told = model_training.tags["dagster-k8s/config"]
    config = UserDefinedDagsterK8sConfig.from_dict(json.loads(told) if isinstance(told, str) else dict(told))
    resources = config.container_config["resources"]
    others = {one["name"]: one["resources"] for one in CODE}
    assert memory(resources["requests"]) > memory(others["platform"]["requests"])
    assert memory(resources["limits"]) > memory(others["platform"]["limits"])


def memory(amount: dict[str, str]) -> int:
    """Mebibytes."""
    text = amount["memory"]
    return int(text[:-2]) * UNITS[text[-2:]]


def test_one_image_everywhere() -> None:
    images = [one["image"] for one in (*CODE, VALUES["dagsterWebserver"], VALUES["dagsterDaemon"])]
    (kustomize,) = documents(DEPLOY / "kubernetes" / "kustomization.yaml")
    (renamed,) = kustomize["images"]
    assert {(image["repository"], image["tag"]) for image in images} == {(renamed["newName"], renamed["newTag"])}
