"""Declarative automation: marts follow their sources by themselves, and never past a failed blocking check."""

import dagster as dg

from credit_risk_platform.defs.automation.jobs import MARTS

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


def automate(definitions: dg.Definitions) -> dg.Definitions:
    """Give every mart the `FOLLOW_SOURCES` condition."""
    return definitions.map_asset_specs(
        func=lambda spec: spec.replace_attributes(automation_condition=FOLLOW_SOURCES), selection=MARTS
    )
