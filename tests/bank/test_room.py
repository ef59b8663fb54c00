"""The room in a real Dagster: one system down, two green; who is not set up; the schedule; nothing secret kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from credit_risk_platform.adapters.kafka_ports import free_port
from credit_risk_platform.catalog import Bronze
from credit_risk_platform.defs import bank_systems
from credit_risk_platform.resources import build_resources
from credit_risk_platform.settings import Settings
from tests.bank_book import SCHEMAS, Bank
from tests.postgres_server import HOST, PASSWORD, Postgres

ALL = {Bronze.RAW_CRM_CUSTOMERS, Bronze.RAW_CORE_ACCOUNTS, Bronze.RAW_BUREAU_PULLS}


def run(settings: Settings, instance: dg.DagsterInstance, *keys: dg.AssetKey, **config: Any) -> Any:
    made = bank_systems.definitions(settings)
    definitions = dg.Definitions(
        assets=made.assets, resources=build_resources(settings), executor=dg.in_process_executor
    )
    return definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, raise_on_error=False, asset_selection=list(keys) or None, run_config=config
    )


def green(result: Any) -> set[dg.AssetKey]:
    return {event.asset_key for event in result.all_events if event.is_step_materialization}


@pytest.fixture
def two_of_three(server: Postgres, tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    """A CRM and a bureau that answer, and a core banking system that is down."""
    crm = Bank.opened(server, tmp_path / "unused", f"{request.node.name[:40]} crm")
    crm.customers(1, 3)
    crm.database.sql("update customers set customer_since = null where customer_id = 'C3'")
    bureau = server.another(f"{request.node.name[:40]} bureau")
    bureau.sql(SCHEMAS["bureau"])
    down = crm.database.url.replace(f":{server.port}/", f":{free_port(HOST)}/")
    return Settings(
        home=tmp_path / "home", crm_database_url=crm.database.url, bureau_database_url=bureau.url,
        core_banking_database_url=down,
    )  # fmt: skip


def test_one_system_down_fails_alone_and_no_log_or_event_holds_a_password(
    two_of_three: Settings, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:
        result = run(two_of_three, instance)
        assert not result.success
        assert green(result) == ALL - {Bronze.RAW_CORE_ACCOUNTS}
        [failure] = [event for event in result.all_events if event.is_step_failure]
        assert failure.step_failure_data.error.message.count("core_banking: it cannot be reached at 127.0.0.1") == 1
        [customers] = [
            event.materialization for event in result.all_events
            if event.is_step_materialization and event.asset_key == Bronze.RAW_CRM_CUSTOMERS
        ]  # fmt: skip
        counts = {name: customers.metadata[name].value for name in ("rows_in", "rows_landed", "rows_rejected")}
        assert counts == {"rows_in": 3, "rows_landed": 2, "rows_rejected": 1}
        checks = {event.asset_check_evaluation_data.check_name: event.asset_check_evaluation_data.passed
                  for event in result.all_events if event.event_type_value == "ASSET_CHECK_EVALUATION"
                  and event.asset_check_evaluation_data.asset_key == Bronze.RAW_CRM_CUSTOMERS}  # fmt: skip
        assert checks == {"source_row_reconciliation": True, "reject_rate": False}
        logged = "".join(str(record) for record in instance.all_logs(result.run_id))
    printed = capfd.readouterr()
    kept = "".join(
        file.read_bytes().decode("latin-1")
        for folder in (tmp_path / "dagster", two_of_three.home)
        for file in folder.rglob("*")
        if file.is_file()
    )
    everything = logged + printed.out + printed.err + kept
    assert "cannot be reached" in everything
    for form in (PASSWORD, "hush%3Ahush", "hush:hush"):
        assert form not in everything


def test_a_system_without_a_url_says_which_setting_to_set(settings: Settings) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = run(settings, instance, Bronze.RAW_BUREAU_PULLS)
    [failure] = [event for event in result.all_events if event.is_step_failure]
    assert "CRP_BUREAU_DATABASE_URL is not set" in failure.step_failure_data.user_failure_data.description


def test_the_schedule_asks_for_what_is_set_up_and_skips_where_nothing_is(tmp_path: Path) -> None:
    def tick(**urls: str) -> Any:
        made = bank_systems.definitions(Settings(home=tmp_path, **urls))
        [schedule] = made.schedules or ()
        assert isinstance(schedule, dg.ScheduleDefinition)
        assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 2 * * *", "UTC")
        context = dg.build_schedule_context(repository_def=dg.Definitions(
            assets=made.assets, jobs=made.jobs, resources={"settings": None, "warehouse": None}
        ).get_repository_def())  # fmt: skip
        return schedule.evaluate_tick(context)

    skipped = tick()
    assert "set any of CRP_CRM_DATABASE_URL" in (skipped.skip_message or "")
    [request] = tick(bureau_database_url="postgresql://u:p@localhost/bureau").run_requests
    assert request.asset_selection == [Bronze.RAW_BUREAU_PULLS]
