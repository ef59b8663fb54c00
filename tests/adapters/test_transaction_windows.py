"""A customer's behaviour in 30-second windows: what counts, what came too late, and that no replay changes either."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from credit_risk_platform.adapters.ledger_writer import Stamp
from credit_risk_platform.adapters.streaming.batch import TRACED_SCHEMA, BatchContext, Handler, NotReadyError, Prepared
from credit_risk_platform.adapters.streaming.windows import LATE_EVENTS, WATERMARKS, WINDOWS, TransactionWindows
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.domain.contracts.messages import TRANSACTIONS

DAY = datetime(2026, 7, 1)
MONEY = pa.decimal128(18, 2)
ACCEPTED = pa.schema(
    [
        ("topic", pa.string()),
        ("topic_id", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("kafka_time", pa.timestamp("us")),
        ("event_id", pa.string()),
        ("event_time", pa.timestamp("us")),
        ("subject_token", pa.string()),
        ("transaction_id", pa.string()),
        ("amount", MONEY),
        ("category", pa.string()),
        ("balance_after", MONEY),
    ]
)


class Event(NamedTuple):
    offset: int
    at: datetime
    amount: str = "-1.00"
    category: str = "card"
    balance: str | None = None
    customer: str = "ann"
    partition: int = 0
    kafka_time: datetime = DAY + timedelta(days=1)
    topic_id: str = "first"


def clock(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-07-01T{text}")


def accepted(events: Sequence[Event]) -> pa.Table:
    rows = [
        {
            "topic": TRANSACTIONS.topic,
            "topic_id": event.topic_id,
            "partition": event.partition,
            "offset": event.offset,
            "kafka_time": event.kafka_time,
            "event_id": f"{event.topic_id}-{event.partition}-{event.offset}",
            "event_time": event.at,
            "subject_token": event.customer,
            "transaction_id": f"t{event.offset}",
            "amount": Decimal(event.amount),
            "category": event.category,
            "balance_after": None if event.balance is None else Decimal(event.balance),
        }
        for event in events
    ]
    return pa.Table.from_pylist(rows, ACCEPTED)


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[DuckLakeWarehouse]:
    lake = DuckLakeWarehouse(tmp_path / "lake")
    yield lake
    lake.close()


def context(run_id: str = "run-1", now: datetime = DAY) -> BatchContext:
    return BatchContext(Stamp(now, run_id, "{}", None, "code"), now)


def prepared(warehouse: DuckLakeWarehouse, events: Sequence[Event], run_id: str = "run-1") -> Prepared:
    handler: Handler = TransactionWindows(warehouse)
    return handler.prepare(accepted(events), context(run_id))


def written(warehouse: DuckLakeWarehouse, work: Prepared) -> Mapping[str, int]:
    with warehouse.transaction(work.staged) as transaction:
        return work.write(transaction)


def run(warehouse: DuckLakeWarehouse, *events: Event, run_id: str = "run-1") -> Mapping[str, int]:
    return written(warehouse, prepared(warehouse, events, run_id))


def windows(warehouse: DuckLakeWarehouse, customer: str = "ann") -> list[dict[str, Any]]:
    sql = f"select * exclude (run_id, updated_at, subject_token) from {WINDOWS} where subject_token = ? order by all"
    return warehouse.query(sql, [customer]).to_pylist()


def counts(warehouse: DuckLakeWarehouse, customer: str = "ann") -> dict[str, int]:
    return {f"{row['window_start']:%H:%M:%S}": row["n_transactions"] for row in windows(warehouse, customer)}


def late(warehouse: DuckLakeWarehouse) -> list[str]:
    return warehouse.query(f"select event_id from {LATE_EVENTS} order by event_id")["event_id"].to_pylist()


# -------------------------------------------------------------------- counted by hand

GOLDEN = (
    Event(0, clock("09:30:00"), "1000.00", "salary", "1200.00"),
    Event(1, clock("09:30:12"), "-40.00", "groceries", "1160.00"),
    Event(2, clock("09:30:29.999999"), "-60.00", "card", "1100.00"),
    Event(3, clock("09:30:30"), "-25.50", "cash", "1074.50"),  # the first instant of the second window
    Event(4, clock("09:30:39.999999"), "-500.00", "rent", "574.50"),  # watermark 09:30:29.999999
    Event(5, clock("09:30:28.500000"), "-10.00", "fee", None),  # out of order and in time
    Event(6, clock("09:30:40"), "10.00", "transfer", "584.50"),  # watermark 09:30:30: the first window is closed
    Event(7, clock("09:30:29"), "-5.00", "card", "999.00"),  # late
    Event(8, clock("09:31:00"), "-15.00", "returned_payment", "569.50"),
    Event(9, clock("09:31:05"), "-120.00", "loan_payment", "449.50"),
)


def test_three_windows_and_one_late_event_are_counted_as_by_hand(warehouse: DuckLakeWarehouse) -> None:
    rows = run(warehouse, *GOLDEN)
    assert rows == {WINDOWS: 3, LATE_EVENTS: 1, WATERMARKS: 1}
    names = (
        "window_start", "window_end", "n_transactions", "n_credits", "n_debits", "n_returned_payments", "sum_in",
        "sum_out", "net", "min_balance", "last_balance", "last_event_time",
    )  # fmt: skip
    by_hand = (
        ("09:30:00", "09:30:30", 4, 1, 3, 0, "1000", "110", "890", "1100", "1100", "09:30:29.999999"),
        ("09:30:30", "09:31:00", 3, 1, 2, 0, "10", "525.50", "-515.50", "574.50", "584.50", "09:30:40"),
        ("09:31:00", "09:31:30", 2, 0, 2, 1, "0", "135", "-135", "449.50", "449.50", "09:31:05"),
    )
    found = [tuple(row[name] for name in names) for row in windows(warehouse)]
    assert found == [
        (clock(first), clock(end), *numbers, *map(Decimal, money), clock(last))
        for first, end, *rest, last in by_hand
        for numbers, money in [(rest[:4], rest[4:])]
    ]


def test_the_late_event_stands_in_its_own_table_with_the_reason(warehouse: DuckLakeWarehouse) -> None:
    work = prepared(warehouse, GOLDEN)
    written(warehouse, work)
    (row,) = warehouse.query(f"select * from {LATE_EVENTS}").to_pylist()
    expected = {
        "topic": "bank_transactions", "topic_id": "first", "partition": 0, "offset": 7, "event_id": "first-0-7",
        "subject_token": "ann", "event_time": clock("09:30:29"), "window_start": clock("09:30:00"),
        "window_end": clock("09:30:30"), "watermark": clock("09:30:30"), "amount": Decimal("-5.00"),
        "category": "card", "run_id": "run-1",
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert work.traced.schema == TRACED_SCHEMA
    traced = work.traced.to_pylist()
    assert [row["offset"] for row in traced] == list(range(10)), "every message has exactly one outcome"
    assert [row["outcome"] for row in traced] == ["recorded"] * 7 + ["late"] + ["recorded"] * 2
    assert traced[7]["reason"] == "its window ended 2026-07-01 09:30:30, watermark 2026-07-01 09:30:30"


# -------------------------------------------------------------------- batches are no part of the answer


def test_a_later_batch_adds_to_a_window_and_only_to_that(warehouse: DuckLakeWarehouse) -> None:
    run(warehouse, *GOLDEN[:5], run_id="run-1")
    first = warehouse.query(f"select * from {WINDOWS} where window_start = ?", [clock("09:30:30")]).to_pylist()
    rows = run(warehouse, GOLDEN[5], run_id="run-2")
    assert rows == {WINDOWS: 1, LATE_EVENTS: 0, WATERMARKS: 1}
    assert counts(warehouse) == {"09:30:00": 4, "09:30:30": 2}
    runs = warehouse.query(f"select run_id from {WINDOWS} order by window_start")["run_id"].to_pylist()
    assert runs == ["run-2", "run-1"]
    again = warehouse.query(f"select * from {WINDOWS} where window_start = ?", [clock("09:30:30")]).to_pylist()
    assert again == first


def test_a_late_event_of_a_later_batch_does_not_reopen_its_window(warehouse: DuckLakeWarehouse) -> None:
    run(warehouse, *GOLDEN[:7])
    closed = windows(warehouse)
    assert run(warehouse, GOLDEN[7]) == {WINDOWS: 0, LATE_EVENTS: 1, WATERMARKS: 1}
    assert windows(warehouse) == closed


def test_of_two_bookings_of_one_instant_the_later_message_has_the_last_balance(warehouse: DuckLakeWarehouse) -> None:
    at = clock("09:30:10")
    run(warehouse, Event(0, at, balance="30.00"), Event(1, at, balance="20.00"))
    assert [row["last_balance"] for row in windows(warehouse)] == [Decimal("20.00")]
    run(warehouse, Event(2, at, balance="25.00"), Event(3, at, balance=None))
    assert [row["last_balance"] for row in windows(warehouse)] == [Decimal("25.00")]
    run(warehouse, Event(4, at - timedelta(seconds=1), balance="1.00"))
    assert [(row["last_balance"], row["min_balance"]) for row in windows(warehouse)] == [(Decimal(25), Decimal(1))]


_LAKES = itertools.count()
_CUSTOMERS = {0: ("ann", "bob"), 1: ("cy",)}  # a customer's messages are in one partition


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[Event], list[int]]:
    """Messages in the order of reading, and where that is cut into batches."""
    size = draw(st.integers(1, 14))
    ends: dict[int, int] = {}
    events = []
    for number in range(size):
        partition = draw(st.sampled_from([0, 1]))
        offset = ends[partition] = ends.get(partition, -1) + draw(st.integers(1, 2))  # compaction leaves gaps
        kafka_time = DAY + timedelta(seconds=10 * number)
        events.append(
            Event(
                offset,
                kafka_time + timedelta(seconds=draw(st.integers(-80, 20))),
                str(draw(st.integers(-300, 300))),
                draw(st.sampled_from(["card", "returned_payment"])),
                draw(st.sampled_from([None, "5.00", "7.25", "-3.10"])),
                draw(st.sampled_from(_CUSTOMERS[partition])),
                partition,
                kafka_time,
            )
        )
    return events, sorted(draw(st.sets(st.integers(1, size), max_size=4)))


def by_the_rules(events: Sequence[Event]) -> tuple[dict[tuple[str, datetime], list[Event]], set[str]]:
    """The rules once more, one message after the other."""
    reached: dict[int, datetime] = {}
    kept: dict[tuple[str, datetime], list[Event]] = {}
    too_late = set()
    for event in events:
        start = event.at - timedelta(seconds=event.at.second % 30, microseconds=event.at.microsecond)
        furthest = reached.get(event.partition)
        if furthest is not None and start + timedelta(seconds=30) <= furthest - timedelta(seconds=10):
            too_late.add(f"{event.topic_id}-{event.partition}-{event.offset}")
        else:
            kept.setdefault((event.customer, start), []).append(event)
        own = min(event.at, event.kafka_time)
        reached[event.partition] = own if furthest is None else max(own, furthest)
    return kept, too_late


def summary(events: Sequence[Event]) -> tuple[object, ...]:
    amounts = [Decimal(event.amount) for event in events]
    known = [event for event in events if event.balance is not None]
    last = max(known, key=lambda event: (event.at, event.offset)) if known else None
    return (
        len(events),
        sum(amount > 0 for amount in amounts),
        sum(amount < 0 for amount in amounts),
        sum(event.category == "returned_payment" for event in events),
        sum(amount for amount in amounts if amount > 0),
        -sum(amount for amount in amounts if amount < 0),
        sum(amounts),
        min((Decimal(event.balance) for event in known if event.balance), default=None),
        Decimal(last.balance) if last and last.balance else None,
        max(event.at for event in events),
    )


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckLakeWarehouse]:
    lake = DuckLakeWarehouse(tmp_path_factory.mktemp("windows") / "lake", threads=1)
    yield lake
    lake.close()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(log=logs())
def test_the_same_log_cut_in_any_way_gives_the_same_windows(
    shared: DuckLakeWarehouse, log: tuple[list[Event], list[int]]
) -> None:
    mine = f"log-{next(_LAKES)}"
    events = [event._replace(topic_id=mine, customer=f"{mine}/{event.customer}") for event in log[0]]
    for start, end in itertools.pairwise([0, *log[1], len(events)]):
        run(shared, *events[start:end])

    kept, too_late = by_the_rules(events)
    found = shared.query(
        f"""
        select subject_token, window_start, n_transactions, n_credits, n_debits, n_returned_payments, sum_in, sum_out,
            net, min_balance, last_balance, last_event_time
        from {WINDOWS} where subject_token like ? || '/%'
        """,
        [mine],
    ).to_pylist()
    assert {(token, start): tuple(rest) for token, start, *rest in (row.values() for row in found)} == {
        key: summary(of_window) for key, of_window in kept.items()
    }
    assert {name for name in late(shared) if name.startswith(f"{mine}-")} == too_late


# -------------------------------------------------------------------- whose clock counts


def test_customers_stay_apart_and_partitions_have_their_own_watermark(warehouse: DuckLakeWarehouse) -> None:
    run(
        warehouse,
        Event(0, clock("09:30:01"), customer="ann"),
        Event(1, clock("09:30:02"), customer="bob"),
        Event(2, clock("09:35:00"), customer="bob"),
        Event(3, clock("09:30:03"), customer="ann"),  # late: bob's partition is hers
        Event(0, clock("09:30:04"), customer="cy", partition=1),  # in time: his partition has seen nothing else
    )
    assert counts(warehouse, "ann") == {"09:30:00": 1}
    assert counts(warehouse, "bob") == {"09:30:00": 1, "09:35:00": 1}
    assert counts(warehouse, "cy") == {"09:30:00": 1}
    assert late(warehouse) == ["first-0-3"]


def test_one_clock_that_runs_fast_does_not_make_everybody_late(warehouse: DuckLakeWarehouse) -> None:
    kafka_time = clock("09:30:05")
    run(warehouse, Event(0, datetime(2099, 1, 1), customer="fast", kafka_time=kafka_time))
    run(warehouse, Event(1, clock("09:30:04"), kafka_time=kafka_time))
    assert counts(warehouse) == {"09:30:00": 1}
    assert late(warehouse) == []


def test_a_topic_that_was_made_again_starts_without_a_watermark(warehouse: DuckLakeWarehouse) -> None:
    run(warehouse, Event(500, clock("12:00:00")))
    run(warehouse, Event(0, clock("09:30:00"), topic_id="second"))
    assert counts(warehouse) == {"09:30:00": 1, "12:00:00": 1}
    assert late(warehouse) == []


# -------------------------------------------------------------------- all of it or nothing


def test_a_transaction_that_fails_leaves_neither_windows_nor_watermark(warehouse: DuckLakeWarehouse) -> None:
    run(warehouse, *GOLDEN[:5])
    before = [warehouse.query(f"select * from {table} order by all") for table in (WINDOWS, WATERMARKS, LATE_EVENTS)]
    work = prepared(warehouse, GOLDEN[5:])

    def killed() -> None:
        with warehouse.transaction(work.staged) as transaction:
            work.write(transaction)
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        killed()
    after = [warehouse.query(f"select * from {table} order by all") for table in (WINDOWS, WATERMARKS, LATE_EVENTS)]
    assert after == before
    written(warehouse, work)
    assert counts(warehouse) == {"09:30:00": 4, "09:30:30": 3, "09:31:00": 2}


def test_two_runs_that_read_the_same_messages_count_them_once(warehouse: DuckLakeWarehouse) -> None:
    """A run that was taken for dead and the one in its place: the second to commit is refused."""
    dead, its_heir = prepared(warehouse, GOLDEN), prepared(warehouse, GOLDEN, "run-2")
    written(warehouse, its_heir)
    with pytest.raises(NotReadyError, match="another run has written"):
        written(warehouse, dead)
    assert counts(warehouse) == {"09:30:00": 4, "09:30:30": 3, "09:31:00": 2}
    assert late(warehouse) == ["first-0-7"]


def test_runs_of_different_partitions_do_not_get_in_each_others_way(warehouse: DuckLakeWarehouse) -> None:
    first = prepared(warehouse, [Event(0, clock("09:30:00"))])
    second = prepared(warehouse, [Event(0, clock("09:30:01"), partition=1)])
    written(warehouse, second)
    written(warehouse, first)
    assert counts(warehouse) == {"09:30:00": 2}, "a topic that was given more partitions may split a window"


def test_a_first_batch_without_a_sound_message_still_makes_the_tables(warehouse: DuckLakeWarehouse) -> None:
    assert run(warehouse) == {WINDOWS: 0, LATE_EVENTS: 0, WATERMARKS: 0}
    empty = {table: warehouse.columns(table) for table in (WINDOWS, LATE_EVENTS, WATERMARKS)}
    assert windows(warehouse) == late(warehouse) == []
    run(warehouse, *GOLDEN)
    assert {table: warehouse.columns(table) for table in empty} == empty
    assert empty[WINDOWS]["sum_out"] == empty[WINDOWS]["min_balance"] == "DECIMAL(18,2)"
    assert empty[WINDOWS]["n_transactions"] == "BIGINT"
    assert empty[WINDOWS]["last_balance_at"] == empty[LATE_EVENTS]["watermark"] == "TIMESTAMP"
