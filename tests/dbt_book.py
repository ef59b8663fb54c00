"""A handful of loans written out by hand, landed in the full bronze contract, and dbt run on them as a real process."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from credit_risk_platform.adapters import dbt_project, outside_tables
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.domain.contracts.column import Column
from credit_risk_platform.domain.contracts.feed_columns import MACRO_COLUMNS, REPAYMENT_COLUMNS
from credit_risk_platform.domain.contracts.loan_columns import LOAN_COLUMNS
from credit_risk_platform.settings import PROJECT_ROOT

DBT_PROJECT = PROJECT_ROOT / "dbt_project"
Row = dict[str, Any]

ORDINARY_LOAN: Row = {
    "source_system": "synthetic",
    "loan_amnt": 600,
    "term": 6,
    "int_rate": 12.0,
    "installment": 105,
    "grade": "B",
    "purpose": "car",
    "application_type": "Individual",
    "home_ownership": "RENT",
    "verification_status": "Verified",
    "employment_type": "permanent",
    "emp_length": "3 years",
    "annual_inc": 60_000,
    "dti": 18.5,
    "revol_bal": 4_000,
    "revol_util": 40.0,
    "fico_range_low": 700,
    "fico_range_high": 704,
    "earliest_cr_line": date(2005, 4, 1),
    "open_acc": 8,
    "total_acc": 20,
    "inq_last_6mths": 1,
    "loan_status": "Current",
    "_batch": "first",
    "_observed_through": date(2023, 6, 30),
}


def loan(loan_id: str, issued: date, **columns: Any) -> Row:
    """A bronze loan: unremarkable but for `columns`."""
    given = {"loan_id": loan_id, "subject_token": loan_id * 8, "issue_d": issued, "application_date": issued}
    return {**ORDINARY_LOAN, **given, **columns}


def instalments(
    loan_id: str, issued: date, paid: Sequence[date | tuple[date, date] | None], **columns: Any
) -> list[Row]:
    """Six instalments of 105, due on the tenth of each following month, as far as `paid` goes.

    Each entry is the day of the payment, the day and the day it became known, or None while it is missing.
    """
    rows = []
    for number, payment in enumerate(paid, start=1):
        due = date(issued.year + (issued.month + number - 1) // 12, (issued.month + number - 1) % 12 + 1, 10)
        day, known = payment if isinstance(payment, tuple) else (payment, payment or due + timedelta(days=1))
        left = 600 - 100 * sum(entry is not None for entry in paid[: number - 1])
        settled = {"amount_paid": 105, "principal_paid": 100, "interest_paid": 5} if day else {}
        rows.append({
            "loan_id": loan_id, "instalment_number": number, "due_date": due,
            "amount_due": 105, "principal_due": 100, "interest_due": 5,
            "paid_date": day, "amount_paid": 0, "principal_paid": 0, "interest_paid": 0, **settled,
            "opening_balance": left, "closing_balance": left - (100 if day else 0),
            "known_at": f"{known} 02:00:00", "_batch": "first", **columns,
        })  # fmt: skip
    return rows


def macro(*published: tuple[date, date, float]) -> list[Row]:
    """Values of UNRATE: period, day of publication, per cent."""
    return [
        {
            "series_id": "UNRATE",
            "observation_date": period,
            "publication_date": day,
            "vintage_date": day,
            "value": value,
        }
        for period, day, value in published
    ]


@dataclass(frozen=True)
class DbtBook:
    """A lake with landed files and the means to run dbt on it."""

    root: Path
    warehouse: DuckLakeWarehouse

    @classmethod
    def new(cls, root: Path) -> DbtBook:
        book = cls(root, DuckLakeWarehouse(root / "warehouse"))
        book.land(loans=[], repayments=[], macro=[])
        for other in ("lending_club_loans", "landing_loans"):
            book._land(other, [], LOAN_COLUMNS)
        outside_tables.ensure(book.warehouse)
        return book

    def land(self, loans: list[Row], repayments: list[Row], macro: list[Row]) -> None:
        """Replace what bronze shows by these rows."""
        self._land("synthetic_loans", loans, LOAN_COLUMNS)
        self._land("synthetic_repayments", repayments, REPAYMENT_COLUMNS)
        self._land("macro_series", macro, MACRO_COLUMNS)

    def dbt(self, *arguments: str, succeeds: bool = True) -> dict[str, str]:
        """Run dbt in a process of its own; returns the status of every node it ran, by name."""
        target = self.root / "target"
        environment = {
            **os.environ,
            "CRP_WAREHOUSE_ROOT": str(self.warehouse.root),
            "DBT_TARGET_PATH": str(target),
            "DBT_LOG_PATH": str(self.root / "logs"),
            "DBT_PROFILES_DIR": str(DBT_PROJECT),
            "DBT_PROJECT_DIR": str(DBT_PROJECT),
        }
        run = subprocess.run(
            [*dbt_project.DBT, *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert (run.returncode == 0) is succeeds, run.stdout[-6_000:] + run.stderr[-2_000:]
        results = json.loads((target / "run_results.json").read_text())["results"]
        return {_name(result["unique_id"]): result["status"] for result in results}

    def compiled(self, node: str) -> str:
        """The SQL that the last dbt process ran for `node`."""
        found = (self.root / "target" / "compiled").rglob(f"{node}.sql")
        # The rows that a unit test gives instead of a model lie under that model's name, too.
        return next(file for file in found if not file.parent.name.endswith("_unit_tests.yml")).read_text()

    def rows(self, table: str, order: str = "all") -> list[Row]:
        """Rows of a relation, in an order of their own and not of their writing."""
        return list(self.warehouse.query(f"select * from {table} order by {order}").to_pylist())

    def _land(self, name: str, rows: list[Row], columns: Sequence[Column]) -> None:
        given = {column.name: [_text(row.get(column.name)) for row in rows] for column in columns}
        typed = ", ".join(f"cast({column.name} as {column.type}) as {column.name}" for column in columns)
        with duckdb.connect() as connection:
            connection.register(
                "rows", pa.table({name: pa.array(values, pa.string()) for name, values in given.items()})
            )
            table = connection.execute(f"select {typed} from rows").to_arrow_table()
        file = self.root / f"{name}.parquet"
        pq.write_table(table, file)
        self.warehouse.create_view(f"bronze.{name}", f"select * from read_parquet('{file}')")


def _name(unique_id: str) -> str:
    """`model.credit_risk.<name>`, `test.credit_risk.<name>.<hash>`, `unit_test.credit_risk.<model>.<name>`."""
    parts = unique_id.split(".")
    return parts[3] if parts[0] == "unit_test" else parts[2]


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
