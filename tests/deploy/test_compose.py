"""deploy/compose as files: Docker is not at hand, so the specification's schema and the platform itself are asked."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config
from sqlalchemy import make_url

from credit_risk_platform.settings import PROJECT_ROOT, Settings
from tests.deploy_files import COMPOSE, DEPLOY, assignments, documents, package, parse, services, unknown

FOLDER = DEPLOY / "compose"
ALL = [pytest.param(service, id=name) for name, service in services()]
OURS = [pytest.param(service, id=name) for name, service in services(ours=True)]
ONCE = {"topics"}
"""Does its work and ends."""


def test_the_file_is_what_the_compose_specification_allows() -> None:
    package("check_jsonschema")
    from jsonschema import Draft202012Validator

    schema = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    wrong = Draft202012Validator(json.loads(schema.read_text())).iter_errors(COMPOSE)
    assert [f"{error.json_path}: {error.message}" for error in wrong] == []


def test_docker_itself_reads_the_file(tmp_path: Path) -> None:
    """Only where there is a Docker with its compose command, as on GitHub's machines."""
    if not shutil.which("docker") or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        pytest.skip("docker compose is not at hand")
    folder = prepared(tmp_path)
    told = subprocess.run(["docker", "compose", "config", "--quiet"], cwd=folder, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr


@pytest.mark.parametrize("service", ALL)
def test_a_service_is_pinned_watched_and_bounded(service: dict[str, Any]) -> None:
    image, _, tag = service["image"].rpartition(":")
    assert image, "no tag: what runs tomorrow would be another program"
    assert tag.strip("}") != "latest"
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["restart"]
    assert "healthcheck" in service


def test_only_what_ends_goes_without_a_health_check() -> None:
    assert {name for name, service in services() if service["healthcheck"].get("disable")} == ONCE


def test_every_port_is_published_to_this_machine_alone() -> None:
    published = [port for _, service in services() for port in service.get("ports", ())]
    assert len(published) == len(set(published)) == 9
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_ports_are_those_the_platform_links_to() -> None:
    default = {name: field.default for name, field in Settings.model_fields.items()}
    wanted = {
        "dagster-webserver": default["dagster_port"],
        "mlflow": default["mlflow_port"],
        "api": default["api_port"],
        "dashboard": default["dashboard_port"],
        "reports": default["reports_port"],
        "kafka": int(default["kafka_bootstrap_servers"].split(":")[1]),
    }
    assert {name: published(name) for name in wanted} == {name: (port, port) for name, port in wanted.items()}
    assert published("grafana") == (3001, 3000)


def published(name: str) -> tuple[int, int]:
    (port,) = COMPOSE["services"][name]["ports"]
    _, outside, inside = port.split(":")
    return int(outside), int(inside)


@pytest.mark.parametrize("service", OURS)
def test_our_containers_write_to_their_volumes_alone_and_start_what_exists(service: dict[str, Any]) -> None:
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert unknown(list(service["environment"])) == []
    workspace = str(FOLDER / "workspace.yaml")
    parse([workspace if word == "/opt/dagster/workspace.yaml" else word for word in service["command"]])


@pytest.mark.parametrize("service", OURS)
def test_a_health_check_asks_where_the_command_listens(service: dict[str, Any]) -> None:
    command, check = " ".join(service["command"]), " ".join(service["healthcheck"].get("test", ()))
    listens = re.search(r"(?:-p|--port|http.server) (\d+)", command)
    asked = re.search(r"127\.0\.0\.1:(\d+)|-p (\d+)", check)
    if listens and asked:
        assert listens[1] in asked.groups()
    if check.startswith("CMD dagster"):
        parse(service["healthcheck"]["test"][1:])


def test_nobody_waits_for_a_service_that_cannot_become_what_is_waited_for() -> None:
    known = COMPOSE["services"]
    for name, service in services():
        for other, wait in service.get("depends_on", {}).items():
            ends = wait["condition"] == "service_completed_successfully"
            assert (other in ONCE) == ends, f"{name} waits for {other}"
            assert "profiles" not in known[other]


def test_every_variable_has_a_default_so_that_one_command_starts_it() -> None:
    text = (FOLDER / "compose.yaml").read_text()
    assert [name for name in re.findall(r"\$\{([^}]+)\}", text) if ":-" not in name] == []


def test_the_broker_is_the_one_the_suite_runs() -> None:
    pom = (PROJECT_ROOT / "credit_risk_platform/adapters/kafka_dist/pom.xml").read_text()
    (version,) = re.findall(r"<kafka.version>(.*?)</kafka.version>", pom)
    assert COMPOSE["services"]["kafka"]["image"] == f"apache/kafka:{version}"


def test_the_workspace_names_both_code_servers() -> None:
    listed = [entry["grpc_server"] for entry in yaml.safe_load((FOLDER / "workspace.yaml").read_text())["load_from"]]
    assert {server["location_name"] for server in listed} == {"platform", "streaming"}
    for server in listed:
        assert str(server["port"]) in COMPOSE["services"][server["host"]]["command"]


def test_dagster_in_containers_has_the_settings_it_has_here(tmp_path: Path) -> None:
    """But for where its books are: a limit changed in one file and not in the other would be found in production."""
    contained = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
    assert contained.pop("storage") == {"postgres": {"postgres_url": {"env": "DAGSTER_POSTGRES_URL"}}}
    assert contained == yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text())


def test_dagster_accepts_postgres_as_its_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package("dagster_postgres")
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql://dagster:secret@localhost/dagster")
    shutil.copyfile(DEPLOY / "dagster.yaml", tmp_path / "dagster.yaml")
    config, _ = dagster_instance_config(str(tmp_path))
    assert config["storage"] == {"postgres": {"postgres_url": {"env": "DAGSTER_POSTGRES_URL"}}}


def test_dagster_s_books_are_opened_with_the_driver_its_sql_is_written_for(tmp_path: Path) -> None:
    """A URL without a driver means psycopg 3 to SQLAlchemy 2.1, which refuses the NOTIFY after each event of a run."""
    told = assignments(prepared(tmp_path) / "secrets.env")
    (chart,) = documents(DEPLOY / "helm" / "values.yaml")
    urls = [told["DAGSTER_POSTGRES_URL"], f"{chart['postgresql']['postgresqlScheme']}://user@host/dagster"]
    assert [make_url(url).get_driver_name() for url in urls] == ["psycopg2"] * 2
    assert make_url(urls[0]).host in COMPOSE["services"]
    assert told["CRP_MLFLOW_TRACKING_URL"] == told["MLFLOW_BACKEND_STORE_URI"], "the server would show another record"
    assert make_url(told["CRP_MLFLOW_TRACKING_URL"]).get_driver_name() == "psycopg"


def test_prometheus_watches_the_same_jobs_and_only_what_runs_here() -> None:
    at_home = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    here = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in here["scrape_configs"]}
    assert jobs.keys() == {job["job_name"] for job in at_home["scrape_configs"]} - {"crp-stream"}
    assert here["global"] == at_home["global"]
    for job in jobs.values():
        host = job["static_configs"][0]["targets"][0].split(":")[0]
        assert host in COMPOSE["services"] or host == "127.0.0.1"
    assert Path(jobs["crp-api"]["authorization"]["credentials_file"]).name in COMPOSE["secrets"]


# ------------------------------------------------------------------------------------------------------- ./prepare


def prepared(tmp_path: Path) -> Path:
    """A copy of the folder after `./prepare`."""
    shutil.copytree(DEPLOY, tmp_path / "deploy", dirs_exist_ok=True)
    folder = tmp_path / "deploy" / "compose"
    for left in ("platform.env", "secrets.env"):
        (folder / left).unlink(missing_ok=True)
    shutil.rmtree(folder / "secrets", ignore_errors=True)
    subprocess.run(["bash", "./prepare"], cwd=folder, check=True, capture_output=True)
    return folder


def test_prepare_makes_every_file_that_compose_reads_and_keeps_passwords_to_the_owner(tmp_path: Path) -> None:
    folder = prepared(tmp_path)
    sources = [*COMPOSE["secrets"].values(), *COMPOSE["configs"].values()]
    read = [source["file"] for source in sources] + COMPOSE["x-platform"]["env_file"]
    mounts = [mount.split(":")[0] for _, service in services() for mount in service.get("volumes", ())]
    read += [mount for mount in mounts if mount.startswith(".")]
    assert [name for name in read if not (folder / name).exists()] == []
    assert stat.S_IMODE((folder / "secrets").stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "secrets.env").stat().st_mode) == 0o600


def test_prepare_never_changes_a_password_that_is_in_use(tmp_path: Path) -> None:
    folder = prepared(tmp_path)
    kept = {file: file.read_bytes() for file in (*folder.glob("secrets/*"), folder / "secrets.env")}
    assert len(kept) == 6
    subprocess.run(["bash", "./prepare"], cwd=folder, check=True, capture_output=True)
    assert {file: file.read_bytes() for file in kept} == kept


def test_two_hosts_have_different_passwords(tmp_path: Path) -> None:
    one, other = prepared(tmp_path / "one"), prepared(tmp_path / "other")
    for name in ("postgres_password", "dagster_password", "mlflow_password", "grafana_password"):
        first, second = ((folder / "secrets" / name).read_text() for folder in (one, other))
        assert len(first) >= 24
        assert first != second
    text = (one / "secrets.env").read_text()
    assert (one / "secrets" / "dagster_password").read_text() in text


def test_what_prepare_makes_is_never_committed() -> None:
    ignored = (FOLDER / ".gitignore").read_text().split()
    assert {"/platform.env", "/secrets.env", "/secrets/"} <= set(ignored)
