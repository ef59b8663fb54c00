"""The reports room: pages that people sign, each number with a link to the asset event that made it."""

import dagster as dg

from credit_risk_platform.defs.reports.daily import report_adverse_action_log, report_ecl, report_portfolio_risk
from credit_risk_platform.defs.reports.models import model_card, report_model_validation
from credit_risk_platform.defs.reports.rules import report_rules
from credit_risk_platform.settings import Settings

__all__ = ["definitions"]


def definitions(settings: Settings) -> dg.Definitions:
    """The room's assets with their inline checks. Needs the resources settings, warehouse and bundles."""
    return dg.Definitions(
        assets=[
            report_portfolio_risk, report_ecl, report_adverse_action_log, model_card, report_model_validation,
            report_rules,
        ]
    )  # fmt: skip
