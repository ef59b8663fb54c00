"""Bookmarks on both warehouses: the highest one taken counts, whoever wrote last, and history is kept."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from credit_risk_platform.adapters.streaming.kinesis_bookmarks import NEWEST, Bookmarks, Mark
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse

NOON = datetime(2026, 7, 1, 12, 0, 0, 123456)
NUMBER = 49_662_345_678_901_234_567_890_123_456_789_012_345_678_901_234_567_890_123


@pytest.fixture(params=["duckdb", "snowflake"])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Warehouse]:
    if request.param == "duckdb":
        found = DuckLakeWarehouse(tmp_path)
    else:
        fakesnow = request.getfixturevalue("fakesnow")
        found = fakesnow.warehouse(fakesnow.settings(tmp_path))
    yield found
    found.close()


def test_what_is_noted_is_read_back_exactly_and_by_its_group_alone(warehouse: Warehouse) -> None:
    marks = Bookmarks(warehouse, "ours", "topic")
    assert marks.latest("id") == {}
    first = Mark(5, NUMBER, NOON, tip_at=NOON)
    begin = Mark(0, tip_at=NOON, ended=True)
    marks.add("id", {0: first, 3: begin})
    assert marks.latest("id") == {0: [first], 3: [begin]}
    assert marks.latest("another") == {}
    assert Bookmarks(warehouse, "theirs", "topic").latest("id") == {}


def test_the_newest_marks_are_enough_to_go_on_and_all_of_them_are_kept(warehouse: Warehouse) -> None:
    marks = Bookmarks(warehouse, "ours", "topic")
    known, taken = Mark(7, NUMBER, NOON, taken=False), Mark(7, NUMBER, NOON)
    for mark in (Mark(9, NUMBER + 2, NOON), known, taken, known):
        marks.add("id", {0: mark})
    assert [(mark.offset, mark.taken) for mark in marks.latest("id")[0]] == [(7, True), (9, True)]
    for offset in range(10, 10 + NEWEST):
        marks.add("id", {0: Mark(offset, NUMBER + offset, NOON)})
    assert [mark.offset for mark in marks.latest("id")[0] if mark.taken] == list(range(10, 10 + NEWEST))
    assert [mark.offset for mark in marks.history("id", 0)] == [7, 9, *range(10, 10 + NEWEST)]
