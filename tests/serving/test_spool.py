"""Answers on their way to the ledger: none is lost, none is written twice, and nothing that was never answered is."""

from __future__ import annotations

import os
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from credit_risk_platform.adapters.api_sink import ApiSink
from credit_risk_platform.adapters.application_scorer import ApplicationScorer
from credit_risk_platform.adapters.ledger import LedgerError
from credit_risk_platform.adapters.ledger_writer import Stamp
from credit_risk_platform.adapters.tokens import TokenKey
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.serving import engine, segments, spool
from credit_risk_platform.serving.drain import drain_orphans, take
from credit_risk_platform.serving.rows import FULL_SCHEMA, bronze_rows
from credit_risk_platform.serving.schemas import read
from credit_risk_platform.serving.spool import Spool
from tests.api_book import rows, wish
from tests.scoring_book import open_book
from tests.stream_book import new_home

DAY, NOON = date(2026, 7, 1), datetime(2026, 7, 1, 12)
STAMP = Stamp(NOON - timedelta(hours=1), "api-test", "[]", "c" * 40, "d" * 64)


def record(*numbers: int) -> pa.Table:
    received = pa.array([NOON + timedelta(seconds=number) for number in numbers], pa.timestamp("us"))
    return pa.table({"call.event_id": [str(number) for number in numbers], "call.received_at": received})


def events(path: Path) -> list[str]:
    segment = segments.read(path)
    return segment.rows["call.event_id"].to_pylist() if segment else []


@hypothesis_settings(max_examples=30, deadline=None)
@given(cut=st.integers(1, 3_000), flip=st.booleans())
def test_a_torn_or_damaged_record_and_what_follows_is_not_read_and_what_went_before_is(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flip: bool
) -> None:
    kept = Spool(tmp_path_factory.mktemp("spool"), STAMP)
    kept.append(record(1, 2))
    whole = (kept.own / "00000001.open").stat().st_size
    kept.append(record(3))
    (path,) = kept.closed()
    data = bytearray(path.read_bytes())
    torn = min(whole + cut, len(data) - 1)
    if flip:
        data[torn] ^= 0xFF
    path.write_bytes(data if flip else data[:torn])
    assert events(path) == ["1", "2"]
    segment = segments.read(path)
    assert segment is not None
    assert segment.damaged == (whole if flip else None)  # cut off: never answered; changed: told, and kept
    assert segment.stamp == Stamp(NOON + timedelta(seconds=2), *list(vars(STAMP).values())[1:])
    kept.close()


def test_after_a_write_that_failed_the_next_answer_is_kept_in_a_file_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Spool(tmp_path, STAMP)
    kept.append(record(1))

    def full(handle: int, data: Any) -> int:
        monkeypatch.undo()
        real(handle, bytes(data)[:7])
        raise OSError(28, "No space left on device")

    real = os.write
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        kept.append(record(2))
    kept.append(record(3))
    assert [events(path) for path in kept.closed()] == [["1"]]  # the torn one first
    kept.done(kept.closed()[0])
    assert [events(path) for path in kept.closed()] == [["3"]]


def test_only_a_dead_processes_folder_is_taken_up(tmp_path: Path) -> None:
    alive, dead = Spool(tmp_path, STAMP), Spool(tmp_path, STAMP)
    alive.append(record(1))
    dead.append(record(2))
    os.close(dead._owner)  # what the kernel does for a killed process
    with spool.orphans(tmp_path) as left:
        assert [events(path) for path in left] == [["2"]]
        with spool.orphans(tmp_path) as nothing:
            assert nothing == []
        left[0].unlink()
    assert [place.name for place in tmp_path.iterdir()] == [alive.own.name]
    alive.close()
    assert len(spool.latest(tmp_path, 9)) == 1  # its answer waits for another process


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Any:
    book = open_book(new_home(tmp_path_factory.mktemp("spool") / "home"))
    yield book.warehouse
    book.close()


def scored(warehouse: DuckLakeWarehouse, *numbers: int) -> pa.Table:
    """What the engine would keep of these applications."""
    book = open_book(warehouse.root.parent)
    asked = [read(wish(number), DAY, TokenKey(b"k" * 32)) for number in numbers]
    typed = bronze_rows(asked, DAY)
    scores = ApplicationScorer(warehouse, book.bundles, book.policies).score(typed, DAY)
    return engine._record([engine._Job(asked, "client", None)], typed, scores, NOON)  # type: ignore[arg-type]


COUNTS = """
    select (select count(*) from gold.application_scores) as scores, (select count(*) from gold.score_ledger) as ledger,
        (select count(*) from bronze.raw_applications) as raw, (select count(*) from bronze.api_requests) as requests
"""


def test_a_segment_written_twice_is_in_the_ledger_once_and_asking_again_adds_no_score(
    warehouse: DuckLakeWarehouse, tmp_path: Path
) -> None:
    kept = Spool(tmp_path, STAMP)
    kept.append(scored(warehouse, 1, 2, 3))
    (path,), sink = kept.closed(), ApiSink(warehouse, FULL_SCHEMA)
    assert [take(sink, path), take(sink, path)] == [3, 0]  # killed between commit and removal
    assert rows(warehouse, COUNTS) == [{"scores": 3, "ledger": 3, "raw": 3, "requests": 3}]
    kept.done(path)
    kept.append(scored(warehouse, 3, 4))  # 3 is asked again: one more call, no more score
    assert take(sink, kept.closed()[0]) == 2
    assert rows(warehouse, COUNTS) == [{"scores": 5, "ledger": 4, "raw": 5, "requests": 5}]
    sealed = rows(warehouse, "select known_at, run_id, kafka_topic from gold.score_ledger order by known_at limit 1")
    assert sealed == [{"known_at": NOON, "run_id": "api-test", "kafka_topic": "http"}]


def test_what_the_ledger_refuses_is_kept_and_keeps_nothing_else_waiting(
    warehouse: DuckLakeWarehouse, tmp_path: Path
) -> None:
    bent = scored(warehouse, 1)
    place = bent.schema.get_field_index("score.pd")
    bent = bent.set_column(place, "score.pd", pa.array([0.5]))  # another PD for the id that stands in the ledger
    bent = bent.set_column(0, "call.event_id", pa.array(["bent"]))
    kept = Spool(tmp_path, STAMP)
    kept.append(bent)
    kept.closed()
    kept.append(scored(warehouse, 5))
    os.close(kept._owner)
    assert drain_orphans(ApiSink(warehouse, FULL_SCHEMA), tmp_path) == 1
    (refused,) = spool.latest(tmp_path, 9)
    assert events(refused) == ["bent"]
    with pytest.raises(LedgerError, match="stands in the ledger"):  # an operator is told why
        drain_orphans(ApiSink(warehouse, FULL_SCHEMA), tmp_path, retry=True)
    assert spool.refused(tmp_path) == [refused]


def test_a_damaged_file_gives_what_can_be_read_of_it_and_is_not_thrown_away(
    warehouse: DuckLakeWarehouse, tmp_path: Path
) -> None:
    kept = Spool(tmp_path, STAMP)
    kept.append(scored(warehouse, 6))
    kept.append(scored(warehouse, 7))
    (path,) = kept.closed()
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    os.close(kept._owner)
    drain_orphans(ApiSink(warehouse, FULL_SCHEMA), tmp_path)
    found = "select sent_interest_rate from bronze.api_requests join bronze.raw_applications using (event_id)"
    incomes = [f"{found} where annual_inc = {40_000 + number}" for number in (6, 7)]
    assert [len(rows(warehouse, sql)) for sql in incomes] == [1, 0]
    assert len(spool.refused(tmp_path)) == 1
