"""Small loan files, written by hand or bent on purpose, and a lake to land them in."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from credit_risk_platform.adapters.landing import BronzeLake, Manifest
from credit_risk_platform.adapters.tokens import TokenKey
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.domain.contracts.loan_columns import REQUIRED

TODAY = date(2026, 6, 30)
KEY = TokenKey(b"a key for tests, 32 bytes long..")
COLUMNS = [column.name for column in REQUIRED]
GOOD: dict[str, str] = {
    "id": "L1", "loan_amnt": "5000", "term": " 36 months", "emp_length": "10+ years", "home_ownership": "RENT",
    "annual_inc": "24000", "verification_status": "Verified", "purpose": "credit_card", "dti": "27.65",
    "delinq_2yrs": "0", "earliest_cr_line": "Jan-1985", "inq_last_6mths": "1", "open_acc": "3", "pub_rec": "0",
    "revol_bal": "13648", "revol_util": "83.7%", "total_acc": "9", "loan_status": "Fully Paid", "issue_d": "Dec-2011",
}  # fmt: skip


def loan(number: int = 1, **cells: str) -> dict[str, str]:
    """A sound row, with an id of its own and whatever `cells` change."""
    return {**GOOD, "id": f"L{number}", **cells}


def write(path: Path, rows: Iterable[Mapping[str, str]], *, top: str = "", columns: list[str] | None = None) -> Path:
    """A CSV file; columns are the required ones and then those only the rows have."""
    rows = list(rows)
    names = columns or [*COLUMNS, *sorted({name for row in rows for name in row} - set(COLUMNS))]
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(top)
        writer = csv.DictWriter(file, names, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def text(path: Path, *lines: str, header: str | None = None) -> Path:
    """A file of raw lines under the usual header."""
    path.write_text("\n".join([header or ",".join(COLUMNS), *lines]) + "\n")
    return path


def line(number: int = 1, **cells: str) -> str:
    return ",".join(loan(number, **cells)[name] for name in COLUMNS)


@dataclass
class Lake:
    """A lake with its warehouse, and short ways to land and to look."""

    root: Path
    warehouse: DuckLakeWarehouse
    bronze: BronzeLake

    def land(self, file: Path, source: str = "landing", **options: Any) -> Manifest:
        defaults = {"run_id": "run", "landed_at": datetime(2026, 7, 1, 2, tzinfo=UTC), "today": TODAY}
        return self.bronze.land_loans(file, source, **{**defaults, **options})

    def rows(self, columns: str, source: str = "landing", order: str = "_row") -> list[dict[str, Any]]:
        query = f"select {columns} from bronze.{source}_loans order by {order}"
        return self.warehouse.query(query).to_pylist()

    def quarantine(self, columns: str = '"row", "column", value, reason') -> list[tuple[Any, ...]]:
        found = self.warehouse.query(f'select {columns} from bronze.quarantine order by "row", "column"')
        return [tuple(record.values()) for record in found.to_pylist()]

    def files(self) -> dict[str, bytes]:
        """Everything the lake holds, locks apart."""
        found = (file for file in self.root.rglob("*") if file.is_file() and not file.name.endswith(".lock"))
        return {str(file.relative_to(self.root)): file.read_bytes() for file in found}


def make_lake(home: Path, key: TokenKey = KEY) -> Lake:
    warehouse = DuckLakeWarehouse(home / "warehouse")
    return Lake(home / "lake", warehouse, BronzeLake(home / "lake", warehouse, key))
