"""One predicate for every tile, chart and export; one place, the URL, where the choice stands."""

from __future__ import annotations

from datetime import date

import pytest

from credit_risk_platform.adapters.warehouse.reader import LakeReader
from credit_risk_platform.dashboard.filters import Filters
from credit_risk_platform.settings import Settings
from tests.dashboard_book import TABLES, new_book


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return new_book(tmp_path_factory.mktemp("home"))


def test_nothing_chosen_keeps_every_loan() -> None:
    assert Filters().where() == ("true", [])
    assert Filters().query_params() == {}


def test_all_five_filters_are_bound_values() -> None:
    chosen = Filters(date(2024, 3, 15), date(2024, 5, 1), ("High", "Very High"), ("Current",), ("car' or true --",))
    where, params = chosen.where("l")
    assert where == (
        "l.issue_month >= ? and l.issue_month <= ? and l.risk_band in (?, ?) and l.status in (?) and l.purpose in (?)"
    )
    # A month is whole: from the 15th on means from that month on.
    assert params == [date(2024, 3, 1), date(2024, 5, 1), "High", "Very High", "Current", "car' or true --"]


def test_each_filter_means_the_same_to_every_table_that_has_its_columns(book: Settings) -> None:
    reader = LakeReader(book.paths.warehouse)
    where, params = Filters(date(2024, 3, 1), date(2025, 3, 1), ("High",), ("Current", "Default"), ("car",)).where()
    loans = "gold.portfolio_loans"
    expected = reader.query(f"select loan_id from {loans} where {where}", params)["loan_id"].to_pylist()
    # By hand, without the predicate.
    assert expected == [
        row["loan_id"]
        for row in reader.query(f"select * from {loans}").to_pylist()
        if date(2024, 3, 1) <= row["issue_month"] <= date(2025, 3, 1)
        and row["risk_band"] == "High" and row["status"] in ("Current", "Default") and row["purpose"] == "car"
    ]  # fmt: skip
    assert expected
    cubes = 0
    for table in TABLES:
        columns = reader.query(f"select * from {table} limit 0").column_names
        if {"issue_month", "risk_band", "status", "purpose"} <= set(columns):
            reader.query(f"select count(*) from {table} where {where}", params)
            cubes += 1
    assert cubes >= 5
    reader.close()


def test_a_choice_becomes_the_url_of_the_same_view() -> None:
    chosen = Filters(date(2024, 3, 1), None, ("High", "Low"), (), ("home_improvement",))
    assert chosen.query_params() == {"from": "2024-03-01", "band": ["High", "Low"], "purpose": ["Home improvement"]}
    assert chosen.chosen() == {"from": "2024-03-01", "band": ["High", "Low"], "purpose": ["home_improvement"]}
