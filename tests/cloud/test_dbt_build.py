"""The same book built by dbt on Snowflake's stand-in and on DuckLake: every table of silver and gold says the same.

What it cannot show stands in docs/snowflake.md: fakesnow runs DuckDB underneath, so tests/dbt/test_portability.py reads
the SQL that dbt compiled, too.
"""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from credit_risk_platform.adapters import outside_tables
from credit_risk_platform.adapters.dbt_project import DBT, DBT_PROJECT, DbtWorkspace
from credit_risk_platform.adapters.warehouse.snowflake import SnowflakeWarehouse
from credit_risk_platform.settings import Settings
from tests.cloud.snowflake_server import PASSWORD, Fakesnow
from tests.dbt_book import DbtBook
from tests.risk_book import unbuilt_book
from tests.snowflake_sql import faults

WRITTEN_BEFORE = (
    "bronze.synthetic_loans", "bronze.synthetic_repayments", "bronze.macro_series", "bronze.lending_club_loans",
    "bronze.landing_loans", "bronze.raw_applications",
)  # fmt: skip
WRITTEN_OUTSIDE = tuple(outside_tables.TABLES)
FIRST = ("--exclude", "resource_type:unit_test", "tag:after_scoring")
SECOND = ("--select", "tag:after_scoring", "--exclude", "resource_type:unit_test")


@dataclass(frozen=True)
class CloudBook:
    """One book on both engines."""

    local: DbtBook
    snowflake: SnowflakeWarehouse
    settings: Settings

    def build(self, *selection: str) -> dict[str, str]:
        """dbt as the graph starts it on Snowflake; the status of each node, by its unique id."""
        home = self.settings.paths.dbt
        home.mkdir(parents=True, exist_ok=True)
        workspace = DbtWorkspace(home, self.settings.paths.warehouse, self.settings.environment())
        folder = workspace.run_folder("test")
        places = {"DBT_TARGET_PATH": str(folder), "DBT_LOG_PATH": str(folder), "DBT_PROFILES_DIR": str(DBT_PROJECT)}
        run = subprocess.run(
            [*DBT, "build", "--no-use-colors", *selection],
            env={**workspace.process_environment(), **places},
            capture_output=True,
            text=True,
            timeout=1_200,
            check=False,
        )
        workspace.keep_parsed(folder)
        assert run.returncode == 0, run.stdout[-6_000:] + run.stderr[-2_000:]
        assert PASSWORD not in run.stdout + run.stderr + (folder / "dbt.log").read_text()
        compiled = (file for file in (folder / "compiled").rglob("*.sql") if not file.parent.name.endswith(".yml"))
        assert {file.name: found for file in compiled if (found := faults(file.read_text()))} == {}
        results = json.loads((folder / "run_results.json").read_text())["results"]
        return {result["unique_id"]: result["status"] for result in results}


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def book(fakesnow: Fakesnow, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudBook]:
    """Built in both steps on both engines."""
    home = tmp_path_factory.mktemp("cloud")
    local = unbuilt_book(home)
    settings = fakesnow.settings(home)
    snowflake = fakesnow.warehouse(settings)
    made = CloudBook(local, snowflake, settings)
    for table in WRITTEN_BEFORE:
        snowflake.replace_table(table, local.warehouse.query(f"select * from {table}"))
    outside_tables.ensure(snowflake)
    for table in WRITTEN_OUTSIDE:
        snowflake.replace(table, local.warehouse.query(f"select * from {table}"), "true")
    local.dbt("build", *FIRST)
    local.dbt("build", *SECOND)
    statuses = made.build(*FIRST) | made.build(*SECOND)
    assert set(statuses.values()) <= {"success", "pass"}
    yield made
    snowflake.close()


def relations(book: CloudBook) -> list[str]:
    """Every model and seed."""
    manifest = json.loads((book.local.root / "target" / "manifest.json").read_text())
    built = (node for node in manifest["nodes"].values() if node["resource_type"] in ("model", "seed"))
    return sorted(f"{node['schema']}.{node['name']}" for node in built)


def rows(warehouse: Any, table: str) -> list[tuple[Any, ...]]:
    found = [tuple(row.values()) for row in warehouse.query(f"select * from {table}").to_pylist()]
    return sorted((tuple(map(plain, row)) for row in found), key=repr)


def plain(value: Any) -> Any:
    """Numbers of either engine alike: to twelve figures for the order, compared to 1e-9 below."""
    if isinstance(value, bool) or value is None:
        return value
    return float(f"{float(value):.12g}") if isinstance(value, int | float) or hasattr(value, "as_tuple") else value


def close(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return one == other


def test_every_model_and_seed_says_the_same_on_both_engines(book: CloudBook) -> None:
    differing = {}
    for table in relations(book):
        ours, theirs = rows(book.local.warehouse, table), rows(book.snowflake, table)
        same = len(ours) == len(theirs) and all(
            len(one) == len(other) and all(map(close, one, other)) for one, other in zip(ours, theirs, strict=True)
        )
        if not same:
            unequal = [(one, other) for one, other in zip(ours, theirs, strict=False) if one != other]
            differing[table] = (len(ours), len(theirs), unequal[:1])
    assert differing == {}
    assert book.snowflake.count("gold.portfolio_loans") == 15


def test_columns_have_the_same_names_in_the_same_order(book: CloudBook) -> None:
    for table in relations(book):
        assert list(book.snowflake.columns(table)) == list(book.local.warehouse.columns(table)), table


def test_a_second_build_changes_nothing(book: CloudBook) -> None:
    before = rows(book.snowflake, "silver.int_loan_month_panel")
    book.build("--select", "int_loan_month_panel", "early_warning_rules", "--exclude", "resource_type:unit_test")
    assert rows(book.snowflake, "silver.int_loan_month_panel") == before
