"""The ingestion room: sources become bronze. Files, layouts and rules live in `adapters.landing` and the contracts."""

import dagster as dg

from credit_risk_platform.defs.ingestion import assets
from credit_risk_platform.defs.ingestion.sensors import build_landing_sensor
from credit_risk_platform.settings import Settings

__all__ = ["definitions"]


def definitions(settings: Settings) -> dg.Definitions:
    return dg.Definitions(assets=dg.load_assets_from_modules([assets]), sensors=[build_landing_sensor(settings)])
