"""The two assets in Dagster: a year of partitions, polls by the clock, checks, and no secret anywhere one looks."""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._utils.schedules import cron_string_iterator

from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import Bronze, Group
from credit_risk_platform.defs import fintech
from credit_risk_platform.defs.automation import jobs
from credit_risk_platform.settings import Settings
from tests.fintech.conftest import CUSTOMER, OTHER_CUSTOMER, OTHER_TOKEN, TOKEN
from tests.fintech.stand_ins import plaid as plaid_book
from tests.fintech.stand_ins import razorpayx as razorpayx_book
from tests.fintech.stand_ins.plaid import PlaidStandIn
from tests.fintech.stand_ins.razorpayx import RazorpayXStandIn

PLAID, RAZORPAYX = Bronze.RAW_PLAID_TRANSACTIONS, Bronze.RAW_RAZORPAYX_TRANSACTIONS
FIRST = dt.date(2024, 1, 1)
SECRETS = (
    TOKEN, OTHER_TOKEN, plaid_book.CLIENT_ID, plaid_book.SECRET, razorpayx_book.KEY_ID, razorpayx_book.KEY_SECRET,
    razorpayx_book.ACCOUNT,
)  # fmt: skip
PERSONS = (CUSTOMER, OTHER_CUSTOMER, plaid_book.OWNER, razorpayx_book.PAYER, razorpayx_book.PAYER_ACCOUNT, "acc-1")


class Room:
    """The room on a lake and an instance of its own."""

    def __init__(self, settings: Settings, warehouse: DuckLakeWarehouse, instance: dg.DagsterInstance) -> None:
        self.settings, self.warehouse, self.instance = settings, warehouse, instance
        rooms = fintech.definitions(settings)
        resources = {"settings": settings, "warehouse": warehouse}
        self.definitions = dg.Definitions.merge(rooms, dg.Definitions(resources=resources))

    def backfill(self, key: dg.AssetKey, first: str, last: str) -> dg.ExecuteInProcessResult:
        """As the UI's backfill does: one run over the range."""
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        job = self.definitions.resolve_job_def("fintech_poll")
        return job.execute_in_process(instance=self.instance, asset_selection=[key], tags=tags, raise_on_error=False)

    def schedule(self) -> dg.ScheduleDefinition:
        return self.definitions.resolve_schedule_def("fintech_poll_6h")

    def tick(self, at: dt.datetime) -> dg.RunRequest | dg.SkipReason:
        context = dg.build_schedule_context(instance=self.instance, scheduled_execution_time=at)
        return self.schedule()(context)  # type: ignore[return-value]

    def poll(self, at: dt.datetime) -> dg.ExecuteInProcessResult:
        request = self.tick(at)
        assert isinstance(request, dg.RunRequest)
        job = self.definitions.resolve_job_def("fintech_poll")
        return job.execute_in_process(
            run_config=request.run_config, partition_key=request.partition_key, instance=self.instance,
            asset_selection=list(request.asset_selection or ()), raise_on_error=False,
        )  # fmt: skip

    def rows(self, key: dg.AssetKey) -> int:
        return self.warehouse.count(".".join(key.path))

    def green(self, key: dg.AssetKey) -> set[str]:
        return self.instance.get_materialized_partitions(key)

    def metadata(self, result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> dict[str, Any]:
        event = result.asset_materializations_for_node("__".join(key.path))[-1]
        return {name: value.value for name, value in event.metadata.items()}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def room(configured: Settings, warehouse: DuckLakeWarehouse, instance: dg.DagsterInstance) -> Room:
    return Room(configured, warehouse, instance)


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {one.check_name: one.passed for one in result.get_asset_check_evaluations()}


@pytest.mark.slow
def test_a_year_of_each_provider_is_backfilled_into_366_green_partitions(
    room: Room, plaid: PlaidStandIn, razorpayx: RazorpayXStandIn
) -> None:
    plaid.page_rows = 40
    plaid.year(TOKEN, "acc-1", FIRST, 366)
    plaid.year(OTHER_TOKEN, "acc-2", FIRST, 366)
    razorpayx.year(FIRST, 366)
    for key, truth in ((PLAID, sum(map(len, plaid.items.values()))), (RAZORPAYX, len(razorpayx.transactions))):
        result = room.backfill(key, "2024-01-01", "2024-12-31")
        assert result.success
        assert len(room.green(key)) == 366
        assert room.rows(key) == truth
        found = room.metadata(result, key)
        assert (found["rows_in"], found["rows_landed"], found["rows_rejected"]) == (truth, truth, 0)
        assert found["requests"] >= found["pages"] >= 12
        assert checks(result) == {
            "rows_reconcile": True, "no_booking_twice": True, "amount_scale": True, "reject_rate": True,
            "connections_readable": True, "newest_booking": False,
        }, "the year is long past, and a warning says so"  # fmt: skip
    events = result.asset_materializations_for_node("__".join(RAZORPAYX.path))
    rows = {event.partition: event.metadata["dagster/partition_row_count"].value for event in events
            if "dagster/partition_row_count" in event.metadata}  # fmt: skip
    assert rows["2024-01-04"] == 3
    assert sum(rows.values()) == len(razorpayx.transactions)  # type: ignore[arg-type]


def test_ticks_come_at_six_hours_utc_and_make_one_run_of_both(room: Room) -> None:
    schedule = room.schedule()
    assert schedule.execution_timezone == "UTC"
    begin = dt.datetime(2024, 12, 30, 23, 59, tzinfo=dt.UTC).timestamp()
    ticks = cron_string_iterator(begin, str(schedule.cron_schedule), "UTC")
    moments = [next(ticks) for _ in range(4)]
    assert [moment.hour for moment in moments] == [0, 6, 12, 18]
    requests = [room.tick(moment) for moment in moments]
    assert len({request.run_key for request in requests}) == 4  # type: ignore[union-attr]
    assert all(set(request.asset_selection) == {PLAID, RAZORPAYX} for request in requests)  # type: ignore[union-attr]


def test_polls_land_what_is_new_and_show_the_old_days_that_changed(
    room: Room, plaid: PlaidStandIn, razorpayx: RazorpayXStandIn
) -> None:
    today = dt.datetime.now(dt.UTC).replace(hour=6, minute=0, second=0, microsecond=0)
    first = today.date() - dt.timedelta(days=20)
    plaid.year(TOKEN, "acc-1", first, 21)
    plaid.add(OTHER_TOKEN, [])
    razorpayx.year(first, 20)
    assert room.poll(today).success
    assert (room.rows(PLAID), room.rows(RAZORPAYX)) == (len(plaid.items[TOKEN]), len(razorpayx.transactions))
    late, gone = list(plaid.items[TOKEN].values())[:2]
    plaid.add(TOKEN, [{**late, "amount": 1.25}])
    plaid.remove(TOKEN, gone["transaction_id"])
    again = room.poll(today + dt.timedelta(hours=6))
    assert again.success
    assert all(checks(again).values())
    assert room.rows(PLAID) == len(plaid.items[TOKEN])
    changed = {event.partition for event in again.asset_materializations_for_node("__".join(PLAID.path))}
    assert changed == {late["date"], gone["date"], today.strftime("%Y-%m-%d")}
    assert room.metadata(again, PLAID)["rows_removed"] == 1
    assert len(room.metadata(again, PLAID)["cursor"].split(", ")[0]) == 12, "shortened"


def test_one_customer_s_lost_login_holds_up_no_other_one_s_poll_but_does_leave_a_gap_in_a_backfill(
    room: Room, plaid: PlaidStandIn
) -> None:
    plaid.year(TOKEN, "acc-1", FIRST, 30)
    plaid.year(OTHER_TOKEN, "acc-2", FIRST, 30)
    plaid.broken[OTHER_TOKEN] = (400, "ITEM_LOGIN_REQUIRED")
    polled = room.poll(dt.datetime.now(dt.UTC))
    assert room.rows(PLAID) == len(plaid.items[TOKEN])
    readable = next(one for one in polled.get_asset_check_evaluations()
                    if (one.check_name, one.asset_key) == ("connections_readable", PLAID))  # fmt: skip
    assert not readable.passed
    assert "have the customer sign in at the bank again" in str(readable.metadata["next_step"].value)
    days = room.backfill(PLAID, "2024-01-01", "2024-01-30")
    assert not days.success
    assert "1 logins could not be read; what the others had is landed" in failure(days)


def test_paise_taken_for_rupees_turn_the_check_yellow(room: Room, razorpayx: RazorpayXStandIn) -> None:
    razorpayx.year(FIRST, 60)
    assert room.backfill(RAZORPAYX, "2024-01-01", "2024-01-31").success
    for one in razorpayx.transactions:
        one.update(amount=one["amount"] * 100, credit=one["credit"] * 100, debit=one["debit"] * 100)
    result = room.backfill(RAZORPAYX, "2024-02-01", "2024-02-29")
    assert not checks(result)["amount_scale"]


@pytest.mark.parametrize(("key", "named"), [
    (PLAID, "CRP_PLAID_CLIENT_ID, CRP_PLAID_SECRET, CRP_PLAID_ACCESS_TOKENS"),
    (RAZORPAYX, "CRP_RAZORPAYX_KEY_ID, CRP_RAZORPAYX_KEY_SECRET, CRP_RAZORPAYX_ACCOUNT_NUMBER"),
])  # fmt: skip
def test_without_credentials_the_asset_is_there_and_says_what_to_set(
    settings: Settings, warehouse: DuckLakeWarehouse, instance: dg.DagsterInstance, key: dg.AssetKey, named: str
) -> None:
    room = Room(settings, warehouse, instance)
    assert f"{named} are not set. Next step:" in failure(room.backfill(key, "2024-01-01", "2024-01-01"))
    skipped = room.tick(dt.datetime(2024, 12, 31, 6, tzinfo=dt.UTC))
    assert isinstance(skipped, dg.SkipReason)
    assert named in (skipped.skip_message or "")


def test_one_provider_without_credentials_does_not_stop_the_other(
    configured: Settings, warehouse: DuckLakeWarehouse, instance: dg.DagsterInstance
) -> None:
    half = Settings(**{**configured.model_dump(), "razorpayx_key_id": None})
    request = Room(half, warehouse, instance).tick(dt.datetime(2024, 12, 31, 6, tzinfo=dt.UTC))
    assert list(request.asset_selection) == [PLAID]  # type: ignore[union-attr,arg-type]


def test_the_demo_s_pipeline_leaves_the_providers_alone(room: Room) -> None:
    specs = [spec for key in (PLAID, RAZORPAYX) for spec in room.definitions.resolve_assets_def(key).specs]
    assert {spec.group_name for spec in specs} == {Group.FINTECH}
    selected = repr(jobs.full_pipeline.selection)
    assert Group.SOURCES in selected, "it selects by groups"
    assert Group.FINTECH not in selected
    assert "AllSelection" not in selected


def test_no_secret_and_no_person_is_in_any_log_event_metadata_or_error(
    room: Room,
    plaid: PlaidStandIn,
    razorpayx: RazorpayXStandIn,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Good runs and failed ones, with every logger at its most talkative."""
    for name in (None, "urllib3", "requests", "dlt", "dagster"):
        caplog.set_level(logging.DEBUG, logger=name)
    plaid.year(TOKEN, "acc-1", FIRST, 10)
    plaid.add(OTHER_TOKEN, [plaid_book.transaction("acc-1", 99, FIRST, amount="twelve")])
    razorpayx.year(FIRST, 10)
    runs = [room.poll(dt.datetime.now(dt.UTC)), room.backfill(RAZORPAYX, "2024-01-01", "2024-01-10")]
    plaid.broken = {TOKEN: (400, "INVALID_ACCESS_TOKEN"), OTHER_TOKEN: (400, f"ITEM_ERROR {OTHER_TOKEN}")}
    runs.append(room.backfill(PLAID, "2024-01-01", "2024-01-10"))
    razorpayx.script.append(razorpayx_book.error(400, f"{razorpayx_book.ACCOUNT}"))
    runs.append(room.backfill(RAZORPAYX, "2024-01-01", "2024-01-10"))
    assert [run.success for run in runs] == [True, True, False, False]
    events = [entry.to_json() for run in runs for entry in room.instance.all_logs(run.run_id)]
    assert len(events) > 60
    out, err = capfd.readouterr()
    told = "\n".join([*events, caplog.text, out, err, repr(room.settings)])
    assert [text for text in (*SECRETS, *PERSONS) if text in told] == []


@pytest.mark.parametrize("text", ["not json", '{"CUST_1": ""}', '["access-sandbox-hush"]', "{}"])
def test_access_tokens_that_cannot_be_read_are_refused_without_being_shown(
    configured: Settings, warehouse: DuckLakeWarehouse, instance: dg.DagsterInstance, text: str
) -> None:
    wrong = Settings(**{**configured.model_dump(), "plaid_access_tokens": text + " "})
    result = Room(wrong, warehouse, instance).backfill(PLAID, "2024-01-01", "2024-01-01")
    assert "CRP_PLAID_ACCESS_TOKENS is no JSON object of customer ids and access tokens" in failure(result)
    told = "".join(entry.to_json() for entry in instance.all_logs(result.run_id))
    assert "hush" not in told
    assert "not json" not in told


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [one for one in result.all_events if one.event_type_value == "STEP_FAILURE"]
    return json.dumps(event.step_failure_data.error.to_string() + str(event.step_failure_data.user_failure_data))


def test_nothing_of_the_home_is_made_by_looking_at_the_graph(tmp_path: Path) -> None:
    fintech.definitions(Settings(home=tmp_path / "home"))
    assert not (tmp_path / "home").exists()
