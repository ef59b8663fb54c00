"""The bank's own systems: customers, accounts and bureau enquiries, pulled every night, each from its own database."""

import dagster as dg

from credit_risk_platform.defs.bank_systems.assets import build_asset
from credit_risk_platform.defs.bank_systems.schedule import bank_systems_daily, build_schedule
from credit_risk_platform.domain.contracts.bank_columns import BANK_TABLES
from credit_risk_platform.settings import Settings

__all__ = ["definitions"]


def definitions(settings: Settings) -> dg.Definitions:
    """Needs no URL: an asset without one says which setting to set."""
    return dg.Definitions(
        assets=[build_asset(table, settings) for table in BANK_TABLES],
        jobs=[bank_systems_daily],
        schedules=[build_schedule(settings)],
    )
