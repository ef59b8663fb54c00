"""The same models build on DuckDB and on Snowflake: what differs lives in dispatched macros and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.dbt_book import DBT_PROJECT

NOT_SNOWFLAKE = (
    r"\bif\(", r"\bquantile_cont\(", r"\bstring_agg\(", r"\bgenerate_series\(", r"\bdistinct on\b", r"\bstarts_with\(",
    r"\bfilter \(where", r"\bsha256\(", r"\bregexp_matches\(", r"\bunnest\(", r"\btry_strptime\(", r"\bstrptime\(",
    r"\blist_\w+\(", r"\bstruct_pack\(", r"\bto_months\(", r"^\s*window\s+\w+ as \(", r"\basof\b", r"\banti join\b",
    r"\bexclude \(", r"::", r"\bread_parquet\(",
)  # fmt: skip
"""DuckDB words that fakesnow lets through and Snowflake does not know."""

SQL_FILES = sorted(path for folder in ("models", "macros", "tests") for path in (DBT_PROJECT / folder).rglob("*.sql"))


def portable_part(path: Path) -> str:
    """The file without comments and without the sides of a dispatch, which are one engine's own."""
    text = re.sub(r"\{#.*?#\}|--[^\n]*", "", path.read_text(), flags=re.DOTALL)
    return re.sub(r"\{% macro (?:default|snowflake)__.*?endmacro %\}", "", text, flags=re.DOTALL)


@pytest.mark.parametrize("path", SQL_FILES, ids=lambda path: path.name)
def test_sql_outside_dispatched_macros_is_both_engines_sql(path: Path) -> None:
    found = [word for word in NOT_SNOWFLAKE if re.search(word, portable_part(path), re.IGNORECASE | re.MULTILINE)]
    assert found == []


def test_every_dispatched_macro_has_a_side_for_snowflake() -> None:
    text = "".join(path.read_text() for path in (DBT_PROJECT / "macros").rglob("*.sql"))
    default, snowflake = (set(re.findall(rf"macro {engine}__(\w+)", text)) for engine in ("default", "snowflake"))
    assert default == snowflake
    assert {"asof_left_join", "matches", "month_spine", "months_after"} <= default


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
