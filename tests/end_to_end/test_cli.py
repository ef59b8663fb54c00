"""`crp` from the outside: what a person or a program gets before, beside and after the happy path."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CommandRun = Callable[..., subprocess.CompletedProcess[str]]
COMMANDS = ("demo", "dev", "doctor", "status", "validate", "train", "score", "replay", "dashboard")


@pytest.fixture
def crp(tmp_path: Path) -> CommandRun:
    """Runs `crp <arguments>` in a place of its own, on a home that does not exist yet."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(Path(sys.executable).parent / "crp"), *arguments],
            env={**os.environ, "CRP_HOME": str(tmp_path / "home"), "COLUMNS": "160", "NO_COLOR": "1", **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run


def test_help_lists_every_command_within_a_second(crp: CommandRun) -> None:
    before = seconds_of_children()
    shown = crp("--help")
    assert seconds_of_children() - before < 1.0
    assert shown.returncode == 0
    assert [command for command in COMMANDS if f" {command} " not in shown.stdout] == []


def seconds_of_children() -> float:
    """Of processor time: what a command takes where it is alone, however busy this machine is."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_status_answers_before_anything_ran(crp: CommandRun, tmp_path: Path) -> None:
    answer = crp("status", "--json")
    assert answer.returncode == 0, answer.stderr
    status = json.loads(answer.stdout)
    assert status["assets"] == {}
    assert status["champion"] is None
    assert {name: server["up"] for name, server in status["servers"].items()} == {
        "dagster": False,
        "mlflow": False,
        "api": False,
        "reports": False,
        "dashboard": False,
    }
    assert not (tmp_path / "home").exists(), "looking must not leave anything behind"


def test_status_for_people_says_how_to_begin(crp: CommandRun) -> None:
    assert "crp demo --once" in crp("status").stdout


def test_doctor_finds_every_needed_part_of_this_installation(crp: CommandRun) -> None:
    examined = crp("doctor")
    assert examined.returncode == 0, examined.stdout
    for part in ("Python 3.11", "Python packages", "DuckDB extensions", "dbt", "disk space", "Java 17", "Snowflake"):
        assert part in examined.stdout
    assert "All needed parts are here." in examined.stdout


def test_doctor_fails_when_the_home_cannot_be_written(crp: CommandRun, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    examined = crp("doctor", "--home", str(tmp_path / "file" / "home"))
    assert examined.returncode == 1
    assert "missing" in examined.stdout
    assert "1 needed part(s) missing." in examined.stdout


def test_doctor_asks_for_snowflake_s_credentials_only_where_it_is_the_target(crp: CommandRun) -> None:
    assert crp("doctor").returncode == 0
    examined = crp("doctor", CRP_TARGET="snowflake")
    assert examined.returncode == 1
    assert "SNOWFLAKE_ACCOUNT" in examined.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("demo", "--once", "--source", "lendingclub"), "--path"),
        (("demo", "--once", "--source", "lendingclub", "--path", "nowhere.csv.gz"), "nowhere.csv.gz is not a file"),
        (("demo", "--once", "--path", __file__), "the synthetic book has no file"),
        (("replay",), "give one SCORE_ID, or --sample N"),
        (("replay", "0" * 32), "crp demo"),
    ],
)
def test_a_command_that_cannot_work_says_what_to_do(crp: CommandRun, arguments: tuple[str, ...], message: str) -> None:
    refused = crp(*arguments)
    assert refused.returncode == 1
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_wrong_setting_is_one_sentence_and_no_traceback(crp: CommandRun) -> None:
    refused = crp("status", CRP_DAGSTER_PORT="three thousand")
    assert refused.returncode == 1
    assert "dagster_port" in refused.stderr
    assert "'three thousand'" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_unknown_source_is_refused_with_the_known_ones(crp: CommandRun) -> None:
    refused = crp("demo", "--once", "--source", "prosper")
    assert refused.returncode == 2
    assert "lendingclub" in refused.stderr
