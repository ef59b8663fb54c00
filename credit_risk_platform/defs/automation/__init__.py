"""When things run: jobs, schedules, sensors, automation conditions. What runs lives in the other rooms."""

import dagster as dg

from credit_risk_platform.defs.automation.conditions import automate
from credit_risk_platform.defs.automation.jobs import JOBS
from credit_risk_platform.defs.automation.schedules import build_schedules
from credit_risk_platform.defs.automation.sensors import build_sensors
from credit_risk_platform.defs.automation.upkeep import lake_upkeep
from credit_risk_platform.settings import Settings

__all__ = ["automate", "definitions"]


def definitions(settings: Settings) -> dg.Definitions:
    return dg.Definitions(
        jobs=[*JOBS, lake_upkeep], schedules=build_schedules(settings), sensors=build_sensors(settings)
    )
