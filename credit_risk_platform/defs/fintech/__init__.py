"""The fintech room: bank transactions from payment providers, by day and by poll. Who they are: `providers`."""

import dagster as dg

from credit_risk_platform.defs.fintech.assets import build_asset
from credit_risk_platform.defs.fintech.providers import providers
from credit_risk_platform.defs.fintech.schedules import build_schedule, fintech_poll
from credit_risk_platform.settings import Settings

__all__ = ["definitions"]


def definitions(settings: Settings) -> dg.Definitions:
    """The room's assets, its job and its schedule. Needs the resources settings and warehouse."""
    found = providers()
    return dg.Definitions(
        assets=[build_asset(provider, settings) for provider in found],
        jobs=[fintech_poll],
        schedules=[build_schedule(found, settings)],
    )
