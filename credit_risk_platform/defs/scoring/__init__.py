"""The scoring room: every open loan scored each day, and the ledger that proves each score."""

import dagster as dg

from credit_risk_platform.defs.scoring.assets import portfolio_scores
from credit_risk_platform.settings import Settings

__all__ = ["definitions"]


def definitions(settings: Settings) -> dg.Definitions:
    """The room's assets with their inline checks. Needs the resources warehouse, bundles and policies."""
    return dg.Definitions(assets=[portfolio_scores])
