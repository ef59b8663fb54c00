"""A source landed again with other content: exactly what changed, and exactly the scores that were made before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest

from credit_risk_platform.adapters import restated_scores, restatements
from credit_risk_platform.adapters.landing import MACRO_SERIES
from credit_risk_platform.adapters.ledger import LEDGER
from credit_risk_platform.adapters.restatements import KEYS_TABLE, MONTHS, Restatement
from tests.loan_files import Lake, loan, make_lake, write

MART, PANEL = "gold/application_features", "gold/behaviour_features"
BEFORE, AFTER, LATER = datetime(2026, 7, 1, 2), datetime(2026, 7, 2, 2), datetime(2026, 7, 3, 2)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """One lake for the module: each test lands another source."""
    made = make_lake(tmp_path_factory.mktemp("lake"))
    yield made
    made.warehouse.close()


@pytest.fixture(scope="module")
def restated(lake: Lake) -> Restatement:
    """Two months of LendingClub's, the second one landed again: L103 and L107 changed, L111 gone, L900 new."""
    quiet, month = months(30, "Nov-2011"), months(30, "Dec-2011", start=100)
    land(lake, "a.csv", quiet + month, BEFORE)
    present = [dict(row) for row in month]
    present[3] |= {"annual_inc": "99000"}
    present[7] |= {"dti": "1.5", "loan_status": "Charged Off"}
    del present[11]
    present.append(loan(900, issue_d="Dec-2011"))
    land(lake, "b.csv", present + quiet, AFTER)  # rows stand elsewhere in the file, which is no change
    found = last(lake)
    assert restatements.record(lake.warehouse, lake.root, found)
    return found


def land(lake: Lake, name: str, rows: list[dict[str, str]], at: datetime, source: str = "lending_club") -> None:
    lake.land(write(lake.root.parent / name, rows), source, landed_at=at.replace(tzinfo=UTC))


def months(rows: int, month: str, start: int = 0) -> list[dict[str, str]]:
    return [loan(start + number, issue_d=month) for number in range(rows)]


def ledger(lake: Lake, scores: list[dict[str, Any]]) -> None:
    """Ledger rows with what a restatement looks at."""
    schema = pa.schema(
        [("score_id", pa.string()), ("loan_id", pa.string()), ("as_of", pa.date32()), ("known_at", pa.timestamp("us")),
         ("upstream", pa.string()), ("kafka_topic", pa.string())]
    )  # fmt: skip
    lake.warehouse.replace_table(LEDGER, pa.Table.from_pylist(scores, schema))


def score(loan_id: str, storage_id: int | None, known_at: datetime, **more: Any) -> dict[str, Any]:
    named = [{"asset": "models/champion", "partition": None, "storage_id": 1}]
    if storage_id is not None:
        named.append({"asset": MART, "partition": None, "storage_id": storage_id})
    made = {"loan_id": loan_id, "as_of": known_at.date(), "known_at": known_at, "upstream": json.dumps(named)}
    return {**made, "score_id": f"{loan_id}@{known_at:%m-%dT%H}", **more}


def built(**at: datetime) -> pa.Table:
    """`built(m10=...)`: build 10 of the mart was made then."""
    rows = [{"asset": MART, "storage_id": int(name[1:]), "built_at": when} for name, when in at.items()]
    return pa.Table.from_pylist(rows, restated_scores.BUILT_SCHEMA)


def of(lake: Lake, dataset: str) -> list[Restatement]:
    return [found for found in restatements.restatements(lake.root) if found.dataset == dataset]


def last(lake: Lake, dataset: str = "lending_club_loans") -> Restatement:
    return of(lake, dataset)[-1]


def listed(
    lake: Lake, dataset: str, table: str = KEYS_TABLE, columns: str = "key, change, columns"
) -> list[tuple[Any, ...]]:
    found = lake.warehouse.query(f"select {columns} from {table} where dataset = ? order by 1", [dataset])
    return [tuple(row.values()) for row in found.to_pylist()]


def test_a_month_landed_again_lists_exactly_the_keys_that_differ_and_the_columns(
    lake: Lake, restated: Restatement
) -> None:
    assert listed(lake, restated.dataset) == [
        ("L103", "changed", ["annual_inc"]),
        ("L107", "changed", ["dti", "loan_status"]),
        ("L111", "removed", []),
        ("L900", "added", []),
    ]
    counts = "month, rows_before, rows_after, added, removed, changed, hash_before <> hash_after"
    assert listed(lake, restated.dataset, MONTHS, counts) == [(date(2011, 12, 1), 30, 30, 1, 1, 2, True)]


def test_the_same_rows_in_another_file_list_nothing_and_recording_twice_changes_nothing(lake: Lake) -> None:
    book, rows = "synthetic_loans", months(20, "Dec-2011")
    land(lake, "a.csv", rows, BEFORE, "synthetic")
    assert of(lake, book) == [], "a first landing restates nothing"
    land(lake, "a.csv", rows, AFTER, "synthetic")
    assert of(lake, book) == [], "the same file lands once"
    land(lake, "b.csv", rows[::-1], AFTER, "synthetic")
    found = last(lake, book)
    assert restatements.record(lake.warehouse, lake.root, found)
    ledger(lake, [score("L3", 10, BEFORE)])
    assert restated_scores.record(lake.warehouse, found, [MART], built(m10=BEFORE)) == 0
    assert listed(lake, book) == listed(lake, book, MONTHS, "month") == []
    snapshot = lake.warehouse.snapshot()
    assert not restatements.record(lake.warehouse, lake.root, found)
    assert lake.warehouse.snapshot() == snapshot
    land(lake, "a.csv", rows, LATER, "synthetic")
    back = last(lake, book)
    assert back.pair[1:] == found.pair[:0:-1], "a book that comes back is compared with the one it replaces"
    assert back.landed_at == LATER, "and counts again from then on"


def test_a_dropped_file_that_states_loans_anew_is_compared_with_the_files_before_it(lake: Lake) -> None:
    land(lake, "november.csv", months(5, "Nov-2011"), BEFORE, "landing")
    land(lake, "december.csv", months(5, "Dec-2011", start=100), AFTER, "landing")
    assert of(lake, "landing_loans") == [], "a file of new loans restates none"
    again = [*months(4, "Dec-2011", start=100), loan(104, issue_d="Dec-2011", dti="9.5")]
    land(lake, "december-corrected.csv", again, LATER, "landing")
    restatements.record(lake.warehouse, lake.root, last(lake, "landing_loans"))
    assert listed(lake, "landing_loans") == [("L104", "changed", ["dti"])]


def test_the_scores_listed_are_those_made_from_the_version_before(lake: Lake, restated: Restatement) -> None:
    early, late = datetime(2026, 7, 1, 5), datetime(2026, 7, 2, 5)
    made = [
        score("L103", 10, early),
        score("L111", 10, early),
        score("L1", 10, early),  # not restated
        score("L103", 10, late),  # scored after the landing, from the marts of the day before
        score("L111", 11, late),  # from marts built after the landing
        score("L900", 10, early),  # was not there to be scored from
        score("L103", 12, datetime(2026, 7, 1, 6)),  # nobody knows when build 12 was: the run began before the landing
        score("L103", 12, datetime(2026, 7, 2, 6)),
        score("L103", None, datetime(2026, 7, 1, 7)),  # reads no mart: an application by API that bears the same number
    ]
    ledger(lake, made)
    decisions = pa.table({"score_id": ["L103@07-01T05", "L1@07-01T05"], "outcome": ["approve", "decline"]})
    lake.warehouse.replace_table("gold.decisions", decisions)
    when = built(m10=datetime(2026, 7, 1, 4), m11=datetime(2026, 7, 2, 4))
    for _ in range(2):
        assert restated_scores.record(lake.warehouse, restated, [MART, "gold/loan_outcomes"], when) == 4
    assert listed(lake, restated.dataset, restated_scores.TABLE, "score_id, outcome") == [
        ("L103@07-01T05", "approve"), ("L103@07-01T06", None), ("L103@07-02T05", None), ("L111@07-01T05", None),
    ]  # fmt: skip
    told = restated_scores.shown(lake.warehouse, restated)
    assert (told["scores"], told["loans"], told["decisions"]) == (4, 2, 1)
    assert told["by_day"].select(["as_of", "scores", "loans", "decisions"]).to_pylist() == [
        {"as_of": date(2026, 7, 2), "scores": 1, "loans": 1, "decisions": 0},
        {"as_of": date(2026, 7, 1), "scores": 3, "loans": 2, "decisions": 1},
    ]
    assert restated_scores.pointers(lake.warehouse, [MART]).sort_by("storage_id")["storage_id"].to_pylist() == [
        10,
        11,
        12,
    ]


def test_a_restated_macro_value_touches_loans_decided_since_it_was_public(lake: Lake) -> None:
    row = {"series_id": "UNRATE", "observation_date": date(2026, 5, 1), "value": 5.0,
           "publication_date": date(2026, 6, 5), "vintage_date": date(2026, 6, 5)}  # fmt: skip
    old = [row, row | {"observation_date": date(2026, 4, 1), "publication_date": date(2026, 5, 5)}]
    for at, values in ((BEFORE, old), (AFTER, [row | {"value": 5.5}, old[1]])):
        table = pa.Table.from_pylist(values)
        landed_at = at.replace(tzinfo=UTC)
        lake.bronze.land_table(table, "macro", MACRO_SERIES, file="series", run_id="run", landed_at=landed_at)
    found = last(lake, "macro_series")
    restatements.record(lake.warehouse, lake.root, found)
    assert listed(lake, "macro_series") == [("UNRATE 2026-05-01 2026-06-05", "changed", ["value"])]
    early = datetime(2026, 7, 1, 5)
    outcomes = pa.table({"loan_id": ["old", "new"], "decision_date": [date(2026, 6, 4), date(2026, 6, 5)]})
    lake.warehouse.replace_table("gold.loan_outcomes", outcomes)
    ledger(lake, [score("old", 10, early), score("new", 10, early), score("call", None, early, upstream="[]"),
                  score("call", None, LATER, upstream="[]")])  # fmt: skip
    assert restated_scores.record(lake.warehouse, found, [MART], built(m10=BEFORE)) == 2
    assert listed(lake, "macro_series", restated_scores.TABLE, "score_id") == [("call@07-01T05",), ("new@07-01T05",)]
