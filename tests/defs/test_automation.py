"""What runs by itself, when, and what it never runs past."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from credit_risk_platform.catalog import PORTFOLIO_DAYS, Bronze, Gold
from credit_risk_platform.defs.automation import jobs
from credit_risk_platform.defs.automation.conditions import automate
from credit_risk_platform.defs.automation.schedules import build_schedules
from credit_risk_platform.settings import SchedulePreset, Settings

DAYTIME = dt.datetime(2026, 3, 2, 10, 0, tzinfo=dt.UTC)
MART = dg.AssetKey(["gold", "mart"])


class LandingConfig(dg.Config):
    good: bool = True


@dg.asset(key=Bronze.SYNTHETIC_LOANS, group_name="sources", check_specs=[
    dg.AssetCheckSpec("schema_contract", asset=Bronze.SYNTHETIC_LOANS, blocking=True)
])  # fmt: skip
def loans(config: LandingConfig) -> dg.MaterializeResult:
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=config.good, check_name="schema_contract")])


@dg.asset(key=MART, group_name="features", deps=[loans])
def mart() -> None: ...


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as test_instance:
        yield test_instance


@pytest.fixture
def graph() -> dg.Definitions:
    return dg.Definitions(assets=automate([loans, mart]))


def land(graph: dg.Definitions, instance: dg.DagsterInstance, *, good: bool) -> None:
    job = graph.resolve_implicit_global_asset_job_def()
    config = {"ops": {"bronze__synthetic_loans": {"config": {"good": good}}}}
    job.execute_in_process(
        instance=instance, asset_selection=[Bronze.SYNTHETIC_LOANS], run_config=config, raise_on_error=False
    )


def requested(graph: dg.Definitions, instance: dg.DagsterInstance, at: dt.datetime, cursor=None):
    result = dg.evaluate_automation_conditions(graph, instance=instance, cursor=cursor, evaluation_time=at)
    return result.get_num_requested(MART), result.cursor


def test_a_landing_in_the_daytime_rebuilds_the_marts_by_itself(graph, instance):
    _, cursor = requested(graph, instance, DAYTIME)
    land(graph, instance, good=True)
    assert requested(graph, instance, DAYTIME + dt.timedelta(minutes=1), cursor)[0] == 1


def test_marts_are_never_rebuilt_from_a_landing_whose_blocking_check_failed(graph, instance):
    _, cursor = requested(graph, instance, DAYTIME)
    land(graph, instance, good=False)
    assert requested(graph, instance, DAYTIME + dt.timedelta(minutes=1), cursor)[0] == 0


def test_between_ingestion_and_features_tick_the_schedule_is_in_charge(graph, instance):
    night = dt.datetime(2026, 3, 2, 1, 59, tzinfo=dt.UTC)
    _, cursor = requested(graph, instance, night)
    _, cursor = requested(graph, instance, night + dt.timedelta(minutes=2), cursor)  # the 02:00 tick passes
    land(graph, instance, good=True)
    count, cursor = requested(graph, instance, night + dt.timedelta(minutes=15), cursor)
    assert count == 0


def test_a_landing_later_than_the_features_tick_is_followed(graph, instance):
    night = dt.datetime(2026, 3, 2, 1, 59, tzinfo=dt.UTC)
    _, cursor = requested(graph, instance, night)
    _, cursor = requested(graph, instance, night + dt.timedelta(minutes=2), cursor)
    _, cursor = requested(graph, instance, night + dt.timedelta(hours=2, minutes=32), cursor)  # 04:31
    land(graph, instance, good=True)
    assert requested(graph, instance, night + dt.timedelta(hours=3), cursor)[0] == 1


def schedules(tmp_path: Path, **values) -> dict[str, dg.ScheduleDefinition]:
    return {schedule.name: schedule for schedule in build_schedules(Settings(home=tmp_path, **values))}


def test_every_cron_of_the_source_system_is_kept_and_is_utc_on_any_host(tmp_path):
    found = schedules(tmp_path)
    crons = {name: schedule.cron_schedule for name, schedule in found.items()}
    assert crons.pop("behaviour_training") == "30 1 * * 0", "ours, half an hour after the application model's"
    assert crons.pop("archive_daily") == "30 0 * * *", "S2's; the day is over, its late messages are in"
    assert crons.pop("health_check") == ["5 * * * *", "30 6 * * *"], "ours: hourly, and after monitoring"
    assert {name: crons.pop(name) for name in ("portfolio_risk", "expected_loss", "risk_reports")} == {
        "portfolio_risk": "30 5 * * *",  # ours: half an hour after scoring
        "expected_loss": "45 5 * * *",
        "risk_reports": "15 6 * * *",
    }
    assert crons.pop("provisioning_models") == "45 1 * * 0", "ours, a quarter of an hour after behaviour"
    assert crons == {
        "daily_ingestion": "0 2 * * *",
        "feature_engineering": "0 4 * * *",
        "portfolio_scoring": "0 5 * * *",
        "model_monitoring": "0 6 * * *",
        "model_training": "0 1 * * 0",
        "lake_upkeep": "30 3 * * *",
    }
    assert {schedule.execution_timezone for schedule in found.values()} == {"UTC"}


def test_the_lakehouse_preset_lands_every_four_hours_and_builds_gold_daily(tmp_path):
    found = schedules(tmp_path, schedule_preset=SchedulePreset.LAKEHOUSE_4H)
    assert found["silver_refresh"].cron_schedule == "0 */4 * * *"
    assert found["gold_refresh"].cron_schedule == "0 4 * * *"
    assert "daily_ingestion" not in found


def test_training_by_day_is_a_setting_away(tmp_path):
    assert schedules(tmp_path, training_preset="daily")["model_training"].cron_schedule == "0 1 * * *"


def test_schedules_ship_running_only_where_the_settings_say_so(tmp_path):
    stopped, running = schedules(tmp_path), schedules(tmp_path, automation_running=True)
    assert {s.default_status for s in stopped.values()} == {dg.DefaultScheduleStatus.STOPPED}
    assert {s.default_status for s in running.values()} == {dg.DefaultScheduleStatus.RUNNING}


def features_tick(schedule: dg.ScheduleDefinition, instance: dg.DagsterInstance, at: dt.datetime):
    return schedule(dg.build_schedule_context(instance=instance, scheduled_execution_time=at))


def test_features_wait_when_ingestion_is_late_and_say_what_they_wait_for(tmp_path, graph, instance):
    schedule = schedules(tmp_path)["feature_engineering"]
    four = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    skipped = features_tick(schedule, instance, four)
    assert isinstance(skipped, dg.SkipReason)
    assert "bronze/synthetic_loans has not landed since" in skipped.skip_message
    land(graph, instance, good=True)
    assert isinstance(features_tick(schedule, instance, four), dg.RunRequest)
    assert isinstance(features_tick(schedule, instance, four + dt.timedelta(days=1)), dg.SkipReason)


@pytest.mark.parametrize("name", ["portfolio_scoring", "model_monitoring", "archive_daily"])
def test_two_daily_ticks_score_two_days_and_a_repeated_tick_scores_none_twice(tmp_path, name):
    schedule = schedules(tmp_path)[name]
    ticks = [dt.datetime(2026, 3, day, 5, tzinfo=dt.UTC) for day in (2, 3, 3)]
    requests = [schedule(dg.build_schedule_context(scheduled_execution_time=tick)) for tick in ticks]
    assert [request.partition_key for request in requests] == ["2026-03-01", "2026-03-02", "2026-03-02"]
    assert requests[1].run_key == requests[2].run_key


def test_the_four_jobs_of_the_source_system_keep_their_names():
    names = {job.name for job in jobs.JOBS}
    assert {"daily_ingestion", "feature_engineering", "model_training", "model_monitoring"} <= names


SCORES = Gold.PORTFOLIO_SCORES


@dg.asset(key=SCORES, group_name="scoring", partitions_def=PORTFOLIO_DAYS)
def scores() -> None: ...


@dg.asset(key=MART, group_name="risk", deps=[loans, scores])
def risk_mart() -> None: ...


def scored(instance: dg.DagsterInstance, *, day: str) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization(SCORES, partition=day))


def test_a_scoring_in_the_daytime_is_shown_by_the_risk_marts_at_once(instance):
    graph = dg.Definitions(assets=automate([loans, scores, risk_mart]))
    land(graph, instance, good=True)
    _, cursor = requested(graph, instance, DAYTIME)
    scored(instance, day="2026-03-01")
    assert requested(graph, instance, DAYTIME + dt.timedelta(minutes=1), cursor)[0] == 1


def test_at_night_the_risk_marts_wait_for_the_schedule_that_comes_after_scoring(instance):
    graph = dg.Definitions(assets=automate([loans, scores, risk_mart]))
    night = dt.datetime(2026, 3, 2, 1, 59, tzinfo=dt.UTC)
    land(graph, instance, good=True)
    _, cursor = requested(graph, instance, night)
    _, cursor = requested(graph, instance, night + dt.timedelta(minutes=2), cursor)  # the 02:00 tick passes
    scored(instance, day="2026-03-01")
    assert requested(graph, instance, night + dt.timedelta(hours=3, minutes=10), cursor)[0] == 0  # 05:09


def test_the_funnel_of_applications_is_counted_anew_every_hour_since_no_event_tells_of_an_api_call(instance):
    @dg.asset(key=Gold.APPROVALS, group_name="risk", deps=[Gold.DECISIONS])
    def approvals() -> None: ...

    graph = dg.Definitions(assets=automate([approvals]))
    cursor, asked = None, []
    for minute in (0, 19, 21, 40, 81):
        at = DAYTIME + dt.timedelta(minutes=minute)
        result = dg.evaluate_automation_conditions(graph, instance=instance, cursor=cursor, evaluation_time=at)
        cursor = result.cursor
        asked.append(result.get_num_requested(Gold.APPROVALS))
    assert asked == [0, 0, 1, 0, 1]
