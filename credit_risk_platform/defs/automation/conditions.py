"""Declarative automation: marts follow their sources by themselves, and never past a failed blocking check."""

from collections.abc import Iterable, Sequence
from typing import Any

import dagster as dg

from credit_risk_platform.defs.automation.jobs import MART_GROUPS

INGESTION_CRON = "0 2 * * *"
FEATURES_CRON = "0 4 * * *"
NIGHT_ENDS_CRON = "30 4 * * *"

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


def automate(assets: Iterable[Any]) -> Sequence[Any]:
    """The same assets, every mart with the `FOLLOW_SOURCES` condition."""

    def follow(spec: dg.AssetSpec) -> dg.AssetSpec:
        is_mart = spec.group_name in MART_GROUPS
        return spec.replace_attributes(automation_condition=FOLLOW_SOURCES) if is_mart else spec

    return dg.map_asset_specs(follow, assets)
