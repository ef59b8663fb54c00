"""The floors hold, and a code server stays light: what every process that loads the graph would otherwise pay."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from credit_risk_platform.settings import PROJECT_ROOT

PACKAGE = PROJECT_ROOT / "credit_risk_platform"
HEAVY = {
    "mlflow", "xgboost", "sklearn", "lightgbm", "skops", "evidently", "matplotlib", "scipy", "optbinning",
    "snowflake", "dagster_mlflow", "dagster_snowflake", "dagster_aws", "boto3", "pyspark", "pandas",
}  # fmt: skip
READS_CLOCK = {"now", "today", "utcnow", "time", "monotonic", "perf_counter", "time_ns"}


def modules(folder: Path) -> Iterator[tuple[str, ast.Module]]:
    for file in sorted(folder.rglob("*.py")):
        yield str(file.relative_to(PROJECT_ROOT)), ast.parse(file.read_text())


def test_imports_go_down_only() -> None:
    assert lint_imports(str(PROJECT_ROOT / "pyproject.toml")) == EXIT_STATUS_SUCCESS


def test_only_the_settings_read_the_environment() -> None:
    """Telling a library to be quiet (`setdefault`) writes; a default that depends on who runs it, reads."""
    reads = re.compile(r"\benviron\b(?!\.setdefault)|\bgetenv\b")
    readers = {str(f.relative_to(PACKAGE)) for f in PACKAGE.rglob("*.py") if reads.search(f.read_text())}
    assert readers == {"settings.py"}


def test_the_domain_never_asks_what_time_it_is() -> None:
    clocks = [
        f"{name}:{node.lineno}"
        for name, module in modules(PACKAGE / "domain")
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in READS_CLOCK
        if isinstance(node.func.value, (ast.Name, ast.Attribute))
        and ast.unparse(node.func.value).split(".")[-1] in {"datetime", "date", "time", "dt", "Timestamp"}
    ]
    assert clocks == []


def test_no_random_number_is_drawn_without_a_seed() -> None:
    """Same inputs, same bytes: numpy's global generator, or one without a seed, would break that silently."""
    unseeded = [
        f"{name}:{node.lineno}"
        for name, module in modules(PACKAGE)
        for node in ast.walk(module)
        if isinstance(node, ast.Call)
        and (drawn := re.fullmatch(r"(?:np|numpy)\.random\.(\w+)", ast.unparse(node.func)))
        if drawn[1] not in {"default_rng", "SeedSequence", "Generator"} or not (node.args or node.keywords)
    ]
    assert unseeded == []


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """A fresh interpreter that loads the graph the way a code server does."""
    home = tmp_path_factory.mktemp("load")
    script = (
        "import json, sys\n"
        "from credit_risk_platform.definitions import defs\n"
        "defs().resolve_asset_graph()\n"
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "with_code = {name.split('.')[0] for name, m in sys.modules.items() if getattr(m, '__file__', None)}\n"
        "print(json.dumps({'modules': sorted(with_code), 'megabytes': int(peak.split()[1]) / 1024}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "CRP_HOME": str(home)},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_loading_the_graph_imports_no_heavy_library(loaded: dict[str, object]) -> None:
    assert HEAVY & set(loaded["modules"]) == set()  # type: ignore[call-overload]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read where Linux writes it")
def test_a_code_server_needs_less_than_300_megabytes(loaded: dict[str, object]) -> None:
    assert loaded["megabytes"] < 300  # type: ignore[operator]


def test_the_command_answers_without_loading_anything() -> None:
    """`crp --help` must feel instant: neither Dagster nor the warehouse may load for it."""
    script = "import sys; import credit_risk_platform.cli.main; print(*{m.split('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert {"dagster", "duckdb", "pyarrow", "pandas", "numpy", "pydantic"} & set(done.stdout.split()) == set()
