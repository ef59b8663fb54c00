"""The early-warning room: the watch list and its figures as files. The marts themselves are dbt's (room `marts`)."""

import dagster as dg

from credit_risk_platform.defs.early_warning.assets import early_warning_files
from credit_risk_platform.settings import Settings

__all__ = ["definitions"]


def definitions(settings: Settings) -> dg.Definitions:
    """The room's asset with its inline checks. Needs the resources settings and warehouse."""
    return dg.Definitions(assets=[early_warning_files])
