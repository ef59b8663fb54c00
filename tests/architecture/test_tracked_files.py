"""What git tracks is fit for a stranger: no merge leftovers, no machine's paths, no addresses in locks."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from dagster import DagsterInstance

from credit_risk_platform.settings import PROJECT_ROOT

CONFLICT = re.compile(r"^(<{7} |>{7} |={7}$|\|{7} )", re.MULTILINE)
MACHINE_PATH = re.compile(r"(?<![\w./-])/(home|root|Users|work|farm)/[\w-]")
ADDRESS = re.compile(r"https?://|--(extra-)?index-url|--find-links")
MEGABYTE = 1_000_000


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout: there is no list of tracked files")
    return [PROJECT_ROOT / name for name in listed.stdout.split("\0") if name]


def texts() -> Iterator[tuple[str, str]]:
    this = Path(__file__).name
    for file in tracked():
        if file.suffix in {".py", ".sql", ".yml", ".yaml", ".toml", ".md", ".txt", ".lock", ""} and file.name != this:
            yield str(file.relative_to(PROJECT_ROOT)), file.read_text(encoding="utf-8")


def test_no_merge_was_left_half_done() -> None:
    assert [name for name, text in texts() if CONFLICT.search(text)] == []


def test_no_path_of_one_machine_is_written_down() -> None:
    assert [f"{name}: {hit[0]}" for name, text in texts() if (hit := MACHINE_PATH.search(text))] == []


def test_the_lock_names_versions_and_hashes_but_no_address() -> None:
    locks = [file for file in tracked() if file.suffix == ".lock" or "requirements" in file.name]
    assert locks
    assert [file.name for file in locks if ADDRESS.search(file.read_text())] == []


def test_every_locked_package_has_a_hash() -> None:
    lock = (PROJECT_ROOT / "requirements.lock").read_text()
    pinned = re.findall(r"^([a-z0-9][\w.-]*)==\S+ (.*)$", lock, re.MULTILINE)
    assert len(pinned) > 100
    assert [name for name, rest in pinned if not rest.rstrip().endswith("\\")] == []


def test_no_data_set_or_model_was_committed() -> None:
    """Big files belong to a home; pictures of the documentation are the exception."""
    big = [f for f in tracked() if f.is_file() and f.stat().st_size > MEGABYTE and f.suffix != ".png"]
    assert big == []


def test_dagster_accepts_our_instance_settings(tmp_path: Path) -> None:
    """A wrong key in `dagster.yaml` would stop every command, and only at the user's."""
    (tmp_path / "dagster.yaml").write_bytes((PROJECT_ROOT / "dagster.yaml").read_bytes())
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.telemetry_enabled is False
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 1
        assert instance.run_monitoring_enabled


def test_the_workspace_names_the_platform_location() -> None:
    workspace = yaml.safe_load((PROJECT_ROOT / "workspace.yaml").read_text())
    locations = {entry["python_module"]["location_name"]: entry["python_module"] for entry in workspace["load_from"]}
    assert locations["platform"]["module_name"] == "credit_risk_platform.definitions"
