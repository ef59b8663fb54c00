"""The databases of a bank, as its own systems would keep them, and the platform's pull from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from credit_risk_platform.adapters.sources.sql_database_pull import REJECTED, PullReport, pull
from credit_risk_platform.adapters.sources.sql_database_url import address
from credit_risk_platform.adapters.tokens import TokenKey
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.domain.contracts.bank_columns import BANK_TABLES, CRM_CUSTOMERS, BankTable
from tests.postgres_server import Postgres

KEY = TokenKey(b"a key of the tests, long enough")
SCHEMAS = {
    "crm": """
        create table customers (
            customer_id text primary key, full_name text, national_id text, email text, phone text, address text,
            birth_date date, customer_since date, segment text, kyc_status text, kyc_reviewed_on date, state text,
            updated_at timestamptz
        )
    """,
    "core_banking": """
        create table accounts (
            account_id bigint primary key, customer_id text, iban text, product text, currency text, status text,
            opened_on date, closed_on date, balance numeric, credit_limit numeric, overdraft_limit numeric,
            days_past_due int, updated_at timestamptz
        )
    """,
    "bureau": """
        create table bureau_pulls (
            pull_id uuid primary key, customer_id text, bureau text, pulled_on date, score int, open_accounts int,
            inquiries_6m int, delinquencies_2y int, utilisation float8, report text, updated_at timestamptz
        )
    """,
}
_CUSTOMERS = """
    insert into customers
    select 'C' || i, 'Ada Name' || i, '900-00-' || i, i || '@example.org', '+1555' || i, i || ' Some Street',
        date '1980-06-15', date '2020-01-01', 'retail', 'verified', date '2021-01-01', 'CA', {updated}
    from generate_series({first}, {last}) as i
"""


@dataclass
class Bank:
    """One system of the bank, and the lake that follows it."""

    database: Postgres
    warehouse: DuckLakeWarehouse
    table: BankTable = CRM_CUSTOMERS
    runs: int = 0

    @classmethod
    def opened(cls, server: Postgres, home: Path, name: str, system: str = "crm") -> Bank:
        database = server.another(name)
        database.sql(SCHEMAS[system])
        return cls(database, DuckLakeWarehouse(home / "warehouse", threads=1), table_of(system))

    def customers(self, first: int, last: int, updated: str = "timestamptz '2026-03-01 12:00:00+00'") -> None:
        """Customers C<first> to C<last>; `updated` is SQL and may name `i`."""
        self.database.sql(_CUSTOMERS.format(first=first, last=last, updated=updated))

    def pull(
        self,
        *,
        reload: bool = False,
        batch_rows: int = 50_000,
        told: Callable[[PullReport], None] | None = None,
        key: TokenKey = KEY,
    ) -> PullReport:
        self.runs += 1
        source = address(self.table.system, self.table.variable, self.database.url)
        return pull(
            source, self.table, self.warehouse, key,
            run_id=f"run-{self.runs}", reload=reload, batch_rows=batch_rows, told=told,
        )  # fmt: skip

    def landed(self, order: str = "all") -> list[dict[str, Any]]:
        return list(self.warehouse.query(f"select * from {self.table.landed_as} order by {order}").to_pylist())

    def tokens(self) -> list[str]:
        return sorted(row["subject_token"] for row in self.landed())

    def rejects(self) -> list[tuple[str, str]]:
        """(column, reason) of what is refused now."""
        found = self.warehouse.query(f"select column_name, reason from {REJECTED} order by all").to_pylist()
        return [(row["column_name"], row["reason"]) for row in found]


def table_of(system: str) -> BankTable:
    return next(table for table in BANK_TABLES if table.system == system)


def tokens(first: int, last: int, key: TokenKey = KEY) -> list[str]:
    """What customers C<first> to C<last> are called in bronze."""
    return sorted(key.token(f"C{number}") for number in range(first, last + 1))


BORN, JOINED = date(1980, 6, 15), date(2020, 1, 1)
