"""The archive room: raw events and drift reports as files that can be restored, and what a restated source touches."""

import dagster as dg

from credit_risk_platform.defs.archive.daily import archive_daily
from credit_risk_platform.defs.archive.restated import build_restatement_diff
from credit_risk_platform.settings import Settings

__all__ = ["definitions"]


def definitions(settings: Settings) -> dg.Definitions:
    """The room's assets with their inline checks. Needs the resources settings and warehouse."""
    return dg.Definitions(assets=[archive_daily, build_restatement_diff(settings)])
