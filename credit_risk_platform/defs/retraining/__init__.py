"""The retraining room: watches drift, calibration and new labels, and asks for a training when they call for one."""

import dagster as dg

from credit_risk_platform.defs.retraining.sensors import build_retraining_sensor
from credit_risk_platform.settings import Settings

__all__ = ["definitions"]


def definitions(settings: Settings) -> dg.Definitions:
    """One sensor. Needs the resources warehouse and bundles, and the job `model_training` of the automation room."""
    return dg.Definitions(sensors=[build_retraining_sensor(settings)])
