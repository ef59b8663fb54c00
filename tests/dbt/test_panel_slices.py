"""A book too large for memory is built slice by slice: nobody may lose a loan, or get one twice, between two slices."""

from __future__ import annotations

from pathlib import Path

from tests.risk_book import LOANS, risk_book, unbuilt_book

PANEL = "silver.int_loan_month_panel"


def test_a_panel_built_in_slices_equals_the_one_built_whole(tmp_path: Path) -> None:
    book = unbuilt_book(tmp_path)
    book.dbt("run", "--select", "+int_loan_month_panel", "--vars", "{loans_per_slice: 4}")
    statement = (tmp_path / "target" / "run").rglob("int_loan_month_panel.sql")
    assert next(statement).read_text().count("insert into") == -(-len(LOANS) // 4) - 1
    built = book.rows(PANEL)
    assert built
    assert built == risk_book().rows(PANEL)
