"""Fraud signals on a real lake: rings are seen whole, honest people left alone, and looking twice adds nothing."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

import pyarrow as pa
import pytest

from credit_risk_platform.adapters.fraud_signals import RAW, TABLE, counts, look, newest
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from tests.decision_book import NOON, RAW_SCHEMA, applied, raw_rows

BOOK = "bronze.synthetic_loans"
NOW = NOON + timedelta(days=1)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckLakeWarehouse]:
    warehouse = DuckLakeWarehouse(tmp_path_factory.mktemp("lake"))
    yield warehouse
    warehouse.close()


@pytest.fixture
def warehouse(lake: DuckLakeWarehouse) -> DuckLakeWarehouse:
    with lake.transaction() as transaction:
        for table in (TABLE, RAW, BOOK):
            transaction._cursor.execute(f"drop table if exists {table}")
    return lake


def book(warehouse: DuckLakeWarehouse, *more: dict, loans: int = 200) -> None:
    rows = [applied(k, loan_id=f"B{k}", subject_token=f"booked-{k}", application_date=date(2025, 1, 1)) for k in
            range(5_000, 5_000 + loans)]  # fmt: skip
    warehouse.replace_table(BOOK, pa.Table.from_pylist([*rows, *more], RAW_SCHEMA))


def found(warehouse: DuckLakeWarehouse, signal: str) -> dict[str, float]:
    rows = warehouse.query(f"select event_id, value from {TABLE} where signal = ?", [signal]).to_pylist()
    return {row["event_id"]: row["value"] for row in rows}


def ring(first: int = 900) -> list[dict]:
    """Five people who state the same identity."""
    same = {"annual_inc": 61_234.0, "revol_bal": 4_321.0, "earliest_cr_line": date(2011, 5, 1), "total_acc": 17}
    return [applied(first + k, **same) for k in range(5)]


def test_a_ring_of_five_is_flagged_whole_and_the_honest_ones_are_not(warehouse):
    book(warehouse)
    raw_rows(warehouse, [*(applied(k) for k in range(300)), *ring()])
    assert look(warehouse, BOOK, NOW, "run") == 5
    assert found(warehouse, "duplicate_identity") == {f"A{900 + k:06d}": 5.0 for k in range(5)}


def test_the_first_of_a_ring_is_flagged_once_the_others_have_come(warehouse):
    book(warehouse)
    raw_rows(warehouse, ring()[:1])
    assert look(warehouse, BOOK, NOW, "early") == 0
    raw_rows(warehouse, ring())
    assert look(warehouse, BOOK, NOW + timedelta(hours=1), "late") == 5
    seen = warehouse.query(f"select distinct seen_at, run_id, threshold from {TABLE}").to_pylist()
    assert seen == [{"seen_at": NOW + timedelta(hours=1), "run_id": "late", "threshold": 2.0}]


def test_someone_who_copies_a_customer_of_the_book_is_flagged(warehouse):
    victim = ring()[0] | {"loan_id": "B1", "subject_token": "victim", "application_date": date(2024, 1, 1)}
    book(warehouse, victim)
    raw_rows(warehouse, [ring()[0], applied(1)])
    look(warehouse, BOOK, NOW, "run")
    assert found(warehouse, "duplicate_identity") == {"A000900": 2.0}


def test_the_same_customer_may_state_the_same_again(warehouse):
    book(warehouse)
    raw_rows(warehouse, [row | {"subject_token": "one person"} for row in ring()[:2]])
    assert look(warehouse, BOOK, NOW, "run") == 0


def test_people_of_whom_little_is_known_are_not_taken_for_one(warehouse):
    """The API's shortest application names no first credit line: two of them with equal income prove nothing."""
    book(warehouse)
    raw_rows(warehouse, [row | {"earliest_cr_line": None} for row in ring()])
    assert look(warehouse, BOOK, NOW, "run") == 0


def test_three_applications_within_a_week_are_flagged_and_three_in_three_weeks_are_not(warehouse):
    book(warehouse)
    fast = [applied(k, subject_token="hasty", event_time=NOON + timedelta(days=3 * k)) for k in range(3)]
    slow = [applied(10 + k, subject_token="calm", event_time=NOON + timedelta(days=5 * k)) for k in range(3)]
    raw_rows(warehouse, [*fast, *slow])
    look(warehouse, BOOK, NOON + timedelta(days=20), "run")
    assert found(warehouse, "velocity") == {f"A{k:06d}": 3.0 for k in range(3)}


def test_one_application_asked_three_times_is_one_application(warehouse):
    book(warehouse)
    raw_rows(warehouse, [applied(1, event_id=f"call-{k}") for k in range(3)])
    assert look(warehouse, BOOK, NOW, "run") == 0


def test_loans_landed_this_week_count_towards_velocity(warehouse):
    landed = [applied(k, loan_id=f"B{k}", subject_token="hasty", application_date=NOON.date()) for k in (1, 2)]
    book(warehouse, *landed)
    raw_rows(warehouse, [applied(7, subject_token="hasty"), applied(8)])
    look(warehouse, BOOK, NOW, "run")
    assert found(warehouse, "velocity") == {"A000007": 3.0}


def test_an_amount_far_above_its_peers_is_flagged_with_its_distance(warehouse):
    """Ratios exp(-1 + 0.1 * d), d = -100..100 in steps of 1 per cent: median -1, MAD 0.05, sd 0.0741.

    An applicant who asks for his whole income has ln ratio 0: (0 + 1) / 0.0741 = 13.49.
    """
    peers = [
        applied(k, loan_id=f"B{k}", annual_inc=1.0, loan_amnt=float(2.718281828459045 ** (-1 + 0.001 * (k - 100))),
                application_date=date(2025, 1, 1))
        for k in range(201)
    ]  # fmt: skip
    warehouse.replace_table(BOOK, pa.Table.from_pylist(peers, RAW_SCHEMA))
    asked = {"annual_inc": 40_000.0, "purpose": "car"}
    rows = [applied(1, loan_amnt=40_000.0, **asked), applied(2, loan_amnt=15_000.0, **asked),
            applied(3, loan_amnt=40_000.0, annual_inc=40_000.0, purpose="boat")]  # fmt: skip
    raw_rows(warehouse, rows)
    look(warehouse, BOOK, NOW, "run")
    assert found(warehouse, "amount_anomaly") == {"A000001": pytest.approx(1 / (1.4826 * 0.05))}


def test_looking_twice_adds_nothing_and_a_signal_stays(warehouse):
    book(warehouse)
    raw_rows(warehouse, ring())
    assert [look(warehouse, BOOK, NOW, run) for run in ("first", "second")] == [5, 0]
    raw_rows(warehouse, [applied(1, event_time=NOON + timedelta(days=60))])
    assert look(warehouse, BOOK, NOW + timedelta(days=61), "third") == 0
    assert warehouse.count(TABLE) == 5
    (duplicate,) = [row for row in counts(warehouse) if row["applications"]]
    assert (duplicate["signal"], duplicate["threshold"]) == ("duplicate_identity", "2 customers")
    assert newest(warehouse, 2).num_rows == 2


def test_a_wrong_clock_does_not_blind_the_others(warehouse):
    book(warehouse)
    raw_rows(warehouse, [*ring(), applied(1, event_time=datetime(2199, 1, 1))])
    assert look(warehouse, BOOK, NOW, "run") == 5


def test_without_applications_or_a_landed_book_there_is_an_empty_table(warehouse):
    assert look(warehouse, BOOK, NOW, "run") == 0
    assert warehouse.count(TABLE) == 0
    raw_rows(warehouse, [*(applied(k) for k in range(60)), applied(99, loan_amnt=900_000.0), *ring()])
    look(warehouse, BOOK, NOW, "run")
    assert set(found(warehouse, "amount_anomaly")) == {"A000099"}
