"""The alerts room: four sensors that notice, one book that remembers, channels that tell; and a table for analysts."""

import dagster as dg

from credit_risk_platform.defs.alerts.applications import build_high_risk_sensor
from credit_risk_platform.defs.alerts.assets import alerts
from credit_risk_platform.defs.alerts.checks import build_check_sensor
from credit_risk_platform.defs.alerts.rules import build_rules_sensor
from credit_risk_platform.defs.alerts.runs import build_run_sensor
from credit_risk_platform.settings import Settings

__all__ = ["definitions"]


def definitions(settings: Settings) -> dg.Definitions:
    """Needs the resources warehouse, policies, settings, alert_book and alert_channels."""
    build = (build_rules_sensor, build_check_sensor, build_run_sensor, build_high_risk_sensor)
    return dg.Definitions(assets=[alerts], sensors=[one(settings) for one in build])
