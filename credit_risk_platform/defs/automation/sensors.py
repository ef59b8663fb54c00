"""The sensor that evaluates automation conditions. Sensors over a source live in that source's room."""

import dagster as dg

from credit_risk_platform.catalog import BATCH_RUN
from credit_risk_platform.settings import Settings


def build_sensors(settings: Settings) -> list[dg.AutomationConditionSensorDefinition]:
    return [
        dg.AutomationConditionSensorDefinition(
            "automation",
            target=dg.AssetSelection.all(),
            default_status=(
                dg.DefaultSensorStatus.RUNNING if settings.automation_running else dg.DefaultSensorStatus.STOPPED
            ),
            minimum_interval_seconds=30,
            run_tags=BATCH_RUN,
            description="Rebuilds marts whose sources changed and keeps up with decisions, never past a failed check.",
        )
    ]
