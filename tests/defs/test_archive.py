"""The archive room on a real lake and a real event log: days as partitions, and what a restated source touches."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from credit_risk_platform.adapters import restated_scores
from credit_risk_platform.adapters.archive_manifest import manifest_name
from credit_risk_platform.adapters.archive_store import ArchiveStore
from credit_risk_platform.adapters.ledger import LEDGER
from credit_risk_platform.adapters.restatements import KEYS_TABLE
from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import PORTFOLIO_DAYS, Bronze, Gold, Monitoring
from credit_risk_platform.cli.main import app
from credit_risk_platform.defs.archive.daily import archive_daily
from credit_risk_platform.defs.archive.restated import build_restatement_diff
from credit_risk_platform.settings import PortfolioSource, Settings
from tests.archive_book import DAY, NEXT, ArchiveBook, open_book, write_events
from tests.loan_files import Lake, loan, make_lake, write


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def shown(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> dict[str, Any]:
    (event,) = [e for e in result.get_asset_materialization_events() if e.asset_key == key]
    return {name: value.value for name, value in event.materialization.metadata.items()}


# -------------------------------------------------------------------- the daily archive


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, ArchiveBook]]:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    book = open_book(settings.home)
    book.store = ArchiveStore(settings.paths.archive)
    book.reports = settings.paths.reports / "drift"
    write_events(book, 40)
    yield settings, book
    book.warehouse.close()


def archive(
    home: tuple[Settings, ArchiveBook], instance: dg.DagsterInstance, day: dt.date, **more: Any
) -> dg.ExecuteInProcessResult:
    resources = {"settings": home[0], "warehouse": home[1].warehouse}
    return dg.materialize(
        [archive_daily], partition_key=day.isoformat(), instance=instance, resources=resources, **more
    )


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {one.check_name: one for one in result.get_asset_check_evaluations()}


def test_a_day_is_archived_checked_and_restored_by_the_command(
    home: tuple[Settings, ArchiveBook], instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    missed = archive(home, instance, NEXT)
    behind = checks(missed)["archive_up_to_date"]
    assert not behind.passed, "the day before was never archived"
    assert behind.metadata["days"].value == DAY.isoformat()
    assert missed.success, "an older day that is missing must not keep this one from being archived"
    result = archive(home, instance, DAY)
    page = shown(result, Monitoring.ARCHIVE_DAILY)
    assert page["dagster/row_count"] == 20 * 3 + 3 + 2 + 2 + 6
    assert checks(result)["archive_complete"].metadata["rows_in"].value == page["dagster/row_count"]
    assert all(one.passed for one in checks(result).values())
    assert Path(page["manifest"]).is_file()

    where = ["--day", DAY.isoformat(), "--archive", str(home[0].paths.archive), "--home", str(tmp_path), "--json"]
    verified = CliRunner().invoke(app, ["archive", "verify", *where])
    assert (verified.exit_code, json.loads(verified.stdout)["problems"]) == (0, [])
    restored = CliRunner().invoke(app, ["archive", "restore", *where])
    assert restored.exit_code == 0
    assert sum(one["added"] for one in json.loads(restored.stdout)) == page["dagster/row_count"]
    never = CliRunner().invoke(app, ["archive", "verify", "--day", "2020-01-01", "--home", str(tmp_path)])
    assert (never.exit_code, "2020-01-01 is not archived" in never.stderr) == (1, True)


def test_a_day_whose_events_the_lake_has_lost_fails_and_says_how_to_get_them_back(
    home: tuple[Settings, ArchiveBook], instance: dg.DagsterInstance
) -> None:
    book = home[1]
    archive(home, instance, DAY)
    before = book.store.read(manifest_name(DAY))
    whole = book.warehouse.query("select * from bronze.late_events")
    book.warehouse.replace_table("bronze.late_events", Select("select * from bronze.late_events limit 0"))
    try:
        failed = archive(home, instance, DAY, raise_on_error=False)
    finally:
        book.warehouse.replace_table("bronze.late_events", whole)
    assert not failed.success
    (event,) = [e for e in failed.all_events if e.event_type is dg.DagsterEventType.STEP_FAILURE]
    assert "crp archive restore --day 2026-06-30" in str(event.step_failure_data.error)
    assert book.store.read(manifest_name(DAY)) == before


def stub(key: dg.AssetKey, **more: Any) -> dg.AssetsDefinition:
    @dg.asset(key=key, **more)
    def made() -> None: ...

    return made


def test_a_day_s_drift_reports_bring_its_archive_up_to_date_and_a_micro_batch_does_not(
    home: tuple[Settings, ArchiveBook], instance: dg.DagsterInstance
) -> None:
    raw, report = stub(Bronze.RAW_APPLICATIONS), stub(Monitoring.FEATURE_DRIFT_REPORT, partitions_def=PORTFOLIO_DAYS)
    resources = {"settings": home[0], "warehouse": home[1].warehouse}
    graph = dg.Definitions(assets=[raw, report, archive_daily], resources=resources)

    def asked(cursor: Any = None) -> Any:
        return dg.evaluate_automation_conditions(graph, instance=instance, cursor=cursor)

    first = asked()
    dg.materialize([raw], instance=instance)
    second = asked(first.cursor)
    assert second.get_num_requested(Monitoring.ARCHIVE_DAILY) == 0
    dg.materialize([report], partition_key=DAY.isoformat(), instance=instance)
    third = asked(second.cursor)
    assert third.get_requested_partitions(Monitoring.ARCHIVE_DAILY) == {DAY.isoformat()}


# -------------------------------------------------------------------- restatements

MART = stub(Gold.APPLICATION_FEATURES)


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def build_mart(instance: dg.DagsterInstance) -> int:
    """Storage id of a fresh build of the mart, as the ledger would name it."""
    assert dg.materialize([MART], instance=instance).success
    event = instance.get_latest_materialization_event(Gold.APPLICATION_FEATURES)
    assert event is not None
    (record,) = instance.fetch_materializations(Gold.APPLICATION_FEATURES, limit=1).records
    return record.storage_id


def scored(warehouse: DuckLakeWarehouse, loans: range, storage_id: int, day: dt.date) -> None:
    upstream = json.dumps([{"asset": "gold/application_features", "partition": None, "storage_id": storage_id}])
    rows = [
        {"score_id": f"L{k}@{day}", "loan_id": f"L{k}", "as_of": day, "known_at": now().replace(tzinfo=None),
         "upstream": upstream, "kafka_topic": None}
        for k in loans
    ]  # fmt: skip
    schema = pa.schema(
        [("score_id", pa.string()), ("loan_id", pa.string()), ("as_of", pa.date32()), ("known_at", pa.timestamp("us")),
         ("upstream", pa.string()), ("kafka_topic", pa.string())]
    )  # fmt: skip
    warehouse.append_missing(LEDGER, pa.Table.from_pylist(rows, schema), ["score_id"])


def diff(lake: Lake, settings: Settings, instance: dg.DagsterInstance) -> dict[str, Any]:
    asset = build_restatement_diff(settings)
    resources = {"warehouse": lake.warehouse, "settings": settings}
    return shown(dg.materialize([asset], instance=instance, resources=resources), Monitoring.RESTATEMENT_DIFF)


def test_a_restated_month_lists_its_keys_and_every_score_and_decision_made_before(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    settings = Settings(home=tmp_path, portfolio_source=PortfolioSource.LENDING_CLUB)
    lake = make_lake(tmp_path)
    rows = [loan(k, issue_d="Dec-2011", annual_inc=str(30_000 + k)) for k in range(60)]
    lake.land(write(tmp_path / "a.csv", rows), "lending_club", landed_at=now())
    old_mart = build_mart(instance)
    scored(lake.warehouse, range(60), old_mart, DAY)
    restated = {k for k in range(60) if k % 7 == 3}
    changed = [row | {"annual_inc": "1"} if k in restated else row for k, row in enumerate(rows)]
    lake.land(write(tmp_path / "b.csv", changed), "lending_club", landed_at=now())
    scored(lake.warehouse, range(30), old_mart, NEXT)  # scored after the landing, before the marts followed it
    time.sleep(1.1)  # receipts tell the second
    new_mart = build_mart(instance)
    scored(lake.warehouse, range(30, 60), new_mart, NEXT)
    taken = [f"L{k}@{DAY}" for k in range(0, 60, 2)]
    lake.warehouse.replace_table("gold.decisions", pa.table({"score_id": taken, "outcome": ["approve"] * len(taken)}))

    page = diff(lake, settings, instance)
    by_hand = {f"L{k}@{DAY}" for k in restated} | {f"L{k}@{NEXT}" for k in restated if k < 30}
    keys = lake.warehouse.query(f"select key, columns from {KEYS_TABLE}").to_pylist()
    assert {row["key"] for row in keys} == {f"L{k}" for k in restated}
    assert {tuple(row["columns"]) for row in keys} == {("annual_inc",)}
    listed = lake.warehouse.query(f"select score_id from {restated_scores.TABLE}")["score_id"].to_pylist()
    assert sorted(listed) == sorted(by_hand)
    assert page["restated_scores"] == len(by_hand)
    assert page["restated_decisions"] == len(set(taken) & by_hand)
    assert f"| {NEXT} | 4 | 4 | 0 | 4 |" in page["lending_club_loans"], "days, scores, loans, decisions"
    lake.warehouse.close()
