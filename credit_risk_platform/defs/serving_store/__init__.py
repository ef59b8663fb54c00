"""The serving store: scores and decisions in PostgreSQL, for programs that look up one application at a time."""

import dagster as dg

from credit_risk_platform.adapters.serving_store import TABLES
from credit_risk_platform.defs.serving_store.assets import build_asset
from credit_risk_platform.settings import Settings

__all__ = ["definitions"]


def definitions(settings: Settings) -> dg.Definitions:
    """Needs no URL: without one the assets say which setting to set, and nothing asks for them."""
    return dg.Definitions(assets=[build_asset(served, settings) for served in TABLES])
