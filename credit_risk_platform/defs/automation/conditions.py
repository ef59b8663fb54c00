"""Declarative automation: marts follow their sources and decisions the clock, never past a failed blocking check."""

from collections.abc import Iterable, Sequence
from typing import Any

import dagster as dg

from credit_risk_platform.catalog import Bronze, Gold, Group, Monitoring
from credit_risk_platform.defs.automation.jobs import MART_GROUPS

INGESTION_CRON = "0 2 * * *"
FEATURES_CRON = "0 4 * * *"
NIGHT_ENDS_CRON = "30 4 * * *"
RISK_CRON = "30 5 * * *"
RISK_NIGHT_ENDS_CRON = "0 6 * * *"

NIGHT_WINDOW = dg.AutomationCondition.cron_tick_passed(INGESTION_CRON).since(
    dg.AutomationCondition.cron_tick_passed(NIGHT_ENDS_CRON)
)
"""True from the ingestion tick until half an hour after the features tick: then the schedule is in charge."""

FOLLOW_SOURCES = (
    dg.AutomationCondition.eager()
    # `eager()` alone ignores a blocking check that failed in an earlier run.
    & dg.AutomationCondition.all_deps_blocking_checks_passed()
    & ~NIGHT_WINDOW
).with_label("follow_sources_outside_the_night_window")
"""Late or extra landings rebuild what depends on them at once, as soon as their checks are green."""

DECISIONS_CRON = "*/10 * * * *"
WRITTEN_OUTSIDE = dg.AssetSelection.assets(Bronze.RAW_APPLICATIONS, Gold.APPLICATION_SCORES, Gold.SCORE_LEDGER)
"""What may never have been made by a run: the API and `crp stream` write it without Dagster. And of the ledger some day
is always missing."""

DECIDE_REGULARLY = (
    dg.AutomationCondition.cron_tick_passed(DECISIONS_CRON).since(
        dg.AutomationCondition.newly_requested()
        | dg.AutomationCondition.newly_updated()
        | dg.AutomationCondition.initial_evaluation()
    )
    & ~dg.AutomationCondition.any_deps_missing().ignore(WRITTEN_OUTSIDE)
    & dg.AutomationCondition.all_deps_blocking_checks_passed()
    & ~dg.AutomationCondition.in_progress()
).with_label("every_ten_minutes")
"""By the clock, since no event tells of an API call. A decision stands in the answer already; what follows from it
(queue, notices, experiments) may wait ten minutes."""

WEIGH_AGAIN = (
    dg.AutomationCondition.eager().ignore(dg.AssetSelection.assets(Gold.POLICY_VERSIONS))
    & dg.AutomationCondition.all_deps_blocking_checks_passed()
).with_label("after_a_promotion")
"""The cut-off is weighed again with a new champion; the policy's record is looked at every ten minutes."""

SCORED_DAYS = dg.AssetSelection.assets(Gold.PORTFOLIO_SCORES)
PROVISIONS = dg.AssetSelection.assets(Gold.ECL_STAGE, Gold.ECL_WATERFALL, Gold.STRESS_ECL)
"""The copy of the marts for BI tools shows them too; of them as well some day or scenario is always missing."""
OUTSIDE_RUNS = dg.AssetSelection.assets(Bronze.RAW_APPLICATIONS, Gold.DECISIONS)
RISK_NIGHT = dg.AutomationCondition.cron_tick_passed(INGESTION_CRON).since(
    dg.AutomationCondition.cron_tick_passed(RISK_NIGHT_ENDS_CRON)
)
"""True from the ingestion tick until half an hour after the risk marts' own: first the marts, then the scores."""
FOLLOW_SCORES = (
    dg.AutomationCondition.eager()
    # Some day's scores are always missing; decisions come every ten minutes, and the funnel has its own clock.
    .replace("any_deps_missing", dg.AutomationCondition.any_deps_missing().ignore(SCORED_DAYS | PROVISIONS))
    .ignore(OUTSIDE_RUNS | dg.AssetSelection.assets(Gold.APPROVALS))
    & dg.AutomationCondition.all_deps_blocking_checks_passed()
    & ~RISK_NIGHT
).with_label("after_the_marts_or_a_scoring_outside_the_night_window")
"""Risk marts show marts and scores, so they follow either."""
HOURLY = (
    dg.AutomationCondition.cron_tick_passed("20 * * * *").since(
        dg.AutomationCondition.newly_requested()
        | dg.AutomationCondition.newly_updated()
        | dg.AutomationCondition.initial_evaluation()
    )
    & ~dg.AutomationCondition.any_deps_missing().ignore(OUTSIDE_RUNS)
    & dg.AutomationCondition.all_deps_blocking_checks_passed()
    & ~dg.AutomationCondition.in_progress()
).with_label("hourly")
"""The funnel of applications: no event tells of an API call."""

EXPORT_AGAIN = (
    # Of the scored days some are always missing, and all of them before the first scoring.
    dg.AutomationCondition.eager().replace(
        "any_deps_missing", dg.AutomationCondition.any_deps_missing().ignore(SCORED_DAYS)
    )
    & dg.AutomationCondition.any_deps_match(~dg.AutomationCondition.missing()).allow(SCORED_DAYS)
    & dg.AutomationCondition.all_deps_blocking_checks_passed()
).with_label("after_the_marts_or_a_scoring")
"""The early-warning files show both, so they are written after either."""

FOLLOW_LABELS = (dg.AutomationCondition.eager() & dg.AutomationCondition.all_deps_blocking_checks_passed()).with_label(
    "after_new_labels_or_a_promotion"
)
"""Performance is measured again with new outcomes and with a new champion; backtests are the sensor's affair."""


def automate(assets: Iterable[Any]) -> Sequence[Any]:
    """The same assets, every mart and everything about decisions with its condition."""

    def follow(spec: dg.AssetSpec) -> dg.AssetSpec:
        condition = _condition(spec)
        return spec.replace_attributes(automation_condition=condition) if condition else spec

    return dg.map_asset_specs(follow, assets)


def _condition(spec: dg.AssetSpec) -> dg.AutomationCondition[Any] | None:
    if spec.key == Gold.EARLY_WARNING_FILES:
        return EXPORT_AGAIN
    if spec.group_name == Group.RISK or spec.key == Gold.ORIGINATION_SCORES:
        return HOURLY if spec.key == Gold.APPROVALS else FOLLOW_SCORES
    if spec.group_name in MART_GROUPS:
        return FOLLOW_SOURCES
    if spec.group_name == Group.DECISIONS:
        return WEIGH_AGAIN if spec.key == Gold.CUTOFF_CURVE else DECIDE_REGULARLY
    if spec.group_name == Group.PERFORMANCE and spec.key != Monitoring.BACKTEST_PD:
        return FOLLOW_LABELS
    return None
