"""The ingestion room in a real Dagster: assets, their checks, what a bad file turns red, and the sensor."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from credit_risk_platform.adapters.drop_folder import DropFolder
from credit_risk_platform.catalog import Bronze, Group
from credit_risk_platform.defs import ingestion
from credit_risk_platform.defs.ingestion.sensors import ATTEMPTS, TAG, look
from credit_risk_platform.domain.contracts.loan_columns import LOAN_COLUMNS
from credit_risk_platform.resources import build_resources
from credit_risk_platform.settings import Settings
from tests.loan_files import COLUMNS, line, loan, text, write

BRONZE = {
    Bronze.SYNTHETIC_LOANS,
    Bronze.SYNTHETIC_REPAYMENTS,
    Bronze.LENDING_CLUB_LOANS,
    Bronze.LANDING_LOANS,
    Bronze.MACRO_SERIES,
}
CHECKS = {
    "landing_errors",
    "schema_contract",
    "source_row_reconciliation",
    "duplicate_event_id",
    "future_timestamp",
    "row_count_anomaly",
    "reject_rate",
}


@dataclass
class Room:
    """The room on a home of its own."""

    settings: Settings
    instance: dg.DagsterInstance
    resources: dict[str, Any]

    @property
    def definitions(self) -> dg.Definitions:
        made = ingestion.definitions(self.settings)
        return dg.Definitions(
            assets=made.assets, sensors=made.sensors, resources=self.resources, executor=dg.in_process_executor
        )

    def run(self, *keys: dg.AssetKey, config: dict[str, Any] | None = None) -> dg.ExecuteInProcessResult:
        job = self.definitions.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.instance, raise_on_error=False, asset_selection=list(keys), run_config=config or {}
        )

    @property
    def folder(self) -> Path:
        path = self.settings.paths.landing
        path.mkdir(parents=True, exist_ok=True)
        return path


def open_room(home: Path) -> Room:
    settings = Settings(home=home, synthetic_loans=300)
    return Room(settings, dg.DagsterInstance.ephemeral(), build_resources(settings))


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    opened = open_room(tmp_path)
    yield opened
    opened.instance.dispose()


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Room, dg.ExecuteInProcessResult]]:
    """All five assets, landed once with nothing but the defaults of a fresh clone."""
    opened = open_room(tmp_path_factory.mktemp("fresh"))
    yield opened, opened.run(*BRONZE)
    opened.instance.dispose()


def metadata(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> dict[str, Any]:
    (event,) = result.asset_materializations_for_node(key.to_python_identifier())
    return {
        name: [record.data for record in value.records] if isinstance(value, dg.TableMetadataValue) else value.value
        for name, value in event.metadata.items()
    }


def red(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {found.check_name: found for found in result.get_asset_check_evaluations() if not found.passed}


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    assert event.step_failure_data.user_failure_data is not None
    return str(event.step_failure_data.user_failure_data.description)


# ------------------------------------------------------------------------------------------------ a fresh clone


def test_a_fresh_clone_lands_every_source(landed: tuple[Room, dg.ExecuteInProcessResult]) -> None:
    _, result = landed
    assert result.success
    events = {event.asset_key: event for event in result.get_asset_materialization_events()}
    rows = {key: event.materialization.metadata["dagster/row_count"].value for key, event in events.items()}
    assert set(rows) == BRONZE
    assert rows[Bronze.SYNTHETIC_LOANS] == 300
    assert rows[Bronze.LENDING_CLUB_LOANS] == rows[Bronze.LANDING_LOANS] == 0
    assert rows[Bronze.MACRO_SERIES] > 300


def test_every_bronze_asset_is_checked_and_green(landed: tuple[Room, dg.ExecuteInProcessResult]) -> None:
    _, result = landed
    found = {(check.asset_key, check.check_name) for check in result.get_asset_check_evaluations()}
    assert found == {(key, name) for key in BRONZE for name in CHECKS}
    assert red(result) == {}


def test_an_empty_table_says_how_to_fill_it(landed: tuple[Room, dg.ExecuteInProcessResult]) -> None:
    _, result = landed
    assert "CRP_LENDING_CLUB_PATH" in metadata(result, Bronze.LENDING_CLUB_LOANS)["how_to_fill"]
    assert "Drop loan files" in metadata(result, Bronze.LANDING_LOANS)["how_to_fill"]


def test_an_analyst_sees_the_contract_and_some_rows_and_no_person(
    landed: tuple[Room, dg.ExecuteInProcessResult],
) -> None:
    _, result = landed
    (event,) = [e for e in result.get_asset_materialization_events() if e.asset_key == Bronze.SYNTHETIC_LOANS]
    shown = event.materialization.metadata
    schema = shown["dagster/column_schema"].schema
    assert [column.name for column in schema.columns] == [column.name for column in LOAN_COLUMNS]
    (dti,) = [column for column in schema.columns if column.name == "dti"]
    assert dti.tags == {"stage": "core"}
    assert dti.constraints.other == ["-1 to 999"]
    preview = shown["preview"].value
    assert "S000000001" in preview
    assert "token" not in preview


def test_the_same_inputs_give_the_same_data_versions_wherever_and_whenever(
    landed: tuple[Room, dg.ExecuteInProcessResult], tmp_path: Path
) -> None:
    first, _ = landed
    second = open_room(tmp_path)
    second.run(Bronze.SYNTHETIC_LOANS, Bronze.SYNTHETIC_REPAYMENTS, Bronze.MACRO_SERIES)
    for key in (Bronze.SYNTHETIC_LOANS, Bronze.SYNTHETIC_REPAYMENTS, Bronze.MACRO_SERIES):
        records = [room.instance.get_latest_materialization_event(key) for room in (first, second)]
        assert len({r.asset_materialization.tags["dagster/data_version"] for r in records}) == 1  # type: ignore[union-attr]
    second.instance.dispose()


def test_a_blocking_check_stands_before_everything_that_would_read_a_broken_table() -> None:
    specs = {spec.name: spec for spec in ingestion.checks.specs(Bronze.LANDING_LOANS)}
    assert {name for name, spec in specs.items() if spec.blocking} == {
        "landing_errors",
        "schema_contract",
        "source_row_reconciliation",
        "duplicate_event_id",
    }


# ------------------------------------------------------------------------------------------------ the drop folder


def test_dropped_files_land_and_move_to_the_archive(room: Room) -> None:
    write(room.folder / "a.csv", [loan(1), loan(2, dti="-5")])
    result = room.run(Bronze.LANDING_LOANS)
    assert result.success
    shown = metadata(result, Bronze.LANDING_LOANS)
    assert (shown["rows_in"], shown["dagster/row_count"], shown["rows_rejected"]) == (2, 1, 1)
    assert "| a.csv | 3 | dti | -5 | out_of_range |" in shown["reject_sample"]
    assert shown["rejects_by_reason"] == [{"reason": "out_of_range", "rows": 1}]
    assert set(red(result)) == {"reject_rate"}
    assert [file.name for file in (room.folder / "archive").iterdir()] == [f"{shown['files'][0]['batch']}-a.csv"]


def test_the_same_file_dropped_again_adds_nothing(room: Room) -> None:
    for _ in range(2):
        write(room.folder / "a.csv", [loan(1)])
        result = room.run(Bronze.LANDING_LOANS)
        assert metadata(result, Bronze.LANDING_LOANS)["dagster/row_count"] == 1
    assert metadata(result, Bronze.LANDING_LOANS)["files"][0]["landed before"]


def test_a_renamed_column_fails_the_run_and_turns_the_contract_check_red(room: Room) -> None:
    write(room.folder / "good.csv", [loan(1)])
    room.run(Bronze.LANDING_LOANS)
    text(room.folder / "bad.csv", line(2), header=",".join(COLUMNS).replace("loan_amnt", "loan_amount"))
    result = room.run(Bronze.LANDING_LOANS)
    assert not result.success
    assert "bad.csv, column 'loan_amnt'" in failure(result)
    check = red(result)["schema_contract"]
    assert check.blocking
    assert check.metadata["column"].value == "loan_amnt"
    assert set(red(result)) == {"schema_contract"}
    assert (room.folder / "failed" / "bad.csv.error.txt").read_text().startswith("bad.csv, column 'loan_amnt'")
    assert room.resources["warehouse"].count("bronze.landing_loans") == 1


def test_one_bad_file_does_not_keep_a_good_one_from_landing(room: Room) -> None:
    write(room.folder / "good.csv", [loan(1)])
    (room.folder / "bad.csv").write_bytes(b"")
    result = room.run(Bronze.LANDING_LOANS)
    assert not result.success
    assert "bad.csv: the file is empty" in failure(result)
    assert metadata(result, Bronze.LANDING_LOANS)["dagster/row_count"] == 1
    assert set(red(result)) == {"landing_errors"}


def test_half_the_rows_of_last_time_is_worth_a_warning(room: Room) -> None:
    file = write(room.folder.parent / "book.csv", [loan(n) for n in range(10)])
    half = write(room.folder.parent / "half.csv", [loan(n) for n in range(5)])
    config = {"ops": {"bronze__lending_club_loans": {"config": {"path": str(file)}}}}
    assert red(room.run(Bronze.LENDING_CLUB_LOANS, config=config)) == {}
    config["ops"]["bronze__lending_club_loans"]["config"]["path"] = str(half)
    result = room.run(Bronze.LENDING_CLUB_LOANS, config=config)
    assert result.success
    assert red(result)["row_count_anomaly"].severity == dg.AssetCheckSeverity.WARN


def test_a_new_column_is_reported_as_a_minor_bump_and_breaks_nothing(room: Room) -> None:
    write(room.folder / "a.csv", [loan(1, shoe_size="44")])
    result = room.run(Bronze.LANDING_LOANS)
    assert red(result) == {}
    assert "contract minor bump: shoe_size" in metadata(result, Bronze.LANDING_LOANS)["contract"]


# ------------------------------------------------------------------------------------------------ other sources


def test_lending_club_s_file_lands_from_the_settings(room: Room, datasets: Path) -> None:
    path = datasets / "lendingclub" / "lc_accepted_2007_2018Q4_sample2000.csv.gz"
    room.settings = room.settings.model_copy(update={"lending_club_path": path})
    room.resources = build_resources(room.settings)
    result = room.run(Bronze.LENDING_CLUB_LOANS)
    assert result.success
    assert metadata(result, Bronze.LENDING_CLUB_LOANS)["dagster/row_count"] == 2_000


def test_a_path_without_a_file_fails_and_says_what_to_set(room: Room) -> None:
    config = {"ops": {"bronze__lending_club_loans": {"config": {"path": "/nowhere/loans.csv"}}}}
    result = room.run(Bronze.LENDING_CLUB_LOANS, config=config)
    assert "Set CRP_LENDING_CLUB_PATH" in failure(result)
    assert set(red(result)) == {"landing_errors"}


def test_macro_series_come_from_fred_s_files_where_the_settings_name_them(room: Room, datasets: Path) -> None:
    room.settings = room.settings.model_copy(update={"macro_path": datasets / "macro"})
    room.resources = build_resources(room.settings)
    result = room.run(Bronze.MACRO_SERIES)
    assert result.success
    assert red(result) == {}
    assert metadata(result, Bronze.MACRO_SERIES)["source"] == "fred"


def test_a_broken_macro_file_fails_with_its_name_and_column(room: Room, tmp_path: Path) -> None:
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "UNRATE_monthly.csv").write_text("date,UNRATE\n2020-01-01,3.6\n")
    room.settings = room.settings.model_copy(update={"macro_path": tmp_path / "series"})
    room.resources = build_resources(room.settings)
    result = room.run(Bronze.MACRO_SERIES)
    assert "UNRATE_monthly.csv" in failure(result)
    assert "observation_date" in failure(result)


# ------------------------------------------------------------------------------------------------ the sensor


def settled(file: Path) -> Path:
    os.utime(file, (time.time() - 60, time.time() - 60))
    return file


def test_the_sensor_asks_for_a_run_once_files_have_settled(room: Room) -> None:
    folder = DropFolder(room.folder)
    assert "No CSV file waits" in str(look(folder, room.instance, time.time()))
    file = write(room.folder / "a.csv", [loan(1)])
    assert "still be growing" in str(look(folder, room.instance, time.time()))
    settled(file)
    request = look(folder, room.instance, time.time())
    assert isinstance(request, dg.RunRequest)
    assert request.run_key == f"{folder.waiting().signature}-1"
    assert look(folder, room.instance, time.time()) == request, "looking must not change anything"


def test_files_of_a_lost_run_are_tried_again_but_not_for_ever(room: Room) -> None:
    settled(write(room.folder / "a.csv", [loan(1)]))
    folder = DropFolder(room.folder)
    for attempt in range(1, ATTEMPTS + 1):
        request = look(folder, room.instance, time.time())
        assert isinstance(request, dg.RunRequest)
        assert request.run_key == f"{folder.waiting().signature}-{attempt}"
        run = room.instance.create_run_for_job(
            room.definitions.resolve_implicit_global_asset_job_def(), tags=dict(request.tags)
        )
        assert "being landed" in str(look(folder, room.instance, time.time()))
        room.instance.report_run_failed(run)
    assert TAG in str(look(folder, room.instance, time.time()))


def test_the_sensor_belongs_to_the_room_and_ships_as_the_settings_say(room: Room) -> None:
    running = room.settings.model_copy(update={"automation_running": True})
    (sensor,) = ingestion.definitions(running).sensors or ()
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING  # type: ignore[union-attr]
    (sensor,) = ingestion.definitions(room.settings).sensors or ()
    assert sensor.default_status == dg.DefaultSensorStatus.STOPPED  # type: ignore[union-attr]


def test_all_sources_are_in_the_group_the_nightly_job_selects(room: Room) -> None:
    specs = {spec.key: spec for spec in room.definitions.resolve_all_asset_specs()}
    assert {key for key, spec in specs.items() if spec.group_name == Group.SOURCES} == BRONZE
