"""What rooms make of the same rows is the same on Snowflake as on DuckLake: decisions, archive, restatements."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from credit_risk_platform.adapters import (
    adverse_action,
    archive,
    archive_restore,
    archive_tables,
    decisions,
    fraud_signals,
    policy_record,
    portfolio_figures,
    restated_scores,
    restatements,
)
from credit_risk_platform.adapters.archive_store import ArchiveStore
from credit_risk_platform.adapters.ledger import LEDGER, SCORES
from credit_risk_platform.adapters.reports import adverse_actions
from credit_risk_platform.adapters.warehouse.base import Select, Warehouse
from credit_risk_platform.adapters.warehouse.snowflake import SnowflakeWarehouse
from tests.archive_book import DAY as ARRIVED
from tests.archive_book import NOW, copy_archive_book
from tests.cloud.snowflake_server import Fakesnow
from tests.decision_book import make_decision_book
from tests.loan_files import loan, make_lake, write
from tests.scoring_book import DAY, Book

LOANS = 300

pytestmark = pytest.mark.slow
"""Five stories on two engines each."""


@pytest.fixture
def snowflake(fakesnow: Fakesnow, tmp_path: Path) -> Iterator[SnowflakeWarehouse]:
    warehouse = fakesnow.warehouse(fakesnow.settings(tmp_path / "snowflake"))
    yield warehouse
    warehouse.close()


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    made = make_decision_book(tmp_path_factory.mktemp("book"), LOANS)
    lake = made.warehouse
    policy_record.record(lake, policy_record.on_file(lake, made.policies), datetime(2026, 7, 1))
    lake.append_missing(fraud_signals.TABLE, fraud_signals.SCHEMA.empty_table(), ["event_id", "signal"])
    yield made
    made.close()


def told(source: Warehouse, target: Warehouse, *tables: str) -> None:
    """The same rows in the other warehouse."""
    with target.transaction() as transaction:
        for table in tables:
            transaction.replace_table(table, source.query(f"select * from {table}"))


def rows(warehouse: Warehouse, table: str, order: str, columns: str = "*") -> list[dict[str, Any]]:
    return warehouse.query(f"select {columns} from {table} order by {order}").to_pylist()


def test_the_same_scores_are_decided_upon_and_told_in_the_same_words(book: Book, snowflake: SnowflakeWarehouse) -> None:
    lake = book.warehouse
    suspect = (
        f"select event_id, 'velocity' as signal, 'run' as run_id from {decisions.SCORES} order by event_id limit 60"
    )
    lake.append_missing(fraud_signals.TABLE, Select(suspect), ["event_id", "signal"])
    told(lake, snowflake, decisions.SCORES, LEDGER, policy_record.TABLE, fraud_signals.TABLE)

    assert decisions.decide(snowflake) == decisions.decide(lake) == LOANS
    made = rows(snowflake, decisions.TABLE, "score_id")
    assert made == rows(lake, decisions.TABLE, "score_id")
    texts = book.policy().reason_codes.texts
    assert {row["route"] for row in made} == {decisions.AUTO, decisions.PERSON, decisions.FRAUD}
    for row in made:
        assert row["reason_texts"] == (row["reasons"] and [texts[code] for code in row["reasons"]])

    assert adverse_action.write(snowflake) == adverse_action.write(lake) > 0
    assert rows(snowflake, adverse_action.TABLE, "score_id") == rows(lake, adverse_action.TABLE, "score_id")
    assert adverse_action.differing(snowflake, 50) == []
    for asked in (decisions.faults, decisions.lost, decisions.mix, decisions.paths, decisions.top_reasons):
        assert plain(asked(snowflake)) == plain(asked(lake))
    assert not any(count for count, _ in decisions.faults(snowflake).values())
    assert adverse_actions.report(snowflake, DAY).sections == adverse_actions.report(lake, DAY).sections
    assert decisions.decide(snowflake) == 0


def test_a_decision_without_its_words_is_found(book: Book, snowflake: SnowflakeWarehouse) -> None:
    lake = book.warehouse
    decisions.decide(lake)
    shortened = "case when place = 1 then [''] when place = 2 then [] else reason_texts end as reason_texts"
    spoilt = f"""
        select * exclude (place) replace ({shortened})
        from (
            select *, row_number() over (order by score_id) as place from {decisions.TABLE}
            where policy_decision <> 'approve'
        )
    """
    lake.replace_table("gold.spoilt", Select(spoilt))
    snowflake.replace_table(decisions.TABLE, lake.query("select * from gold.spoilt"))
    count, examples = decisions.faults(snowflake)["without_text"]
    assert (count, len(examples)) == (2, 2)


def test_scores_without_good_reasons_are_counted_alike(book: Book, snowflake: SnowflakeWarehouse) -> None:
    lake = book.warehouse
    lake.replace_table(SCORES, Select(f"select score_id, as_of, decision, {_SPOILT} as reasons from {LEDGER}"))
    told(lake, snowflake, SCORES)
    known = sorted({row["code"] for row in rows(lake, f"(select unnest(reasons) as code from {LEDGER})", "code")})
    found = portfolio_figures.unreasoned(snowflake, DAY, known, None)
    assert found == portfolio_figures.unreasoned(lake, DAY, known, None)
    assert min(found["approved_with_reasons"], found["wrong_number"], found["unknown_reason"]) > 0


_SPOILT = """
    case row_number() over (order by score_id) % 4 when 0 then reasons when 1 then ['AA99']
        when 2 then ['AA01', 'AA01'] else [] end
"""


def test_the_archive_of_a_day_holds_the_same_events_and_brings_them_back(
    tmp_path: Path, fakesnow: Fakesnow, snowflake: SnowflakeWarehouse
) -> None:
    lake = copy_archive_book(tmp_path / "lake")
    told(lake.warehouse, snowflake, *(table.name for table in archive_tables.TABLES))
    store = ArchiveStore(tmp_path / "archive")
    made = archive.archive_day(snowflake, store, lake.reports / "none", ARRIVED, run_id="run-1", now=NOW)
    counted = {table.table: table.rows for table in made.manifest.tables}
    assert counted == {table.table: table.rows for table in lake.archive().manifest.tables}
    assert all(one.equal for one in archive_restore.compare(snowflake, store, made.manifest, made.snapshot))
    assert archive_restore.out_of_date(snowflake, store, ARRIVED + timedelta(days=1), days=3) == []

    empty = fakesnow.warehouse(fakesnow.settings(tmp_path / "empty"))
    back = {one.table: one for one in archive_restore.restore(store, ARRIVED, empty)}
    assert {name: one.added for name, one in back.items()} == {name: n for name, n in counted.items() if n}
    empty.replace(
        ARCHIVED, Select(f'select * replace (1.00 as amount) from {ARCHIVED} where "offset" = 5'), '"offset" = 5'
    )
    again = {one.table: one for one in archive_restore.restore(store, ARRIVED, empty)}
    assert (again[ARCHIVED].added, again[ARCHIVED].differing) == (0, 2)
    empty.close()
    lake.warehouse.close()


ARCHIVED = "bronze.raw_repayments"


def test_a_book_landed_again_lists_the_same_keys_months_and_scores(
    tmp_path: Path, snowflake: SnowflakeWarehouse
) -> None:
    lake = make_lake(tmp_path)
    book = [loan(k, issue_d="Dec-2011") for k in range(30)]
    present = [row | {"annual_inc": "99000"} if k == 3 else row for k, row in enumerate(book) if k != 11]
    for day, (name, content) in enumerate({"a.csv": book, "b.csv": [*present, loan(900, issue_d="Jan-2012")]}.items()):
        lake.land(write(tmp_path / name, content), "lending_club", landed_at=datetime(2026, 7, 1 + day, tzinfo=UTC))
    [found] = restatements.restatements(lake.root)
    built = pa.Table.from_pylist(
        [{"asset": MART, "storage_id": 10, "built_at": datetime(2026, 7, 1)}], restated_scores.BUILT_SCHEMA
    )
    for warehouse in (lake.warehouse, snowflake):
        warehouse.replace_table(LEDGER, _scores())
        assert restatements.record(warehouse, lake.root, found)
        assert restated_scores.pointers(warehouse, [MART]).to_pylist() == [{"asset": MART, "storage_id": 10}]
        assert restated_scores.record(warehouse, found, [MART], built) == 2
    for table, order in TABLES.items():
        assert rows(snowflake, table, order) == rows(lake.warehouse, table, order)
    assert not restatements.record(snowflake, lake.root, found)
    shown = restatements.shown(snowflake, found), restatements.shown(lake.warehouse, found)
    assert plain(shown[0]["columns"]) == plain(shown[1]["columns"]) == [{"column": "annual_inc", "keys": 1}]
    assert restated_scores.shown(snowflake, found)["examples"] == ["L11@2026-06-30", "L3@2026-06-30"]
    lake.warehouse.close()


MART = "gold/application_features"
TABLES = {
    restatements.SUMMARY: "batch", restatements.KEYS_TABLE: "key", restatements.MONTHS: "month",
    restated_scores.TABLE: "score_id",
}  # fmt: skip


def _scores() -> pa.Table:
    upstream = f'[{{"asset": "models/champion", "storage_id": 1}}, {{"asset": "{MART}", "storage_id": 10}}]'
    listed = [
        {"score_id": f"{loan_id}@{DAY}", "loan_id": loan_id, "as_of": DAY, "known_at": datetime(2026, 7, 1, 6),
         "upstream": upstream, "kafka_topic": None}
        for loan_id in ("L3", "L7", "L11")
    ]  # fmt: skip
    kinds = [("score_id", pa.string()), ("loan_id", pa.string()), ("as_of", pa.date32()),
             ("known_at", pa.timestamp("us")), ("upstream", pa.string()), ("kafka_topic", pa.string())]  # fmt: skip
    return pa.Table.from_pylist(listed, pa.schema(kinds))


def plain(found: Any) -> Any:
    """A mean depends in its last digits on the order in which an engine adds."""
    if isinstance(found, pa.Table):
        return plain(found.to_pylist())
    if isinstance(found, dict):
        return {name: plain(value) for name, value in found.items()}
    if isinstance(found, list | tuple):
        return [plain(value) for value in found]
    return round(found, 12) if isinstance(found, float) else found
