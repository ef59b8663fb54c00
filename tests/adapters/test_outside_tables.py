"""What the risk marts read of other rooms: it is there, it has their types, and nothing of theirs is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from credit_risk_platform.adapters import decisions, outside_tables
from credit_risk_platform.adapters.ledger import SCORES
from credit_risk_platform.adapters.ledger_writer import write_scores
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from tests.scoring_book import DAY, batches, make_book, stamp


@pytest.fixture
def lake(tmp_path: Path) -> DuckLakeWarehouse:
    return DuckLakeWarehouse(tmp_path / "warehouse")


def test_on_a_fresh_lake_all_are_there_and_empty_and_a_second_call_makes_nothing(lake: DuckLakeWarehouse) -> None:
    assert outside_tables.ensure(lake) == list(outside_tables.TABLES)
    assert {lake.count(table) for table in outside_tables.columns()} == {0}
    assert {table: list(lake.columns(table)) for table in outside_tables.columns()} == outside_tables.columns()
    assert outside_tables.ensure(lake) == []
    assert lake.count(decisions.QUEUE) == 0, "the referral queue is made with the decisions, or never"


def test_scores_written_after_an_empty_table_was_put_there_have_the_columns_they_always_had(tmp_path: Path) -> None:
    """Whoever came first: an empty stand-in of another type would stop the next scoring."""
    first, after = make_book(tmp_path / "first", loans=60), make_book(tmp_path / "after", loans=60)
    outside_tables.ensure(after.warehouse)
    columns = []
    for book in (first, after):
        write_scores(book.warehouse, batches(book.scores()), DAY, stamp())
        columns.append(book.warehouse.columns(SCORES))
        book.close()
    assert columns[0] == columns[1]
