"""The performance room: how good the champion is where labels have come, and where they have not."""

import dagster as dg

from credit_risk_platform.defs.performance.assets import performance_estimated, performance_matured
from credit_risk_platform.defs.performance.backtest import backtest_pd, vintage_backtest
from credit_risk_platform.defs.performance.sensors import build_label_maturity
from credit_risk_platform.settings import Settings

__all__ = ["definitions"]


def definitions(settings: Settings) -> dg.Definitions:
    """The room's assets with their inline checks, its job and its sensor. Needs warehouse, bundles and policies."""
    return dg.Definitions(
        assets=[performance_matured, performance_estimated, backtest_pd],
        jobs=[vintage_backtest],
        sensors=[build_label_maturity(settings)],
    )
