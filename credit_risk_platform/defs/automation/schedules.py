"""Crons of S4 (UTC, said explicitly) and the four-hourly preset of S3."""

import datetime as dt
from typing import Any, TypeAlias

import dagster as dg

from credit_risk_platform.catalog import Bronze
from credit_risk_platform.defs.automation import jobs
from credit_risk_platform.defs.automation.conditions import FEATURES_CRON, INGESTION_CRON, RISK_CRON
from credit_risk_platform.defs.automation.upkeep import lake_upkeep
from credit_risk_platform.settings import PortfolioSource, SchedulePreset, Settings, TrainingPreset

PORTFOLIO_BRONZE = {
    PortfolioSource.SYNTHETIC: Bronze.SYNTHETIC_LOANS,
    PortfolioSource.LENDING_CLUB: Bronze.LENDING_CLUB_LOANS,
    PortfolioSource.LANDING: Bronze.LANDING_LOANS,
}
AssetJob: TypeAlias = Any  # what `define_asset_job` returns; Dagster exports no name for it
TRAINING_CRONS = {TrainingPreset.WEEKLY: "0 1 * * 0", TrainingPreset.DAILY: "0 1 * * *"}
INGESTION_HEAD_START = dt.timedelta(hours=2)


def build_schedules(settings: Settings) -> list[dg.ScheduleDefinition]:
    """The preset's schedules, RUNNING where the settings say so."""
    status = dg.DefaultScheduleStatus.RUNNING if settings.automation_running else dg.DefaultScheduleStatus.STOPPED

    def cron(job: AssetJob, schedule: str | list[str]) -> dg.ScheduleDefinition:
        return dg.ScheduleDefinition(
            name=job.name, job=job, cron_schedule=schedule, execution_timezone="UTC", default_status=status
        )

    always = [
        cron(jobs.model_training, TRAINING_CRONS[settings.training_preset]),
        cron(jobs.behaviour_training, "30 1 * * 0"),
        cron(jobs.provisioning_models, "45 1 * * 0"),
        cron(jobs.portfolio_risk, RISK_CRON),
        cron(lake_upkeep, "30 3 * * *"),
        # Hourly: a run costs some five seconds of a core. The second one shows what monitoring found at six.
        cron(jobs.health_check, ["5 * * * *", "30 6 * * *"]),
        _for_yesterday(jobs.archive_daily, "30 0 * * *", status),
        _for_yesterday(jobs.portfolio_scoring, "0 5 * * *", status),
        _for_yesterday(jobs.expected_loss, "45 5 * * *", status),
        _for_yesterday(jobs.model_monitoring, "0 6 * * *", status),
        _for_yesterday(jobs.risk_reports, "15 6 * * *", status),
    ]
    if settings.schedule_preset is SchedulePreset.LAKEHOUSE_4H:
        return [cron(jobs.silver_refresh, "0 */4 * * *"), cron(jobs.gold_refresh, FEATURES_CRON), *always]
    return [cron(jobs.daily_ingestion, INGESTION_CRON), _features(settings.portfolio_source, status), *always]


def _features(source: PortfolioSource, status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    bronze = PORTFOLIO_BRONZE[source]

    @dg.schedule(
        name="feature_engineering",
        job=jobs.feature_engineering,
        cron_schedule=FEATURES_CRON,
        execution_timezone="UTC",
        default_status=status,
        description="Marts at 04:00 UTC, only on a book landed since 02:00; a late landing is followed by automation.",
    )
    def feature_engineering(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        since = context.scheduled_execution_time - INGESTION_HEAD_START
        event = context.instance.get_latest_materialization_event(bronze)
        if event is None or event.timestamp < since.timestamp():
            return dg.SkipReason(
                f"{bronze.to_user_string()} has not landed since {since:%Y-%m-%d %H:%M} UTC; "
                "the marts wait and follow by themselves once it has."
            )
        return dg.RunRequest()

    return feature_engineering


def _for_yesterday(job: AssetJob, cron_schedule: str, status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=job.name,
        job=job,
        cron_schedule=cron_schedule,
        execution_timezone="UTC",
        default_status=status,
        description=f"{job.description} For yesterday; a missed day is a missing partition, to be backfilled.",
    )
    def for_yesterday(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        yesterday = context.scheduled_execution_time - dt.timedelta(days=1)
        key = yesterday.strftime("%Y-%m-%d")
        return dg.RunRequest(partition_key=key, run_key=key)

    return for_yesterday
