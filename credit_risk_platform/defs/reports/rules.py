"""The rule page: which rule was in force when, and who changed it."""

import dagster as dg

from credit_risk_platform.adapters.reports import rule_history
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import Gold, Group, Monitoring, Owner
from credit_risk_platform.defs.reports.common import publish
from credit_risk_platform.settings import PROJECT_ROOT, Settings
from credit_risk_platform.upstream import stamp_of

FOLDER = "present"


@dg.asset(
    key=Monitoring.REPORT_RULES,
    deps=[Gold.EARLY_WARNING_RULES, Gold.POLICY_VERSIONS],
    group_name=Group.REPORTS,
    owners=[Owner.ANALYTICS],
    kinds={"jinja", "html", "git"},
    code_version="1",
    description=(
        "Early-warning rules, policy versions and concentration limits with their first and last days, and who changed "
        "which line in which commit. Where the platform runs without a git clone, the page says so."
    ),
)
def report_rules(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.MaterializeResult:
    today = stamp_of(context, []).known_at.date()
    report = rule_history.report(warehouse, PROJECT_ROOT, settings.policy_folder, today)
    return publish(context, settings, report, FOLDER)
