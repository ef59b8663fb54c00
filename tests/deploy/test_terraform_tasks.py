"""The tasks of deploy/terraform against compose, AWS's own model and the platform's settings."""

from __future__ import annotations

import re

import pytest
import yaml

from credit_risk_platform.settings import Encryption, KafkaSecurity, Settings, Target
from tests.deploy_files import DEPLOY, OUTSIDE, assignments, parse, secret_names, services, unknown
from tests.terraform_files import FOLDER, KEY, TASKS, config, containers, local, of_type, refused, resource, within

OURS = dict(services(ours=True))
OTHERWISE = {"settings": "compose mounts these files", "reports": "compose's are in the home, these in the bucket"}
"""Containers whose command is not compose's, and why."""
GIBIBYTES = {"m7i.2xlarge": 32}
VCPUS = {"m7i.2xlarge": 8}


# ------------------------------------------------------------------------------------------------------- containers


def test_the_tasks_are_compose_s_services() -> None:
    assert {*local("dagster_containers"), *local("serving_containers")} == {*OURS, "settings"}
    assert len(local("dagster_containers")) <= 10, "ECS takes ten containers in a task"


@pytest.mark.parametrize("task", TASKS)
def test_a_container_runs_and_is_watched_as_in_compose(task: str) -> None:
    for name, own in containers(task).items():
        if name not in OTHERWISE:
            assert own["command"] == OURS[name]["command"]
        if name != "settings":
            limit = OURS[name]["deploy"]["resources"]["limits"]["memory"]
            assert own["memory"] == int(limit[:-1]) * {"m": 1, "g": 1024}[limit[-1]], name
            check = OURS[name]["healthcheck"]
            assert own.get("healthCheck", {}).get("command") == check.get("test"), name
    grace = OURS["api"]["stop_grace_period"]
    assert f"{containers('serving')['api']['stopTimeout']}s" == grace


def test_reports_are_read_from_the_bucket() -> None:
    command = containers("dagster")["reports"]["command"]
    parse(command)
    assert command == ["python", "-m", "credit_risk_platform.cli.reports", "0.0.0.0", "8010"]


@pytest.mark.parametrize("task", TASKS)
def test_aws_knows_every_field_of_a_container(task: str) -> None:
    """ECS's own model, as boto3 has it: a field of another name would be dropped without a word."""
    from botocore.session import Session
    from botocore.validate import ParamValidator

    shape = Session().get_service_model("ecs").shape_for("ContainerDefinition")
    for name, own in containers(task).items():
        report = ParamValidator().validate(own, shape)
        assert not report.has_errors(), f"{name}: {report.generate_report()}"


def test_containers_find_room_on_the_machine_also_while_a_new_api_comes_up() -> None:
    machine = config()["variable"]["machine_type"]["default"]
    asked = [*containers("dagster").values(), *containers("serving").values(), *containers("serving").values()]
    assert resource("aws_ecs_service", "serving")["deployment_maximum_percent"] == 200
    assert sum(own["cpu"] for own in asked) <= 1024 * VCPUS[machine]
    assert sum(own["memory"] for own in asked) <= 1024 * (GIBIBYTES[machine] - 2), "at all limits at once"


def test_a_container_is_as_closed_as_in_compose() -> None:
    common = local("container")
    assert common["readonlyRootFilesystem"]
    assert common["dockerSecurityOptions"] == ["no-new-privileges"]
    assert common["linuxParameters"]["capabilities"] == {"drop": ["ALL"]}
    assert f"USER {common['user']}\n" in (DEPLOY / "Dockerfile").read_text()
    script = (FOLDER / "machine.sh.tftpl").read_text()
    assert "--owner {} --group {} ".format(*common["user"].split(":")) in script, "it could not write its home"
    for task in TASKS:
        for own in local(f"{task}_containers").values():
            assert own.keys().isdisjoint(common.keys() - {"environment", "essential", "restartPolicy"})


def test_web_server_and_daemon_find_both_code_servers_in_their_task() -> None:
    settings = containers("dagster")["settings"]
    (step,) = settings["environment"]
    pattern, put = re.findall(r'workspace\.yaml"\), "/(.+?)/", "(.+?)"', step["value"])[0]
    workspace = yaml.safe_load(re.sub(pattern, put, (DEPLOY / "compose" / "workspace.yaml").read_text()))
    servers = [entry["grpc_server"] for entry in workspace["load_from"]]
    assert {server["host"] for server in servers} == {"127.0.0.1"}
    for name, server in zip(("code-platform", "code-streaming"), servers, strict=True):
        assert str(server["port"]) in containers("dagster")[name]["command"]
    copied = settings["command"][-1]
    assert re.findall(r"/app/(\S+)", copied) == ["deploy/dagster.yaml"]
    assert "COPY deploy/dagster.yaml deploy/dagster.yaml" in (DEPLOY / "Dockerfile").read_text()


# ------------------------------------------------------------------------------------------------------- settings


def test_settings_understand_what_containers_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told = local("platform_settings")
    assert unknown(list(told)) == []
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    settings = Settings(_env_file=None)
    assert settings.target is Target.LOCAL
    assert settings.kafka_security_protocol is KafkaSecurity.SASL_SSL
    assert settings.s3_encryption is Encryption.KMS
    assert told["CRP_S3_KMS_KEY_ID"] == KEY
    assert local("home")["containerPath"] == told["CRP_HOME"]
    assert local("books")["containerPath"] == told["DAGSTER_HOME"]
    same = ("CRP_HOME", "CRP_AUTOMATION_RUNNING", "DAGSTER_HOME", "CRP_DAGSTER_CONFIG",
            "DAGSTER_GRPC_SHUTDOWN_GRACE_PERIOD")  # fmt: skip
    assert {name: told[name] for name in same} == {name: OURS["api"]["environment"][name] for name in same}
    local_one = assignments(DEPLOY / "env" / "local.env.example")
    assert {name for name in local_one.keys() & told.keys() if local_one[name] != told[name]} == set()


def test_secrets_reach_a_container_by_their_store_alone() -> None:
    by_value = set(local("platform_settings")) | {"WORKSPACE", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION"}
    written = set(re.findall(r'name = "([A-Z_]+)"', (FOLDER / "dagster.tf").read_text()))
    assert written <= by_value
    assert by_value.isdisjoint(secret_names() | {"DAGSTER_POSTGRES_URL", "MLFLOW_BACKEND_STORE_URI"})
    told = local("serving_secrets") + local("dagster_secrets")
    stored = set(re.findall(r'"([A-Z_]{6,})"', told))
    assert stored == {
        "CRP_PII_TOKEN_KEY", "CRP_CUSTOMER_LINK_KEY", "CRP_MLFLOW_TRACKING_URL", "KAFKA_SASL_PASSWORD",
        "DAGSTER_POSTGRES_URL", "MLFLOW_BACKEND_STORE_URI",
    }  # fmt: skip
    assert stored <= secret_names() | OUTSIDE.keys()
    assert told.count("valueFrom = ") == told.count("name = ") == len(stored) - 1  # two share a comprehension


def test_a_secret_among_the_settings_is_refused_and_nothing_else_is() -> None:
    assert refused(secret_names()) == secret_names()
    examples = [name for file in (DEPLOY / "env").glob("*.env.example") for name in assignments(file)]
    assert refused({*examples, *local("platform_settings")}) <= {"CRP_S3_KMS_KEY_ID"}


def test_neither_state_nor_variables_ever_hold_a_password() -> None:
    assert of_type("aws_secretsmanager_secret_version", "random_password", "tls_private_key", "aws_ssm_parameter") == {}
    named = {path for path, _ in within(list(config()["resource"].values()))}
    assert {path for path in named if re.search(r"\.(password|secret_string|auth_token|private_key)$", path)} == set()
    assert resource("aws_db_instance", "books")["manage_master_user_password"] is True
