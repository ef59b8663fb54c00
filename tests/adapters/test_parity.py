"""Two warehouses that should hold the same marts: what differs is named by table, key and column."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from credit_risk_platform.adapters import parity
from credit_risk_platform.adapters.parity import Mart
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse

MART = Mart("gold.bands", ("band", "coalesce(purpose, 'all')"))
ROWS: list[dict[str, Any]] = [
    {"band": "Low", "purpose": "car", "loans": 3, "pd": 0.1 + 0.2, "reasons": ["AA01", "AA02"]},
    {"band": "Low", "purpose": None, "loans": 4, "pd": None, "reasons": None},
    {"band": "High", "purpose": "car", "loans": 1, "pd": 0.5, "reasons": []},
]
SCHEMA = pa.schema(
    [("band", pa.string()), ("purpose", pa.string()), ("loans", pa.int64()), ("pd", pa.float64()),
     ("reasons", pa.list_(pa.string()))]
)  # fmt: skip


@pytest.fixture
def sides(tmp_path: Path) -> Iterator[tuple[DuckLakeWarehouse, DuckLakeWarehouse]]:
    both = DuckLakeWarehouse(tmp_path / "left"), DuckLakeWarehouse(tmp_path / "right")
    for side in both:
        side.replace_table(MART.table, pa.Table.from_pylist(ROWS, SCHEMA))
    yield both
    for side in both:
        side.close()


Sides = tuple[DuckLakeWarehouse, DuckLakeWarehouse]


def test_the_same_rows_in_another_order_and_added_up_another_way_are_equal(sides: Sides) -> None:
    turned = [{**row, "pd": 0.3} if row["pd"] == ROWS[0]["pd"] else row for row in reversed(ROWS)]
    sides[1].replace_table(MART.table, pa.Table.from_pylist(turned, SCHEMA))
    found = parity.compare(*sides, MART)
    assert found.equal
    assert found.rows == (3, 3)


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        ("loans", 5, "loans is 4 in left and 5 in right"),
        ("pd", 0.0, "pd is None in left and 0.0 in right"),
        ("reasons", ["AA09"], "reasons is None in left and [AA09] in right"),
    ],
)
def test_one_flipped_value_is_named_with_its_key_and_column(
    sides: Sides, column: str, value: object, shown: str
) -> None:
    changed = [{**row, column: value} if row["purpose"] is None else row for row in ROWS]
    sides[1].replace_table(MART.table, pa.Table.from_pylist(changed, SCHEMA))
    found = parity.compare(*sides, MART)
    assert not found.equal
    assert found.columns == {column: 1}
    assert found.examples == [f"Low | all: {shown}"]


def test_a_row_that_one_side_lacks_is_named_by_its_key(sides: Sides) -> None:
    sides[1].replace_table(MART.table, pa.Table.from_pylist(ROWS[:2], SCHEMA))
    found = parity.compare(*sides, MART)
    assert (found.rows, found.missing) == ((3, 2), (1, 0))
    assert found.examples == ["High | car: only in left"]
    assert not found.equal


def test_a_row_that_one_side_has_twice_is_found(sides: Sides) -> None:
    sides[1].replace_table(MART.table, pa.Table.from_pylist([*ROWS, ROWS[0]], SCHEMA))
    found = parity.compare(*sides, MART)
    assert found.missing == (0, 1)
    assert found.examples == ["Low | car: only in right"]


def test_a_column_or_a_table_that_one_side_lacks_is_named(sides: Sides) -> None:
    sides[0].replace_table(MART.table, pa.Table.from_pylist(ROWS, SCHEMA).drop_columns(["loans"]))
    assert parity.compare(*sides, MART, ("here", "there")).absent == ["column loans in here"]
    found = parity.compare(*sides, Mart("gold.other", ()))
    assert found.absent == ["the table in left", "the table in right"]
    assert not found.equal


def test_rows_without_a_key_are_told_apart_by_all_they_hold(sides: Sides) -> None:
    assert parity.compare(*sides, Mart(MART.table, ())).equal
    sides[1].replace_table(MART.table, pa.Table.from_pylist([*ROWS[:2], {**ROWS[2], "loans": 7}], SCHEMA))
    assert parity.compare(*sides, Mart(MART.table, ())).missing == (1, 1)


def test_rows_without_a_key_are_the_same_though_their_sums_end_otherwise_and_a_column_is_called_column(
    sides: Sides,
) -> None:
    for side, total in zip(sides, (0.1 + 0.2, 0.3), strict=True):
        rows = [{"column": "a", "row": 1, "total": total, "reasons": ["AA01"]}, {"column": "b", "row": 1, "total": 2.0}]
        side.replace_table("gold.sums", pa.Table.from_pylist(rows))
    assert parity.compare(*sides, Mart("gold.sums", ())).equal


def test_the_name_of_a_bundle_is_a_home_s_own_and_what_it_scored_is_not(sides: Sides) -> None:
    scored = {"score_id": ["1", "2"], "loan_id": ["L1", "L2"], "pd": [0.1, 0.2], "bundle_sha": ["a", "a"]}
    sides[0].replace_table("gold.scored", pa.table(scored))
    sides[1].replace_table("gold.scored", pa.table({**scored, "score_id": ["3", "4"], "bundle_sha": ["b", "b"]}))
    mart = Mart("gold.scored", ("score_id",))
    assert parity.compare(*sides, mart).equal
    sides[1].replace_table("gold.scored", pa.table({**scored, "pd": [0.1, 0.3]}))
    assert parity.compare(*sides, mart).examples == ["L2: pd is 0.2 in left and 0.3 in right"]


def test_the_list_of_marts_comes_from_dbt_with_the_keys_its_tests_hold_them_to() -> None:
    key_test = {"name": "unique_key", "kwargs": {"columns": ["band"]}}
    nodes = {
        "model.a.bands": {"resource_type": "model", "schema": "gold", "name": "bands"},
        "seed.a.words": {"resource_type": "seed", "schema": "gold", "name": "words"},
        "model.a.stg": {"resource_type": "model", "schema": "silver", "name": "stg"},
        "test.a.key": {
            "resource_type": "test", "schema": "tests", "name": "k", "attached_node": "model.a.bands",
            "test_metadata": key_test,
        },
    }  # fmt: skip
    assert parity.marts({"nodes": nodes}) == [Mart("gold.bands", ("band",)), Mart("gold.words", ())]
