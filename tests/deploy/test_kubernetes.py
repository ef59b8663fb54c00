"""The manifests of API and dashboard, against the schemas of two Kubernetes versions and against the platform."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from credit_risk_platform.cli.dashboard import HEALTH
from credit_risk_platform.serving.security.gate import OPEN_PATHS
from credit_risk_platform.settings import Settings
from tests.deploy_files import DEPLOY, documents, package, parse, program

FOLDER = DEPLOY / "kubernetes"
FILES = sorted(file for file in FOLDER.glob("*.yaml") if file.name != "kustomization.yaml")
OBJECTS = [document for file in FILES for document in documents(file)]
DEPLOYMENTS = [pytest.param(found, id=found["metadata"]["name"]) for found in OBJECTS if found["kind"] == "Deployment"]
PORTS = {"crp-api": "api_port", "crp-dashboard": "dashboard_port"}
HOME_LABEL = {"credit-risk/home": "crp-home"}


def named(kind: str, name: str) -> dict[str, Any]:
    (found,) = [one for one in OBJECTS if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def pod(deployment: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Pod specification, and its one container."""
    spec = deployment["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    return spec, container


@pytest.mark.parametrize("version", ["1.32", "1.37"])
@pytest.mark.parametrize("found", OBJECTS, ids=lambda found: f"{found['kind']}-{found['metadata']['name']}")
def test_kubernetes_knows_every_field(found: dict[str, Any], version: str) -> None:
    package("kubernetes_validate")
    import kubernetes_validate

    kubernetes_validate.validate(found, version, strict=True)


def test_kustomize_takes_every_file_and_sets_namespace_and_registry() -> None:
    (listed,) = documents(FOLDER / "kustomization.yaml")
    assert sorted(listed["resources"]) == [file.name for file in FILES]
    kubectl = program("kubectl", "any kubectl of the last years; it asks no cluster")
    told = subprocess.run([kubectl, "kustomize", str(FOLDER)], capture_output=True, text=True, check=False, timeout=60)
    assert told.returncode == 0, told.stderr
    assert told.stdout.count("image: registry.bank.example/credit-risk-platform:0.1.0") == len(DEPLOYMENTS)
    assert told.stdout.count("namespace: credit-risk\n") == len(OBJECTS) - 1  # all but the namespace itself


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_a_pod_may_do_as_little_as_the_restricted_standard_asks(deployment: dict[str, Any]) -> None:
    spec, container = pod(deployment)
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not spec["automountServiceAccountToken"]
    security = container["securityContext"]
    assert security == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert container["resources"].keys() == {"requests", "limits"}


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_the_home_is_one_volume_on_one_node_whose_secrets_stay_their_owner_s(deployment: dict[str, Any]) -> None:
    spec, container = pod(deployment)
    (term,) = spec["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["labelSelector"]["matchLabels"] == HOME_LABEL
    assert HOME_LABEL.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert spec["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"  # else 0600 becomes 0660, and is refused
    claims = [
        volume["persistentVolumeClaim"]["claimName"] for volume in spec["volumes"] if "persistentVolumeClaim" in volume
    ]
    assert claims == [named("PersistentVolumeClaim", "crp-home")["metadata"]["name"]]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts == {"home": named("ConfigMap", "crp-settings")["data"]["CRP_HOME"], "tmp": "/tmp"}


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_a_container_starts_what_exists_on_the_port_that_is_asked(deployment: dict[str, Any]) -> None:
    name = deployment["metadata"]["name"]
    _, container = pod(deployment)
    parse(container["args"])
    (port,) = container["ports"]
    assert port["containerPort"] == Settings.model_fields[PORTS[name]].default
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == port["name"]
    (served,) = named("Service", name)["spec"]["ports"]
    assert served["targetPort"] == port["name"]


def test_probes_ask_pages_that_need_no_key_and_only_readiness_waits_for_a_champion() -> None:
    _, api = pod(named("Deployment", "crp-api"))
    paths = {probe: api[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    assert set(paths.values()) <= OPEN_PATHS
    _, dashboard = pod(named("Deployment", "crp-dashboard"))
    assert dashboard["readinessProbe"]["httpGet"]["path"] == HEALTH


def test_two_replicas_answer_and_one_always_stays() -> None:
    scaler = named("HorizontalPodAutoscaler", "crp-api")["spec"]
    assert scaler["minReplicas"] == 2
    assert "replicas" not in named("Deployment", "crp-api")["spec"], "it would undo the autoscaler at every apply"
    assert named("Deployment", "crp-dashboard")["spec"]["replicas"] == 2
    for name in PORTS:
        assert named("PodDisruptionBudget", name)["spec"]["minAvailable"] == 1
        assert named("Deployment", name)["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


@pytest.mark.parametrize("name", PORTS)
def test_selectors_select(name: str) -> None:
    labels = named("Deployment", name)["spec"]["template"]["metadata"]["labels"].items()
    assert named("Deployment", name)["spec"]["selector"]["matchLabels"].items() <= labels
    assert named("Service", name)["spec"]["selector"].items() <= labels
    assert named("PodDisruptionBudget", name)["spec"]["selector"]["matchLabels"].items() <= labels
    (front,) = named("NetworkPolicy", "crp-front")["spec"]["podSelector"]["matchExpressions"]
    assert name in front["values"]


@pytest.mark.parametrize("name", PORTS)
def test_the_world_comes_in_by_tls_to_a_service_that_exists(name: str) -> None:
    spec = named("Ingress", name)["spec"]
    encrypted = {host for entry in spec["tls"] for host in entry["hosts"]}
    assert {rule["host"] for rule in spec["rules"]} == encrypted
    for rule in spec["rules"]:
        for path in rule["http"]["paths"]:
            assert path["backend"]["service"]["name"] == name
    ports = {
        entry["port"] for rule in named("NetworkPolicy", "crp-front")["spec"]["ingress"] for entry in rule["ports"]
    }
    assert Settings.model_fields[PORTS[name]].default in ports
