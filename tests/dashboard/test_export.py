"""A file that a spreadsheet opens without harm, the rows that the page shows, and a line about who took it."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.dashboard import export, lake
from credit_risk_platform.dashboard.filters import Filters
from credit_risk_platform.dashboard.queries.portfolio import HIGH_RISK, LOANS
from credit_risk_platform.settings import Settings
from tests.dashboard_book import new_book

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
CHOSEN = Filters(bands=("High",), purposes=("car", "credit_card"))


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return new_book(tmp_path_factory.mktemp("home"))


@pytest.fixture(autouse=True)
def _at_home(book: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRP_HOME", str(book.home))


def taken(sql: str, name: str) -> list[dict[str, str]]:
    where, params = CHOSEN.where()
    content = export.written(sql.format(where=where), params, CHOSEN, name, "anna", NOW)
    return list(csv.DictReader(io.StringIO(content.decode())))


@pytest.mark.parametrize(("sql", "table"), [(LOANS, "gold.portfolio_loans"), (HIGH_RISK, "gold.high_risk_loans")])
def test_a_file_has_the_filtered_rows_of_its_table(sql: str, table: str) -> None:
    rows = taken(sql, "some")
    where, params = CHOSEN.where()
    expected = lake.rows(f"select loan_id from {table} where {where}", params)["loan_id"].to_pylist()
    assert sorted(row["loan_id"] for row in rows) == sorted(expected)
    assert rows
    assert not [column for column in rows[0] if "customer" in column or "token" in column]


def test_the_log_says_who_took_what_when_and_how_much(book: Settings) -> None:
    rows = taken(LOANS, "portfolio_loans")
    last = json.loads((book.paths.exports / export.LOG).read_text().splitlines()[-1])
    assert last.pop("sha256")
    assert last == {
        "when": "2026-11-21T12:00:00+00:00",
        "who": "anna",
        "export": "portfolio_loans",
        "filter": {"band": ["High"], "purpose": ["car", "credit_card"]},
        "rows": len(rows),
        "snapshot": lake.snapshot(),
    }
    assert (book.paths.exports / export.LOG).stat().st_mode & 0o077 == 0


def test_a_cell_that_a_spreadsheet_would_run_is_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRP_HOME", str(tmp_path))
    warehouse = DuckLakeWarehouse(tmp_path / "warehouse")
    warehouse.replace_table("gold.typed", pa.table({"purpose": ["=HYPERLINK(1)", "car"], "amount": [-1, 2]}))
    warehouse.close()
    content = export.written("select * from gold.typed order by amount", (), Filters(), "typed", "anna", NOW)
    assert content.decode().splitlines() == ['"purpose","amount"', '"\'=HYPERLINK(1)",-1', '"car",2']


def test_what_cannot_be_logged_is_not_handed_over(
    tmp_path: Path, book: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "LOG", "")  # a folder takes no line
    with pytest.raises(OSError, match="directory"):
        taken(LOANS, "portfolio_loans")
