"""The monitoring room: drift of applicants and of scores, and whether PDs came true."""

import dagster as dg

from credit_risk_platform.defs.monitoring.assets import feature_drift, score_drift
from credit_risk_platform.defs.monitoring.reports import feature_drift_report, prediction_drift_report
from credit_risk_platform.settings import Settings

__all__ = ["definitions"]


def definitions(settings: Settings) -> dg.Definitions:
    """The room's assets with their inline checks. Needs the resources settings, warehouse, bundles and policies."""
    return dg.Definitions(assets=[feature_drift, score_drift, feature_drift_report, prediction_drift_report])
