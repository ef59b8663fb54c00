"""Reports of a day: the open book's risk, its expected loss, and what applicants were refused and why."""

import datetime as dt

import dagster as dg

from credit_risk_platform.adapters.reports import adverse_actions, expected_loss, portfolio_risk
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import PORTFOLIO_DAYS, Gold, Group, Monitoring, Owner
from credit_risk_platform.defs.reports.common import publish, reproducible
from credit_risk_platform.settings import Settings

KINDS = {"jinja", "html", "duckdb"}
FRESH = dg.FreshnessPolicy.time_window(fail_window=dt.timedelta(hours=50), warn_window=dt.timedelta(hours=26))


@dg.asset(
    key=Monitoring.REPORT_PORTFOLIO_RISK,
    partitions_def=PORTFOLIO_DAYS,
    deps=[
        Gold.PORTFOLIO_SCORES,
        Gold.PORTFOLIO_LOANS,
        Gold.PORTFOLIO_MONTHS,
        Gold.DELINQUENCY_BUCKETS,
        Gold.VINTAGE_CURVES,
        Gold.DEFAULT_TREND,
        Gold.CONCENTRATION,
        Gold.WATCHLIST,
    ],
    check_specs=[reproducible(Monitoring.REPORT_PORTFOLIO_RISK)],
    group_name=Group.REPORTS,
    owners=[Owner.ANALYTICS],
    kinds=KINDS,
    code_version="1",
    freshness_policy=FRESH,
    description=(
        "Portfolio risk as of a day, as a page: open loans and balance, delinquency, risk bands, vintages, default "
        "trend, concentration, watch list. Each number links to the asset event that made it. Made again for an old "
        "day it says the same, or says that it was restated and keeps the version before."
    ),
)
def report_portfolio_risk(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.MaterializeResult:
    as_of = dt.date.fromisoformat(context.partition_key)
    report = portfolio_risk.report(warehouse, as_of)
    return publish(context, settings, report, context.partition_key, Monitoring.REPORT_PORTFOLIO_RISK)


@dg.asset(
    key=Monitoring.REPORT_ECL,
    partitions_def=PORTFOLIO_DAYS,
    deps=[
        Gold.LOAN_ECL,
        Gold.ECL_WATERFALL,
        dg.AssetDep(Gold.STRESS_ECL, partition_mapping=dg.AllPartitionMapping()),
    ],
    check_specs=[reproducible(Monitoring.REPORT_ECL)],
    group_name=Group.REPORTS,
    owners=[Owner.ANALYTICS],
    kinds=KINDS,
    code_version="1",
    freshness_policy=FRESH,
    description=(
        "Expected credit loss on a reporting day, as a page: IFRS 9 stages with coverage, the CECL allowance, what "
        "moved it since the month before, and the loss under each scenario. What was not computed yet is named, never "
        "shown as zero."
    ),
)
def report_ecl(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.MaterializeResult:
    as_of = dt.date.fromisoformat(context.partition_key)
    report = expected_loss.report(warehouse, as_of)
    return publish(context, settings, report, context.partition_key, Monitoring.REPORT_ECL)


@dg.asset(
    key=Monitoring.REPORT_ADVERSE_ACTION_LOG,
    partitions_def=PORTFOLIO_DAYS,
    deps=[Gold.DECISIONS, Gold.ADVERSE_ACTION_NOTICES],
    check_specs=[reproducible(Monitoring.REPORT_ADVERSE_ACTION_LOG)],
    group_name=Group.REPORTS,
    owners=[Owner.ANALYTICS],
    kinds=KINDS,
    code_version="1",
    freshness_policy=FRESH,
    description=(
        "Every application declined on a day, as a page: loan and score id, the rules that fired, the reasons in "
        "approved words, and whether its notice is written and when it is due. It names nobody. A form in the manner "
        "of Regulation B's records; have counsel read it."
    ),
)
def report_adverse_action_log(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.MaterializeResult:
    as_of = dt.date.fromisoformat(context.partition_key)
    report = adverse_actions.report(warehouse, as_of)
    return publish(context, settings, report, context.partition_key, Monitoring.REPORT_ADVERSE_ACTION_LOG)
