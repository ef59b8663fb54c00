"""The deployment's files as the tests of `tests/deploy` read them: settings they name, commands they start."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import AliasChoices, SecretStr

from credit_risk_platform.settings import PROJECT_ROOT, Settings

DEPLOY = PROJECT_ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
OURS = "credit-risk-platform:"
"""Begins the image of each process of the platform."""
OUTSIDE = {
    "DAGSTER_HOME": "Dagster's: where its dagster.yaml is",
    "DAGSTER_POSTGRES_URL": "named in deploy/dagster.yaml",
    "DAGSTER_GRPC_SHUTDOWN_GRACE_PERIOD": "Dagster's code servers",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "MLflow's server",
    "MLFLOW_BACKEND_STORE_URI": "MLflow's server",
    "OMP_WAIT_POLICY": "OpenMP's threads",
}
"""What our containers are told beside `Settings`, and who reads it."""


def missing(tool: str, get: str) -> None:
    """Skips the test; in CI, fails it."""
    reason = f"{tool} is missing: {get}"
    pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)


def program(name: str, get: str = "make lock && make test") -> str:
    """Path of a program, of our environment or of the machine."""
    folders = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    found = shutil.which(name, path=folders)
    if found is None:
        missing(name, get)
    return str(found)


def package(name: str) -> None:
    if importlib.util.find_spec(name) is None:
        missing(name, "it is in the dev or deploy group of pyproject.toml")


def documents(file: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(file.read_text()) if document]


# ------------------------------------------------------------------------------------------------------- settings


@cache
def setting_names() -> dict[str, str]:
    """Each name that the environment may use -> field of `Settings`."""
    names: dict[str, str] = {}
    for field, info in Settings.model_fields.items():
        alias = info.validation_alias
        given = alias.choices if isinstance(alias, AliasChoices) else [f"CRP_{field}"]
        names |= {str(name).upper(): field for name in given}
    return names


def secret_names() -> set[str]:
    fields = Settings.model_fields
    return {name for name, field in setting_names().items() if SecretStr in _kinds(fields[field].annotation)}


def _kinds(annotation: Any) -> tuple[Any, ...]:
    return (annotation, *getattr(annotation, "__args__", ()))


def unknown(names: Sequence[str]) -> list[str]:
    """Names that neither `Settings` nor anything else of ours reads: a typo there would be silent."""
    return sorted(name for name in names if name not in setting_names() and name not in OUTSIDE)


def named_in(text: str) -> set[str]:
    """Every name in a text that looks like a setting of ours."""
    return set(re.findall(r"\b(?:CRP|SNOWFLAKE|KAFKA)_[A-Z0-9_]*[A-Z0-9]\b", text))


def assignments(file: Path) -> dict[str, str]:
    """A `.env` file, without its comments."""
    lines = (line.strip() for line in file.read_text().splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


# ------------------------------------------------------------------------------------------------------- commands


def parse(command: Sequence[str]) -> None:
    """Let the program's own parser read the command, without running it. Raises what the parser raises."""
    name, *arguments = command
    if name == "python":
        _parse_python(arguments)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what these libraries say about themselves at import is not the question
        _parse(_parser(name), name, arguments)


def _parse_python(arguments: list[str]) -> None:
    assert arguments[0] == "-m", f"python {arguments} starts no module"
    module, rest = arguments[1], arguments[2:]
    assert importlib.util.find_spec(module), f"there is no module {module}"
    if module.endswith("cli.code_server"):
        parse(["dagster", "api", "grpc", "-m", "credit_risk_platform.definitions_streaming", *rest])


def _parser(name: str) -> Any:
    if name == "crp":
        import typer.main

        from credit_risk_platform.cli.main import app

        return typer.main.get_command(app)
    if name == "dagster":
        from dagster._cli import create_dagster_cli

        return create_dagster_cli()
    if name == "dagster-daemon":
        from dagster._daemon.cli import create_dagster_daemon_cli

        return create_dagster_daemon_cli()
    if name == "dagster-webserver":
        from dagster_webserver.cli import dagster_webserver

        return dagster_webserver
    if name == "mlflow":
        from mlflow.cli import cli

        return cli
    raise AssertionError(f"{name} is no program of the image that these tests know")


def _parse(parser: Any, name: str, arguments: list[str], parent: Any = None) -> None:
    context = parser.make_context(name, list(arguments), parent=parent)
    if hasattr(parser, "resolve_command"):
        rest = [*context._protected_args, *context.args]
        name, command, rest = parser.resolve_command(context, rest)
        _parse(command, name, rest, context)


# ------------------------------------------------------------------------------------------------------- compose


def services(ours: bool | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, service in COMPOSE["services"].items():
        if ours is None or (OURS in service["image"]) == ours:
            yield name, service
