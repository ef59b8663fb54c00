"""The early-warning files on a real lake: complete, harmless in a spreadsheet, the same again, and without a person."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from credit_risk_platform.adapters import early_warning_files as exports
from credit_risk_platform.adapters.csv_exports import export
from credit_risk_platform.adapters.early_warning_files import QUERIES, TABLES
from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import Gold
from credit_risk_platform.defs.automation.conditions import automate
from credit_risk_platform.defs.early_warning import checks
from credit_risk_platform.defs.early_warning.assets import early_warning_files
from credit_risk_platform.domain.contracts.column import Stage
from credit_risk_platform.domain.contracts.loan_columns import INPUT
from credit_risk_platform.settings import Settings

DAY = date(2026, 6, 30)
FEATURES = """
    select loan_id, 'synthetic' as source_system, loan_id || '-token' as subject_token,
        date '2026-01-01' as issue_month, date '2026-01-05' as decision_date,
        1000.0 as loan_amount, 36.0 as term_months, purpose,
        'Individual' as application_type, -5.0 as annual_income, null::double as employment_length_years,
        'RENT' as home_ownership, 0.45 as dti, 10.0 as revolving_balance, 0.9 as revolving_utilisation,
        700.0 as bureau_score, 3.0 as n_open_accounts, 0.0 as delinq_2y, 1.0 as inquiries_6m, 0.0 as public_records
    from (values ('A', '=cmd|''/C calc''!A0'), ('B', '+1'), ('C', 'car, "used"'), ('D', null)) as t (loan_id, purpose)
"""
OUTCOMES = """
    select unnest(['A', 'B', 'C', 'D']) as loan_id, 'immature' as outcome, null::date as default_date,
        date '2026-06-30' as observed_through
"""
SEGMENT = {"as_of": DAY, "rules_fired": 1, "rules_measured": 5, "not_measurable": "EW-04", "exposure_basis": "balance"}
SEGMENTS = [
    {**SEGMENT, "loan_id": "A", "segment": "watch", "rule_ids": "EW-01", "exposure": Decimal("100.00")},
    {**SEGMENT, "loan_id": "B", "segment": "high", "rule_ids": "EW-03", "exposure": Decimal("50.00")},
    {**SEGMENT, "loan_id": "C", "segment": "standard", "rule_ids": None, "exposure": Decimal("10.50")},
]
WATCHLIST = [
    {"loan_id": "A", "subject_token": "a", "segment": "watch", "evidence": "-1", "exposure": Decimal("100.00")},
    {"loan_id": "B", "subject_token": "b", "segment": "high", "evidence": "@x", "exposure": Decimal("50.00")},
]
SCORES = [
    {"loan_id": name, "as_of": day, "pd": pd, "band": "Low", "decision": "approve"}
    for day, pd in ((date(2026, 6, 29), 0.5), (DAY, 0.03125))
    for name in "AB"
]


COVERAGE = """
    select 'EW-04' as rule_id, 'Behavioural PD risen' as rule_name, 'high' as severity, 'not measurable' as status,
        3 as judged, 0 as measured, 3 as not_measurable, 0 as fired, 'written by the stream' as reason
"""
PORTFOLIO = """
    select 'EW-12' as rule_id, 'state' as segment_kind, 'CA' as segment, null::date as period, '' as evidence,
        'clear' as status
"""
ROWS = {
    "gold.application_features": Select(FEATURES),
    "gold.loan_outcomes": Select(OUTCOMES),
    "gold.risk_segments": pa.Table.from_pylist(SEGMENTS),
    "gold.watchlist": pa.Table.from_pylist(WATCHLIST),
    "gold.kpi_summary": pa.table({"evaluated": ["at_decision"], "lift": pa.array([None], pa.float64())}),
    "gold.portfolio_scores": pa.Table.from_pylist(SCORES),
    "gold.early_warning_coverage": Select(COVERAGE),
    "gold.portfolio_warnings": Select(PORTFOLIO),
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> DuckLakeWarehouse:
    lake = DuckLakeWarehouse(tmp_path_factory.mktemp("home") / "warehouse")
    for table, rows in ROWS.items():
        lake.replace_table(table, rows)
    return lake


@pytest.fixture(scope="module")
def first(lake: DuckLakeWarehouse) -> tuple[dg.ExecuteInProcessResult, Path]:
    """The run on the tables as they stand above, and the folder it filled."""
    return run_on(lake)


@contextmanager
def instead(lake: DuckLakeWarehouse, **tables: pa.Table) -> Iterator[None]:
    """Other rows in some gold tables, for a while."""
    for name, rows in tables.items():
        lake.replace_table(f"gold.{name}", rows)
    yield
    for name in tables:
        lake.replace_table(f"gold.{name}", ROWS[f"gold.{name}"])


def run_on(lake: DuckLakeWarehouse) -> tuple[dg.ExecuteInProcessResult, Path]:
    settings = Settings(home=lake.root.parent)
    resources = {"warehouse": lake, "settings": settings}
    return dg.materialize([early_warning_files], resources=resources, raise_on_error=False), settings.paths.exports


def red_after(lake: DuckLakeWarehouse, folder: Path) -> set[str]:
    """Write the files without a run; the checks that are red."""
    found = checks.results(exports.write(lake, folder), exports.agreement(lake))
    return {str(check.check_name) for check in found if not check.passed}


def read(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as rows:
        return list(csv.DictReader(rows))


def version_of(run: dg.ExecuteInProcessResult) -> str:
    (event,) = run.get_asset_materialization_events()
    return event.step_materialization_data.materialization.tags["dagster/data_version"]


def test_the_five_files_of_the_source_system_are_there_and_the_asset_says_what_is_in_them(
    first: tuple[dg.ExecuteInProcessResult, Path],
) -> None:
    run, folder = first
    assert run.success
    assert sorted(file.name for file in folder.iterdir()) == sorted(QUERIES)
    assert [row["loan_id"] for row in read(folder / "early_warning_watchlist.csv")] == ["B", "A"], "worst first"
    assert read(folder / "kpi_summary.csv") == [{"evaluated": "at_decision", "lift": ""}]
    predicted = {row["loan_id"]: row["pd"] for row in read(folder / "risk_segments_with_predictions.csv")}
    assert predicted == {"A": "0.03125", "B": "0.03125", "C": ""}, "of the latest scored day"
    (event,) = run.get_asset_materialization_events()
    metadata = event.step_materialization_data.materialization.metadata
    content = (folder / "clean_loans.csv").read_bytes()
    line = f"| clean_loans.csv | 4 | {len(content)} | {hashlib.sha256(content).hexdigest()} |"
    assert line in str(metadata["files"].value)
    assert "written by the stream" in str(metadata["rules"].value)
    red = {check.check_name for check in run.get_asset_check_evaluations() if not check.passed}
    assert red == {"every_open_loan_is_scored"}, "C has no prediction: told, and the files are there all the same"


def test_no_cell_is_a_formula_and_every_text_survives(first: tuple[dg.ExecuteInProcessResult, Path]) -> None:
    _, folder = first
    rows = read(folder / "clean_loans.csv")
    assert [row["purpose"] for row in rows] == ["'=cmd|'/C calc'!A0", "'+1", 'car, "used"', ""]
    assert float(rows[0]["annual_income"]) == -5, "a number is no formula"
    assert [row["evidence"] for row in read(folder / "early_warning_watchlist.csv")] == ["'@x", "'-1"]


def test_no_file_has_a_column_that_names_a_person(first: tuple[dg.ExecuteInProcessResult, Path]) -> None:
    personal = {column.name for column in INPUT if column.pii or column.stage in (Stage.PERSON, Stage.RESTRICTED)}
    assert {"customer_id", "age"} <= personal
    for file in first[1].iterdir():
        header = set(next(csv.reader(file.read_text().splitlines())))
        assert not header & personal, file.name
        assert file.name == "early_warning_watchlist.csv" or "subject_token" not in header


def test_the_same_marts_in_another_order_give_the_same_bytes_and_the_same_version(
    lake: DuckLakeWarehouse, first: tuple[dg.ExecuteInProcessResult, Path]
) -> None:
    run, folder = first
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    turned = {"watchlist": WATCHLIST[::-1], "risk_segments": SEGMENTS[::-1]}
    with instead(lake, **{name: pa.Table.from_pylist(rows) for name, rows in turned.items()}):
        again, _ = run_on(lake)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert version_of(again) == version_of(run)


def test_an_empty_watch_list_is_a_file_with_a_header(lake: DuckLakeWarehouse, tmp_path: Path) -> None:
    nobody, standard = pa.Table.from_pylist(WATCHLIST).slice(0, 0), pa.Table.from_pylist(SEGMENTS[2:])
    with instead(lake, watchlist=nobody, risk_segments=standard):
        assert "files_hold_every_loan" not in red_after(lake, tmp_path)
    header = (tmp_path / "early_warning_watchlist.csv").read_text()
    assert header == '"loan_id","subject_token","segment","evidence","exposure"\n'


def test_a_flagged_loan_that_is_not_on_the_list_turns_the_check_red(lake: DuckLakeWarehouse, tmp_path: Path) -> None:
    with instead(lake, watchlist=pa.Table.from_pylist(WATCHLIST[:1])):
        assert "files_hold_every_loan" in red_after(lake, tmp_path)


def test_a_loan_scored_twice_turns_the_check_red(lake: DuckLakeWarehouse, tmp_path: Path) -> None:
    with instead(lake, portfolio_scores=pa.Table.from_pylist([*SCORES, SCORES[-1]])):
        assert "files_hold_every_loan" in red_after(lake, tmp_path)


def test_before_the_marts_the_run_says_what_to_materialise(tmp_path: Path) -> None:
    run, folder = run_on(DuckLakeWarehouse(tmp_path / "warehouse"))
    assert not run.success
    error = str(run.failure_data_for_node("gold__early_warning_files").error)
    assert all(table.replace(".", "/") in error for table in TABLES)
    assert not folder.exists()


def test_a_query_that_fails_half_way_leaves_yesterdays_file(lake: DuckLakeWarehouse, tmp_path: Path) -> None:
    file = tmp_path / "segments.csv"
    export(lake, "select 1 as n", file)
    failing = "select case when n < 300000 then n else error('the roof leaks') end as n from range(400000) as t (n)"
    with pytest.raises(OSError, match="the roof leaks"):
        export(lake, failing, file)
    assert file.read_text() == '"n"\n1\n'
    assert [one.name for one in tmp_path.iterdir()] == ["segments.csv"]


def test_the_files_follow_the_marts_and_the_scoring_but_never_come_before_the_first(lake: DuckLakeWarehouse) -> None:
    days = dg.DailyPartitionsDefinition("2026-06-01", end_date="2026-07-01")
    marts = [dg.AssetSpec(key) for key in early_warning_files.dependency_keys if key != Gold.PORTFOLIO_SCORES]
    scores = dg.AssetSpec(Gold.PORTFOLIO_SCORES, partitions_def=days)
    resources = {"warehouse": lake, "settings": Settings(home=lake.root.parent)}
    graph = dg.Definitions(assets=[*automate([early_warning_files]), *marts, scores], resources=resources)

    def requested(instance: dg.DagsterInstance, cursor: Any = None) -> tuple[int, Any]:
        result = dg.evaluate_automation_conditions(graph, instance=instance, cursor=cursor)
        return result.get_num_requested(Gold.EARLY_WARNING_FILES), result.cursor

    with dg.DagsterInstance.ephemeral() as instance:
        _, cursor = requested(instance)
        for mart in marts:
            instance.report_runless_asset_event(dg.AssetMaterialization(mart.key))
        asked, cursor = requested(instance, cursor)
        assert asked == 0, "nothing is scored yet"
        instance.report_runless_asset_event(dg.AssetMaterialization(Gold.PORTFOLIO_SCORES, partition="2026-06-30"))
        asked, cursor = requested(instance, cursor)
        assert asked == 1
        instance.report_runless_asset_event(dg.AssetMaterialization(Gold.EARLY_WARNING_FILES))
        _, cursor = requested(instance, cursor)
        instance.report_runless_asset_event(dg.AssetMaterialization(Gold.WATCHLIST))
        assert requested(instance, cursor)[0] == 1
