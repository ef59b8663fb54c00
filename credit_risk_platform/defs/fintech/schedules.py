"""The poll: every six hours (UTC), a run of those providers whose settings are there."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from credit_risk_platform.catalog import BATCH_RUN, Group
from credit_risk_platform.defs.fintech.providers import Provider
from credit_risk_platform.settings import Settings

POLL_CRON = "0 */6 * * *"
fintech_poll: Any = dg.define_asset_job(
    "fintech_poll",
    dg.AssetSelection.groups(Group.FINTECH),
    description="Fetch from every payment provider what changed since the last poll.",
    tags=BATCH_RUN,
)


def build_schedule(providers: Sequence[Provider], settings: Settings) -> dg.ScheduleDefinition:
    status = dg.DefaultScheduleStatus.RUNNING if settings.automation_running else dg.DefaultScheduleStatus.STOPPED

    @dg.schedule(
        name="fintech_poll_6h",
        job=fintech_poll,
        cron_schedule=POLL_CRON,
        execution_timezone="UTC",
        default_status=status,
        description="Polls the payment providers that are set up, every six hours; a missed tick is made up for.",
    )
    def fintech_poll_6h(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        ready = [provider for provider in providers if not provider.missing(settings)]
        if not ready:
            names = ", ".join(name for provider in providers for name in provider.missing(settings))
            return dg.SkipReason(f"No payment provider is set up: set {names} (docs/payment-providers.md).")
        tick = context.scheduled_execution_time
        return dg.RunRequest(
            run_key=tick.strftime("%Y-%m-%dT%H:%M"),
            partition_key=tick.strftime("%Y-%m-%d"),
            asset_selection=[provider.key for provider in ready],
            run_config={"ops": {"__".join(p.key.path): {"config": {"changes": True}} for p in ready}},
        )

    return fintech_poll_6h
