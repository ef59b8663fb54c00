"""Least privilege as code: what each role may do, and that it can be set up again and again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from credit_risk_platform.adapters.ledger import LEDGER, SEAL_COLUMNS, SEALS
from credit_risk_platform.adapters.ledger_writer import _seal_table
from credit_risk_platform.adapters.warehouse.snowflake_grants import LEDGER_TABLES, MATRIX, script, statements
from credit_risk_platform.cli.home import CommandError
from credit_risk_platform.cli.snowflake import run_init
from credit_risk_platform.settings import PROJECT_ROOT, Settings, Target
from tests.cloud.snowflake_server import Fakesnow

ALL = list(statements("CREDIT_RISK_DB", "COMPUTE_WH"))
SCHEMAS = ("bronze", "silver", "gold", "models", "monitoring", "scratch")
# A role may make tables (m), read (r), change rows (w) in a schema.
EXPECTED = {
    "CRP_LOADER": {"bronze": "mrw", "monitoring": "mrw", "scratch": "mrw"},
    "CRP_TRANSFORMER": {"bronze": "r", "silver": "mr", "gold": "mr", "monitoring": "mrw", "scratch": "mrw"},
    "CRP_SCORER": {
        "bronze": "mrw", "silver": "r", "gold": "mr", "models": "mr", "monitoring": "mrw", "scratch": "mrw",
    },
    "CRP_ANALYST": {"gold": "r"},
    "CRP_AUDITOR": {"monitoring": "r"},
}  # fmt: skip


def may(role: str, schema: str) -> str:
    """What the statements themselves say."""
    place = f"schema CREDIT_RISK_DB.{schema} to role {role}"
    on_rows = [one.split(" on ")[0] for one in ALL if re.search(rf"on (all|future) tables in {place}$", one)]
    makes = any(one == f"grant create table, create view on {place}" for one in ALL)
    reads, writes = (any(word in one for one in on_rows) for word in ("select", "delete"))
    return "m" * makes + "r" * reads + "w" * writes


@pytest.mark.parametrize("role", MATRIX)
@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_role_may_do_in_a_schema_what_it_needs_and_no_more(role: str, schema: str) -> None:
    assert may(role, schema) == EXPECTED[role].get(schema, "")


def test_the_role_that_writes_the_ledger_can_neither_change_nor_delete_a_row() -> None:
    for table in LEDGER_TABLES:
        granted = [one for one in ALL if f"on table CREDIT_RISK_DB.{table} to role" in one]
        assert granted == [
            f"grant select, insert on table CREDIT_RISK_DB.{table} to role CRP_SCORER",
            f"grant select on table CREDIT_RISK_DB.{table} to role CRP_AUDITOR",
        ]
    assert not [one for one in ALL if re.search(r"(update|delete|truncate).* tables in schema \S+\.gold ", one)]
    assert not [one for one in ALL if " ownership " in one or "all privileges" in one]


@pytest.mark.parametrize("statement", ALL)
def test_each_statement_is_snowflake_s_sql(statement: str) -> None:
    parsed = sqlglot.parse_one(statement, read="snowflake")
    assert isinstance(parsed, exp.Create | exp.Grant | exp.Revoke | exp.Command)


def test_the_file_for_administrators_is_what_the_code_says() -> None:
    assert (PROJECT_ROOT / "deploy/snowflake/grants.sql").read_text() == script("CREDIT_RISK_DB", "COMPUTE_WH")


def test_the_account_is_made_ready_twice_and_its_ledger_has_the_columns_that_are_written(
    fakesnow: Fakesnow, tmp_path: Path
) -> None:
    settings = fakesnow.settings(tmp_path)
    assert run_init(settings, roles=True) == run_init(settings, roles=True) == len(ALL)
    warehouse = fakesnow.warehouse(settings)
    assert list(warehouse.columns(SEALS)) == list(SEAL_COLUMNS) == _seal_table(None).schema.names
    assert warehouse.count(LEDGER) == 0
    assert warehouse.snapshot() == "0"
    warehouse.close()


def test_init_without_credentials_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="SNOWFLAKE_ACCOUNT"):
        run_init(Settings(home=tmp_path, target=Target.SNOWFLAKE), roles=False)
