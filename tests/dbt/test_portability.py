"""The same models build on DuckDB and on Snowflake: what differs lives in dispatched macros and nowhere else."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from credit_risk_platform.adapters import dbt_project
from tests.dbt_book import DBT_PROJECT
from tests.snowflake_sql import faults, forms

SQL_FILES = sorted(path for folder in ("models", "macros", "tests") for path in (DBT_PROJECT / folder).rglob("*.sql"))


def portable_part(path: Path) -> str:
    """The file without comments, without Jinja and without the sides of a dispatch, which are one engine's own."""
    text = re.sub(r"\{#.*?#\}|--[^\n]*", "", path.read_text(), flags=re.DOTALL)
    text = re.sub(r"\{% macro (?:default|duckdb|snowflake)__.*?endmacro %\}", "", text, flags=re.DOTALL)
    return re.sub(r"\{%.*?%\}|\{\{.*?\}\}", "", text, flags=re.DOTALL)


@pytest.mark.parametrize("path", SQL_FILES, ids=lambda path: path.name)
def test_sql_outside_dispatched_macros_is_both_engines_sql(path: Path) -> None:
    assert forms(portable_part(path)) == []


@pytest.mark.slow
def test_sql_compiled_for_snowflake_keeps_its_grammar_and_knows_none_of_duckdbs_words(tmp_path: Path) -> None:
    # Whether the incremental panel is there is a question to the account: tests/cloud/test_dbt_build.py reads its SQL.
    names = ("ACCOUNT", "USER", "PASSWORD")
    places = (
        "--project-dir",
        DBT_PROJECT,
        "--profiles-dir",
        DBT_PROJECT,
        "--target-path",
        tmp_path,
        "--log-path",
        tmp_path,
    )
    offline = ("--no-populate-cache", "--no-introspect", "--exclude", "int_loan_month_panel", "resource_type:unit_test")
    subprocess.run(
        [*dbt_project.DBT, "--quiet", "compile", "--target", "snowflake", *offline, *map(str, places)],
        env={**os.environ, **{f"CRP_SNOWFLAKE_{name}": "none" for name in names}, "PYTHONWARNINGS": "ignore"},
        check=True,
    )
    compiled = sorted((tmp_path / "compiled").rglob("*.sql"))
    assert len(compiled) > 100
    assert {file.name: found for file in compiled if (found := faults(file.read_text()))} == {}


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("select if(a, 1, 2) from t", r"\bif\("),
        ("select n from range(3) as t (n)", r"\brange\("),
        ("select a from t order by a desc", r"\bdesc\b(?!\s+nulls last)"),
        ("select a / b from t", "quotient of whole numbers: a / b"),
        ("with c as (select cast(a as double) as a, b from t) select a / b as q from c", None),
        ("select a as start from t", "reserved word start"),
        ("select quantile_disc(a, 0.5) from t", "unknown function QUANTILE_DISC"),
        ("select sum(a) over (order by b rows unbounded preceding) from t", r"\brows unbounded\b"),
        ("select ', range(' as text from t", None),
    ],
)
def test_the_reader_of_compiled_sql_sees_what_fakesnow_lets_through(sql: str, found: str | None) -> None:
    assert found in faults(sql) if found else faults(sql) == []


def test_every_dispatched_macro_has_a_side_for_snowflake() -> None:
    text = "".join(path.read_text() for path in (DBT_PROJECT / "macros").rglob("*.sql"))
    default, snowflake = (set(re.findall(rf"macro {engine}__(\w+)", text)) for engine in ("default", "snowflake"))
    assert default == snowflake
    assert {"asof_left_join", "matches", "month_spine", "months_after"} <= default


def test_the_page_on_snowflake_lists_every_macro_that_differs() -> None:
    page = (DBT_PROJECT.parent / "docs" / "snowflake.md").read_text()
    listed = re.findall(
        r"^\| `(\w+)` \|", page.split("## SQL that differs by engine")[1].split("\n## ")[0], re.MULTILINE
    )
    text = "".join(path.read_text() for path in (DBT_PROJECT / "macros").rglob("*.sql"))
    assert sorted(listed) == sorted(set(re.findall(r"macro snowflake__(\w+)", text)))


def test_every_model_folder_has_a_group_in_the_graph() -> None:
    project = yaml.safe_load((DBT_PROJECT / "dbt_project.yml").read_text())
    folders = {path.parent.relative_to(DBT_PROJECT / "models") for path in (DBT_PROJECT / "models").rglob("*.sql")}
    for folder in folders:
        settings = project["models"]["credit_risk"]
        group = None
        for part in folder.parts:
            settings = settings.get(part, {})
            group = settings.get("+meta", {}).get("dagster", {}).get("group", group)
        assert group, folder
