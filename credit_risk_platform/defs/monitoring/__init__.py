"""The monitoring room: drift of applicants and of scores, and whether PDs came true."""

import dagster as dg

from credit_risk_platform.defs.monitoring.assets import feature_drift, score_drift
from credit_risk_platform.settings import Settings

__all__ = ["definitions"]


def definitions(settings: Settings) -> dg.Definitions:
    """The room's assets with their inline checks. Needs the resources warehouse and bundles."""
    return dg.Definitions(assets=[feature_drift, score_drift])
