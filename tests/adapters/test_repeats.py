"""Each event counts once: the oldest of its messages, and none where an earlier batch had it."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from credit_risk_platform.adapters.streaming.batch import RECORD_SCHEMA
from credit_risk_platform.adapters.streaming.repeats import known_events, without_repeats
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse

AT = datetime(2026, 7, 1)
NONE_KNOWN = pa.array([], pa.string())


def accepted(*rows: tuple[int, int, int, str]) -> pa.Table:
    """(partition, offset, second it came, event) as the intake gives them: in the order of their places."""
    columns = ("partition", "offset", "kafka_time", "event_id")
    values = [
        dict(zip(columns, (partition, offset, AT + timedelta(seconds=second), event), strict=True))
        for partition, offset, second, event in rows
    ]
    kinds = [pa.int32(), pa.int64(), pa.timestamp("us"), pa.string()]
    return pa.Table.from_pylist(values, pa.schema(zip(columns, kinds, strict=True)))


def places(rows: pa.Table) -> list[tuple[int, int]]:
    return list(zip(rows["partition"].to_pylist(), rows["offset"].to_pylist(), strict=True))


def test_of_two_messages_of_an_event_the_older_one_counts_wherever_it_lies() -> None:
    rows = accepted((0, 1, 9, "a"), (0, 2, 3, "b"), (1, 1, 4, "a"), (2, 7, 3, "b"), (2, 8, 3, "b"))
    fresh, repeated = without_repeats(rows, NONE_KNOWN)
    assert places(fresh) == [(0, 2), (1, 1)]
    assert places(repeated) == [(0, 1), (2, 7), (2, 8)]


def test_what_an_earlier_batch_had_counts_no_more_and_the_rest_stays_in_order() -> None:
    rows = accepted((0, 1, 1, "a"), (0, 2, 2, "b"), (1, 1, 3, "c"), (1, 2, 4, "a"))
    fresh, repeated = without_repeats(rows, pa.array(["a", "z"]))
    assert (places(fresh), places(repeated)) == ([(0, 2), (1, 1)], [(0, 1), (1, 2)])


def test_a_batch_without_repeats_and_one_without_messages_stay_as_they_are() -> None:
    rows = accepted((0, 1, 1, "a"), (0, 2, 2, "b"))
    for given in (rows, rows.slice(0, 0), pa.concat_tables([rows.slice(1), rows.slice(0, 1)])):
        fresh, repeated = without_repeats(given, pa.array(["z"]))
        assert (fresh, repeated.num_rows) == (given, 0)


@pytest.fixture
def warehouse(tmp_path: Path):
    opened = DuckLakeWarehouse(tmp_path / "warehouse")
    opened.replace_table("bronze.raw", pa.table({"event_id": ["a", "b", "b", 'qu"ote'], "value": [1, 2, 3, 4]}))
    yield opened
    opened.close()


def test_known_is_what_the_table_holds_and_broken_messages_disturb_nobody(warehouse: DuckLakeWarehouse) -> None:
    values = [
        b'{"event_id": "b", "data": {}}', b'{"event_id": "b"}', b'{"event_id": "new"}', b'{"event_id": "qu\\"ote"}',
        None, b"", b"\xff\xfe", b'{"event_id": "a"', b'[{"event_id": "a"}]', b'"a"', b'{"event_id": null}', b"{}",
        b'{"event_id": {"event_id": "a"}}',
    ]  # fmt: skip
    rows = [
        {"topic": "t", "topic_id": "id", "partition": 0, "offset": place, "kafka_time": AT, "key": None,
         "value": value, "size": 1}
        for place, value in enumerate(values)
    ]  # fmt: skip
    found = known_events(warehouse, "bronze.raw", pa.Table.from_pylist(rows, RECORD_SCHEMA))
    assert sorted(found.to_pylist()) == ["b", 'qu"ote']
    assert found.type == pa.string()
