"""The health room: what an engineer opens in the morning. It reads what the others left and changes nothing."""

import dagster as dg

from credit_risk_platform.defs.health.assets import api_health, asset_health, platform_health, stream_health
from credit_risk_platform.defs.health.graph import watched
from credit_risk_platform.settings import Settings

__all__ = ["definitions", "watched"]


def definitions(settings: Settings) -> dg.Definitions:
    """The room's assets. Needs the resources warehouse, settings, alert_book, and watched_graph (see `watched`)."""
    return dg.Definitions(assets=[asset_health, stream_health, api_health, platform_health])
