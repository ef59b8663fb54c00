"""deploy/terraform as files: it was never applied, so a parser and the platform itself are asked."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import Any

import pytest

from credit_risk_platform.settings import PROJECT_ROOT, Settings
from tests.deploy_files import unknown
from tests.terraform_files import (
    FOLDER,
    KEY,
    TASKS,
    config,
    containers,
    local,
    of_type,
    read,
    refused,
    resource,
    within,
)

REFERENCE = re.compile(r"(?<![\w.\"/-])(?:(var|local)\.(\w+)|(data\.)?(aws_\w+)\.([a-z]\w*)(?:\[\"([\w-]+)\"\])?)")


# ------------------------------------------------------------------------------------------------------- the language


def test_every_reference_leads_somewhere() -> None:
    told = config()
    missing = []
    for _, value in within(list(told.values())):
        for scope, name, data, kind, thing, key in REFERENCE.findall(value if isinstance(value, str) else ""):
            if scope:
                known = name in told["variable" if scope == "var" else "locals"]
            else:
                body = told["data" if data else "resource"].get((kind, thing))
                known = body is not None and (not key or key in keys_of(body))
            missing += [] if known else [value]
    assert missing == []


def keys_of(body: dict[str, Any]) -> set[str]:
    """Names of `for_each`: of a local map, or of a set that stands there."""
    each = body["for_each"]
    return set(local(each[8:-1]) if each.startswith("${local.") else re.findall(r'"([\w-]+)"', each))


def test_nothing_is_asked_for_or_worked_out_in_vain() -> None:
    named = {found[:2] for _, value in within(list(config().values())) for found in REFERENCE.findall(str(value))}
    declared = {("var", name) for name in config()["variable"]} | {("local", name) for name in config()["locals"]}
    assert declared - named == set()


def test_the_example_gives_what_has_no_default_and_holds_no_secret() -> None:
    given = read((FOLDER / "bank.tfvars.example").read_text())
    asked = config()["variable"]
    assert {name for name, body in asked.items() if "default" not in body} <= given.keys() <= asked.keys()
    assert unknown(list(given["settings"])) == []
    assert refused(given["settings"]) == set()


def test_terraform_itself_would_write_it_so() -> None:
    """Only where there is a Terraform or an OpenTofu."""
    program = shutil.which("terraform") or shutil.which("tofu")
    if program is None:
        pytest.skip("neither terraform nor tofu is at hand")
    command = [program, "fmt", "-check", "-diff", str(FOLDER)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr


# ------------------------------------------------------------------------------------------------------- network


def test_nobody_comes_in_from_the_world() -> None:
    text = "".join(file.read_text() for file in FOLDER.glob("*.tf*"))
    assert re.findall(r'"[^"]*(?:0\.0\.0\.0|::)/0"', text) == []
    assert of_type("aws_internet_gateway", "aws_nat_gateway", "aws_eip", "aws_security_group_rule") == {}
    for body in of_type("aws_security_group", "aws_default_security_group").values():
        assert body.keys().isdisjoint({"ingress", "egress"})
    from_outside = set()
    for body in of_type("aws_vpc_security_group_ingress_rule").values():
        if "referenced_security_group_id" not in body:
            assert body["cidr_ipv4"] == "${each.value}"
            from_outside |= set(re.findall(r"var\.(\w+)", body["for_each"]))
    assert from_outside == {"client_networks", "producer_networks"}
    for name in from_outside:
        (rule,) = config()["variable"][name]["validation"]
        assert ">= 8" in rule["condition"], "it would take the world"
    assert resource("aws_lb", "front")["internal"] is True
    assert resource("aws_db_instance", "books")["publicly_accessible"] is False
    assert [path for path, value in within(list(config()["resource"].values())) if "public_ip" in path and value] == []


def test_what_asks_nobody_who_he_is_is_reached_by_operators_alone() -> None:
    ways = [(way["from"], way["to"], way["port"]) for way in local("ways").values()]
    assert {end for way in ways for end in way[:2]} <= local("groups").keys()
    default = {name: field.default for name, field in Settings.model_fields.items()}
    open_doors = {default[f"{name}_port"] for name in ("dagster", "mlflow", "reports")}
    assert {port for _, end, port in ways if end == "dagster"} == open_doors
    assert {start for start, end, _ in ways if end == "dagster"} == {"machine"}
    served = {name: door["port"] for name, door in local("served").items()}
    assert served == {"api": default["api_port"], "dashboard": default["dashboard_port"]}
    assert {port for start, _, port in ways if start == "balancer"} == set(served.values())
    for task, reached in (("dagster", open_doors), ("serving", set(served.values()))):
        published = {port["containerPort"] for own in containers(task).values() for port in own.get("portMappings", ())}
        assert published == reached


def test_customers_reach_their_signed_links_and_nothing_more() -> None:
    doors = local("doors")
    assert doors["customers"] == {"priority": 20, "to": "api", "host": "${var.hosts.customers}", "paths": ["/me/*"]}
    assert "access_logs" not in resource("aws_lb", "front"), "it would keep their links"
    assert local("served")["api"]["health"] != "/readyz", "without a champion ECS would start it anew for ever"


def test_every_connection_that_can_be_encrypted_is() -> None:
    kafka = resource("aws_msk_cluster", "events")
    (transit,) = kafka["encryption_info"][0]["encryption_in_transit"]
    assert transit == {"client_broker": "TLS", "in_cluster": True}
    assert kafka["client_authentication"] == [{"unauthenticated": False, "sasl": [{"scram": True}]}]
    assert local("ways")["dagster_kafka"]["port"] == 9096  # MSK's port for SASL/SCRAM
    assert resource("aws_db_parameter_group", "books")["parameter"] == [{"name": "rds.force_ssl", "value": "1"}]
    listeners = of_type("aws_lb_listener").values()
    assert [(one["protocol"], one["port"]) for one in listeners] == [("HTTPS", 443)]
    assert config()["data"]["aws_iam_policy_document", "lake"]["statement"][0]["effect"] == "Deny"
    assert resource("aws_instance", "machine")["metadata_options"][0]["http_tokens"] == "required"


# ------------------------------------------------------------------------------------------------------- data


AT_REST = {
    "aws_ebs_volume": "kms_key_id", "aws_instance": "root_block_device.kms_key_id", "aws_db_instance": "kms_key_id",
    "aws_msk_cluster": "encryption_info.encryption_at_rest_kms_key_arn", "aws_secretsmanager_secret": "kms_key_id",
    "aws_cloudwatch_log_group": "kms_key_id", "aws_ecr_repository": "encryption_configuration.kms_key",
}  # fmt: skip


def test_everything_at_rest_is_encrypted_with_the_platform_s_key() -> None:
    kept = of_type(*AT_REST)
    assert {name.split(".")[0] for name in kept} == AT_REST.keys()
    for name, body in kept.items():
        assert (f".{AT_REST[name.split('.')[0]]}", KEY) in list(within(body)), name
    assert resource("aws_db_instance", "books")["storage_encrypted"] is True
    assert resource("aws_ebs_volume", "home")["encrypted"] is True
    ((rule,),) = [body["rule"] for body in of_type("aws_s3_bucket_server_side_encryption_configuration").values()]
    (default,) = rule["apply_server_side_encryption_by_default"]
    assert default == {"sse_algorithm": "aws:kms", "kms_master_key_id": KEY}
    assert resource("aws_kms_key", "platform")["enable_key_rotation"] is True


def test_the_bucket_is_closed_versioned_and_cannot_be_deleted_by_mistake() -> None:
    closed = resource("aws_s3_bucket_public_access_block", "lake")
    assert [closed.pop("bucket"), set(closed.values())] == ["${aws_s3_bucket.lake.id}", {True}]
    assert len(closed) == 4
    assert resource("aws_s3_bucket_versioning", "lake")["versioning_configuration"] == [{"status": "Enabled"}]
    for kind, name in (("aws_s3_bucket", "lake"), ("aws_ebs_volume", "home"), ("aws_kms_key", "platform")):
        assert resource(kind, name)["lifecycle"] == [{"prevent_destroy": True}]
    assert resource("aws_db_instance", "books")["deletion_protection"] is True


def test_the_home_is_a_disk_of_one_machine() -> None:
    text = "".join(re.sub(r"#.*", "", file.read_text()) for file in FOLDER.glob("*.tf"))
    assert re.findall("(?i)fargate|efs", text) == []
    assert resource("aws_ebs_volume", "home")["type"] == "gp3"
    for task in TASKS:
        definition, service = resource("aws_ecs_task_definition", task), resource("aws_ecs_service", task)
        assert definition["requires_compatibilities"] == ["EC2"]
        assert service["launch_type"] == "EC2"
        assert service["desired_count"] == "${var.started ? 1 : 0}"
        assert {"name": "home", "host_path": "${local.disk}/home"} in definition["volume"]
        assert "local.home" in definition["container_definitions"]
    assert resource("aws_ecs_service", "dagster")["deployment_maximum_percent"] == 100, "two daemons start a run twice"


def test_the_machine_s_script_is_bash_and_starts_nothing_without_the_home() -> None:
    script = (FOLDER / "machine.sh.tftpl").read_text()
    (given,) = re.findall(r"templatefile\([^{]+\{(.+?)\}\)", resource("aws_instance", "machine")["user_data"])
    names = set(re.findall(r"(\w+) = ", given))
    assert names == set(re.findall(r"\$\{(?:replace\()?(\w+)", script))
    told = subprocess.run(["bash", "-n"], input=re.sub(r"\$\{[^}]+\}", "x", script), capture_output=True, text=True)
    assert (told.returncode, told.stderr) == (0, "")
    assert 'blkid "$device" || mkfs' in script, "a home would be formatted away"
    assert "RequiresMountsFor=${disk}" in script


# ------------------------------------------------------------------------------------------------------- roles


def allowed(name: str) -> list[dict[str, Any]]:
    statements = config()["data"]["aws_iam_policy_document", name]["statement"]
    return [one for one in statements if one.get("effect") != "Deny"]


def test_no_role_may_do_everything_anywhere() -> None:
    anywhere = {}
    for name in (name for kind, name in config()["data"] if kind == "aws_iam_policy_document"):
        for statement in allowed(name):
            assert [action for action in statement["actions"] if re.search(r"^\*|:\*", action)] == []
            if "*" in statement.get("resources", ()) and name != "key":  # in a key's policy * is the key
                anywhere[name, statement["sid"]] = set(statement["actions"])
    assert anywhere.keys() == {
        ("start", "SignInToTheRegistry"), ("machine", "WhatHasNoFinerResource"), ("snapshots", "Find"),
    }  # fmt: skip
    assert all(action.startswith("ec2:Describe") for action in anywhere["snapshots", "Find"])
    assert of_type("aws_iam_role_policy_attachment", "aws_iam_user", "aws_iam_access_key") == {}
    assert local("rights").keys() == local("roles").keys()


def test_the_platform_s_role_is_the_one_of_the_guide() -> None:
    guide = (PROJECT_ROOT / "docs" / "object-stores.md").read_text()
    policy = json.loads(re.findall(r"```json\n(.+?)```", guide, re.DOTALL)[0])
    wanted = [one["Action"] for one in policy["Statement"]]
    assert [set(one["actions"]) for one in allowed("platform")] == [
        {action} if isinstance(action, str) else set(action) for action in wanted
    ]
    prefix = local("platform_settings")["CRP_LAKE_URL"].rpartition("/")[2]
    listing, objects, _ = allowed("platform")
    assert listing["condition"] == [{"test": "StringLike", "variable": "s3:prefix", "values": [f"{prefix}/*"]}]
    assert objects["resources"] == [f"${{aws_s3_bucket.lake.arn}}/{prefix}/*"]


def test_the_guide_names_files_outputs_and_secrets_that_are_there() -> None:
    guide = (PROJECT_ROOT / "docs" / "deployment.md").read_text()
    part = guide[guide.index("## AWS") : guide.index("## GCP")]
    asked = set(re.findall(r"output -raw (\w+)", part))
    assert asked
    assert asked <= config()["output"].keys()
    named = set(re.findall(r"`(\w+\.(?:tf|sql|tfvars\.example))`", part))
    assert {file.name for file in FOLDER.glob("*.tf")} - named == {"variables.tf", "outputs.tf", "versions.tf"}
    assert [name for name in named if not (FOLDER / name).exists()] == []
    stored = re.findall(r"secret\.platform\.arn\}:([A-Z_]+)::", local("dagster_secrets"))
    assert [name for name in stored if f"`{name}`" not in part] == []


def test_what_the_guide_writes_there_is_never_committed() -> None:
    ignored = (FOLDER / ".gitignore").read_text().split()
    assert {"/.terraform/", "*.tfstate*", "/bank.tfvars", "/kafka.json", "/platform.json"} <= set(ignored)
