"""Who may do what in Snowflake, as code: schemas, the tables whose owner matters, roles and their grants.

Belongs here: the matrix role x schema and the statements it means, each of which may be run again and again. Whoever
runs them (`crp snowflake init`, or a person with grants.sql) needs SYSADMIN and SECURITYADMIN, the platform never does.

The ledger is append-only for the role that writes it: its tables belong to whoever ran this, and the scorer may insert
and select, nothing else. Whoever makes a table owns it in Snowflake, so they are made here and not at the first score.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from credit_risk_platform.adapters.ledger import LEDGER, LEDGER_COLUMNS, SEAL_COLUMNS, SEALS
from credit_risk_platform.adapters.warehouse.duckdb import SCHEMAS
from credit_risk_platform.adapters.warehouse.snowflake_dialect import translate
from credit_risk_platform.adapters.warehouse.snowflake_state import STATE
from credit_risk_platform.adapters.warehouse.snowflake_tree import STAGING


class Level(StrEnum):
    """What a role may do in one schema; each includes the one before it."""

    READ = "read"
    MAKE = "make"  # and make tables and views of its own, which it owns
    WRITE = "write"  # and change the rows of all tables


LOADER, TRANSFORMER, SCORER = "CRP_LOADER", "CRP_TRANSFORMER", "CRP_SCORER"
ANALYST, AUDITOR, PLATFORM = "CRP_ANALYST", "CRP_AUDITOR", "CRP_PLATFORM"

MATRIX: dict[str, dict[str, Level]] = {
    LOADER: {"bronze": Level.WRITE, "monitoring": Level.WRITE, STAGING: Level.WRITE},
    TRANSFORMER: {
        "bronze": Level.READ, "silver": Level.MAKE, "gold": Level.MAKE, "monitoring": Level.WRITE, STAGING: Level.WRITE,
    },
    # Micro-batches keep the events they score, in one transaction with the scores.
    SCORER: {
        "bronze": Level.WRITE, "silver": Level.READ, "gold": Level.MAKE, "models": Level.MAKE,
        "monitoring": Level.WRITE, STAGING: Level.WRITE,
    },
    ANALYST: {"gold": Level.READ},
    AUDITOR: {"monitoring": Level.READ},
}  # fmt: skip
"""Schemas that are not named: nothing at all."""
INHERITS = {PLATFORM: (LOADER, TRANSFORMER, SCORER)}
"""For a deployment with one service user."""
LEDGER_TABLES = (LEDGER, SEALS)
LEDGER_GRANTS = {SCORER: ("select", "insert"), AUDITOR: ("select",)}
_CHANGES = ("update", "delete", "truncate")


def statements(database: str, warehouse: str) -> Iterator[str]:
    """Everything, in order, without semicolons. Running it twice equals running it once."""
    yield from schemas(database)
    yield from tables(database)
    for role in (*MATRIX, *INHERITS):
        yield f"create role if not exists {role}"
        yield f"grant usage on database {database} to role {role}"
        yield f"grant usage on warehouse {warehouse} to role {role}"
    for role, levels in MATRIX.items():
        for schema, level in levels.items():
            yield from _granted(role, f"{database}.{schema}", level)
    yield from _ledger(database)
    for role, inherited in INHERITS.items():
        yield from (f"grant role {one} to role {role}" for one in inherited)


def schemas(database: str) -> Iterator[str]:
    yield f"create database if not exists {database}"
    yield from (f"create schema if not exists {database}.{schema}" for schema in SCHEMAS)
    yield f"create transient schema if not exists {database}.{STAGING}"


def tables(database: str) -> Iterator[str]:
    """The writers' row, and the ledger."""
    yield f"create table if not exists {database}.{STATE} as select 0::number(38, 0) as VERSION"
    for table, columns in ((LEDGER, LEDGER_COLUMNS), (SEALS, SEAL_COLUMNS)):
        listed = ", ".join(f'{kind_of(kind)} as "{name.upper()}"' for name, kind in columns.items())
        yield f"create table if not exists {database}.{table} as select {listed} where false"


def kind_of(kind: str) -> str:
    """A typed null, said by the translation that all other statements go through."""
    text, _ = translate(f"select null::{kind}")
    return text.removeprefix("SELECT ")


def _granted(role: str, schema: str, level: Level) -> Iterator[str]:
    yield f"grant usage on schema {schema} to role {role}"
    rows = "select, insert, update, delete, truncate" if level is Level.WRITE else "select"
    for which in ("all", "future"):
        yield f"grant {rows} on {which} tables in schema {schema} to role {role}"
        yield f"grant select on {which} views in schema {schema} to role {role}"
    if level is not Level.READ:
        yield f"grant create table, create view on schema {schema} to role {role}"


def _ledger(database: str) -> Iterator[str]:
    for role, privileges in LEDGER_GRANTS.items():
        yield f"grant usage on schema {database}.gold to role {role}"
        for table in LEDGER_TABLES:
            yield f"grant {', '.join(privileges)} on table {database}.{table} to role {role}"
    for role in MATRIX:
        for table in LEDGER_TABLES:
            yield f"revoke {', '.join(_CHANGES)} on table {database}.{table} from role {role}"


def script(database: str, warehouse: str) -> str:
    """All of it as a file for a person to read and run."""
    head = "-- Made by `crp snowflake grants`; change adapters/warehouse/snowflake_grants.py, not this file.\n"
    return head + "".join(f"{one};\n" for one in statements(database, warehouse))
