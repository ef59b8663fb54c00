"""02:00 UTC, as S4 has it. A job of its own beside `daily_ingestion`: the marts wait for that one's portfolio, and a
bank's system that is down must not turn its run red. Sources without a URL are left out.
"""

import dagster as dg

from credit_risk_platform.catalog import BATCH_RUN, Group
from credit_risk_platform.defs.bank_systems.assets import key_of
from credit_risk_platform.defs.bank_systems.urls import configured
from credit_risk_platform.domain.contracts.bank_columns import BANK_TABLES
from credit_risk_platform.settings import Settings

NIGHTLY_CRON = "0 2 * * *"

bank_systems_daily = dg.define_asset_job(
    "bank_systems_daily",
    dg.AssetSelection.groups(Group.BANK_SYSTEMS),
    description="Customers, accounts and bureau enquiries: what changed in the bank's own systems since the last pull.",
    tags=BATCH_RUN,
)


def build_schedule(settings: Settings) -> dg.ScheduleDefinition:
    status = dg.DefaultScheduleStatus.RUNNING if settings.automation_running else dg.DefaultScheduleStatus.STOPPED

    @dg.schedule(
        name="bank_systems_daily",
        job=bank_systems_daily,
        cron_schedule=NIGHTLY_CRON,
        execution_timezone="UTC",
        default_status=status,
        description="Every source whose URL is set; none set, nothing runs.",
    )
    def nightly() -> dg.RunRequest | dg.SkipReason:
        tables = configured(settings)
        if not tables:
            variables = ", ".join(table.variable for table in BANK_TABLES)
            return dg.SkipReason(f"No bank system is set up: set any of {variables} (docs/bank-systems.md).")
        return dg.RunRequest(asset_selection=[key_of(table) for table in tables])

    return nightly
