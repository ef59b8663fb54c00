"""docs/analysts.md as an analyst uses it: each statement of it, on the lake and on the file, both read-only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.adapters.warehouse.lake_session import attach_sql
from credit_risk_platform.catalog import table_of
from credit_risk_platform.defs.marts.assets import FIGURES, NOT_PUBLISHED
from credit_risk_platform.settings import PROJECT_ROOT
from tests.dbt_book import DbtBook
from tests.risk_book import risk_book

TEXT = (PROJECT_ROOT / "docs" / "analysts.md").read_text()
CONNECTING, ASKING = TEXT.split("## Ten questions")
SQL = re.compile(r"```sql\n(.*?)```", re.DOTALL)
DOORS = dict(zip(("file", "lake"), SQL.findall(CONNECTING), strict=True))
LOSSES = """
    select date '2023-06-30' as as_of, stage, 'Low' as risk_band, 'car' as purpose, date '2023-01-01' as issue_month,
        'Current' as status, loans, ead::decimal(18, 2) as ead, ecl::decimal(18, 2) as ecl
    from (values (1, 2, 1000, 10), (1, 1, 500, 5), (3, 3, 600, 300)) as t (stage, loans, ead, ecl)
"""
"""Stands in for the expected loss, which has a book of its own."""


@dataclass(frozen=True)
class Question:
    """A heading of the page with the columns it promises and its statement."""

    title: str
    columns: list[str]
    sql: str


def questions() -> list[Question]:
    found = []
    for part in ASKING.split("\n### ")[1:]:
        answer = re.search(r"^Answer: (.*)$", part, re.MULTILINE)
        (sql,) = SQL.findall(part)
        assert answer is not None, part
        found.append(Question(part.splitlines()[0], re.findall(r"`(\w+)`", answer[1]), sql))
    return found


QUESTIONS = questions()


@pytest.fixture(scope="module")
def book() -> DbtBook:
    """The risk book as `gold/published_marts` leaves a home: warehouse and file below one root."""
    book = risk_book()
    book.warehouse.replace_table("gold.ecl_stage", Select(LOSSES))
    found = book.warehouse.query(
        "select table_name from information_schema.tables where table_catalog = 'lake' and table_schema = 'gold'"
    )
    outside = {"decisions", "portfolio_scores", "referral_queue", "applications_received", *NOT_PUBLISHED}
    tables = sorted(f"gold.{name}" for name in set(found["table_name"].to_pylist()) - outside)
    book.warehouse.publish(book.root / "marts.duckdb", tables)
    return book


@pytest.fixture(scope="module", params=["file", "lake"])
def analyst(request: pytest.FixtureRequest, book: DbtBook) -> Iterator[duckdb.DuckDBPyConnection]:
    """A client of its own that did what the page says."""
    said = re.sub(r"(?<=[:'])data/", f"{book.root}/", DOORS[request.param])
    with duckdb.connect() as connection:
        assert connection.execute(said).fetchone() == (15,)
        yield connection


@pytest.mark.parametrize("question", QUESTIONS, ids=[question.title for question in QUESTIONS])
def test_each_question_has_an_answer_with_the_columns_it_promises(
    analyst: duckdb.DuckDBPyConnection, question: Question
) -> None:
    answer = analyst.execute(question.sql)
    assert [column[0] for column in answer.description] == question.columns
    assert answer.fetchall()


def test_the_answers_are_those_of_the_book(analyst: duckdb.DuckDBPyConnection) -> None:
    """Late by 30 days and more: 500 + 500 + 500 + 600 + 600 + 500 + 500 = 3,700 of 5,500.

    One of the two matured loans has a PD, 0.18, and went bad.
    """
    assert len(QUESTIONS) == 10
    late, funnel, bands, losses = (QUESTIONS[number].sql for number in (0, 5, 7, 9))
    assert analyst.execute(late).fetchone()[1:4] == (11, Decimal("5500.00"), Decimal("3700.00"))
    # api: first month and applied 1 of four approved; stream: one of three, and a fourth that nobody scored
    assert [row[:4] for row in analyst.execute(funnel).fetchall()] == [("api", 4, 4, 0.5), ("stream", 4, 3, 1 / 3)]
    assert [row[:4] for row in analyst.execute(bands).fetchall()] == [("High", 1, 0.18, 1.0)]
    assert [row[1:5] for row in analyst.execute(losses).fetchall()] == [
        (1, 3, Decimal("1500.00"), Decimal("15.00")),
        (3, 3, Decimal("600.00"), Decimal("300.00")),
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "insert into gold.risk_bands select * from gold.risk_bands",
        "update gold.portfolio_loans set balance = 0",
        "delete from gold.portfolio_loans",
        "drop table gold.portfolio_loans",
        "create table gold.mine as select 1 as n",
        "create or replace view gold.bi_loans as select 1 as n",
        "create schema mine",
    ],
    ids=lambda statement: " ".join(statement.split()[:2]),
)
def test_nobody_writes_through_either_door(analyst: duckdb.DuckDBPyConnection, statement: str) -> None:
    with pytest.raises(duckdb.Error, match=r"(?i)read-only"):
        analyst.execute(statement)
    assert analyst.execute("select count(*) from gold.portfolio_loans").fetchone() == (15,)


def test_the_page_attaches_the_lake_as_the_platform_itself_does() -> None:
    assert attach_sql(Path("data/warehouse"), read_only=True) + ";" in TEXT


def test_every_table_of_the_page_is_there_and_no_view_for_bi_tools_shows_a_token_or_a_list(book: DbtBook) -> None:
    listed = set(re.findall(r"`(gold\.\w+)`", CONNECTING))
    assert listed >= {"gold.bi_loans", "gold.bi_decisions", "gold.concentration"}
    made_elsewhere = {table_of(key) for key in FIGURES} | {"gold.watchlist", "gold.kpi_summary"}
    assert {table for table in listed - made_elsewhere if not book.warehouse.exists(table)} == set()
    for view in ("gold.bi_loans", "gold.bi_decisions"):
        columns = book.warehouse.columns(view)
        assert not {"subject_token", "customer_id", "age", "education", "state"} & set(columns)
        assert not [name for name, kind in columns.items() if kind.endswith("[]")]
