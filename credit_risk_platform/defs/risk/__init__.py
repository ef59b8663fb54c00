"""The risk room: what portfolio risk needs beyond SQL. The marts themselves are dbt models (marts/risk)."""

import dagster as dg

from credit_risk_platform.defs.risk.assets import roll_forecast
from credit_risk_platform.defs.risk.checks import risk_mix_checks
from credit_risk_platform.settings import Settings

__all__ = ["definitions"]


def definitions(settings: Settings) -> dg.Definitions:
    """The room's asset and the checks of the mix of the book. Needs the warehouse."""
    return dg.Definitions(assets=[roll_forecast], asset_checks=[risk_mix_checks])
