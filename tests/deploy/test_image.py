"""The image as files: what goes into it, by which lock, and as whom it runs."""

from __future__ import annotations

import re
import subprocess
import tomllib
from fnmatch import fnmatch

import pytest

from credit_risk_platform.settings import PROJECT_ROOT
from tests.deploy_files import DEPLOY, parse, program

DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
PIN = re.compile(r"^([a-z0-9][\w.-]*)==(\S+)", re.MULTILINE)
IGNORE = [line for line in (PROJECT_ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]


def pins(lock: str) -> dict[str, str]:
    return dict(PIN.findall((PROJECT_ROOT / lock).read_text()))


def test_hadolint_finds_nothing() -> None:
    told = subprocess.run(
        [program("hadolint"), str(DEPLOY / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stdout


def test_the_image_runs_what_the_suite_has_tested() -> None:
    tested, shipped = pins("requirements.lock"), pins("deploy/requirements.lock")
    differing = {
        name: (version, tested[name]) for name, version in shipped.items() if tested.get(name, version) != version
    }
    assert differing == {}, "make lock"


def test_the_image_has_every_dependency_and_no_tool_of_the_developers() -> None:
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())
    shipped = set(pins("deploy/requirements.lock"))
    wanted = {name_of(line) for line in project["project"]["dependencies"]}
    assert wanted <= shipped
    assert {"dagster-postgres", "dagster-k8s", "hatchling"} <= shipped
    tools = {name_of(line) for line in project["dependency-groups"]["dev"]}
    assert tools & shipped - {"httpx"} == set()  # Dagster and MLflow bring that one


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=~ ;]", requirement, maxsplit=1)[0].lower()


def test_the_image_is_built_with_the_installer_of_the_makefile() -> None:
    (version,) = re.findall(r"^UV := uv==(\S+)$", (PROJECT_ROOT / "Makefile").read_text(), re.MULTILINE)
    assert f"uv=={version}" in DOCKERFILE
    assert "--require-hashes" in DOCKERFILE


def test_what_is_copied_exists_and_is_sent_to_the_builder() -> None:
    copied = [
        source for line in re.findall(r"^COPY (?!--)(.+)$", DOCKERFILE, re.MULTILINE) for source in line.split()[:-1]
    ]
    assert len(copied) >= 8
    assert [source for source in copied if not (PROJECT_ROOT / source).exists()] == []
    assert [source for source in copied if not sent(source)] == []


@pytest.mark.parametrize(
    "path", [".env", ".git/config", "data/.secrets/api_keys.json", "deploy/compose/secrets.env",
             "deploy/compose/secrets/postgres_password", "tests/conftest.py", ".venv/bin/python"],
)  # fmt: skip
def test_secrets_data_and_history_never_reach_the_builder(path: str) -> None:
    assert not sent(path)


def sent(path: str) -> bool:
    """As `.dockerignore` is read: the last line that names a file or a folder above it decides."""
    answer = True
    for line in IGNORE:
        pattern = line.removeprefix("!").removeprefix("**/")
        parts = path.split("/")
        above = ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
        names = parts if line.removeprefix("!").startswith("**/") else above
        if any(fnmatch(name, pattern) and name.count("/") == pattern.count("/") for name in names):
            answer = line.startswith("!")
    return answer


def test_the_image_runs_as_nobody_and_starts_the_api() -> None:
    last = DOCKERFILE.rsplit("\nFROM ", 1)[1]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert "HEALTHCHECK" in last
    (command,) = re.findall(r"^CMD \[(.+)\]$", last, re.MULTILINE)
    parse([word.strip().strip('"') for word in command.split(",")])


def test_nothing_in_the_image_is_a_secret() -> None:
    named = re.findall(r"^\s*(?:ENV|ARG)?\s*([A-Z_]+)=", DOCKERFILE, re.MULTILINE)
    assert [name for name in named if re.search("PASSWORD|SECRET|TOKEN|_KEY", name)] == []
