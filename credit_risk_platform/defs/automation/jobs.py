"""The named jobs of the platform. The four of S4 keep their names; `full_pipeline` is what `make demo` runs."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from credit_risk_platform.catalog import BATCH_RUN, Gold, Group, Models, Monitoring

SOURCES = dg.AssetSelection.groups(Group.SOURCES)
MART_GROUPS = (Group.STAGING, Group.FEATURES, Group.PORTFOLIO, Group.POLICY, Group.EARLY_WARNING)
FILES = dg.AssetSelection.assets(Gold.EARLY_WARNING_FILES)
"""Files that also show predictions: after scoring, where the marts come before it."""
MARTS = dg.AssetSelection.groups(*MART_GROUPS) - FILES
TRAINING = dg.AssetSelection.groups(Group.TRAINING)
BEHAVIOUR = dg.AssetSelection.groups(Group.BEHAVIOUR)
SCORING = dg.AssetSelection.groups(Group.SCORING)
DECISIONS = dg.AssetSelection.groups(Group.DECISIONS)
MONITORING = dg.AssetSelection.groups(Group.MONITORING)
HEALTH = dg.AssetSelection.groups(Group.HEALTH)
ARCHIVE = dg.AssetSelection.groups(Group.ARCHIVE)
PERFORMANCE = dg.AssetSelection.groups(Group.PERFORMANCE) - dg.AssetSelection.assets(Monitoring.BACKTEST_PD)
"""Backtests are partitioned by vintage: their job is `vintage_backtest`, asked for as vintages mature."""
_PDS_AT_APPLICATION = dg.AssetSelection.assets(Gold.ORIGINATION_SCORES)
RISK = dg.AssetSelection.groups(Group.RISK) | _PDS_AT_APPLICATION
"""Marts that show scores and decisions, so they come after scoring; the PDs at application that they show; and the copy
of all marts, which is written once more by automation when the expected loss is there."""
PROVISIONING_MODELS = dg.AssetSelection.assets(Models.HAZARD_PD, Models.LGD_MODEL)
_STRESS = dg.AssetSelection.assets(Gold.STRESS_ECL)
EXPECTED_LOSS = dg.AssetSelection.groups(Group.PROVISIONING) - PROVISIONING_MODELS - _PDS_AT_APPLICATION - _STRESS
"""The stress test is partitioned by scenario: its job is `stress_testing`."""
REPORTS = dg.AssetSelection.groups(Group.REPORTS)


LARGE = {
    "dagster-k8s/config": {
        "container_config": {
            "resources": {
                "requests": {"cpu": "2", "memory": "6Gi"},
                "limits": {"cpu": "4", "memory": "12Gi"},
            }
        }
    }
}
"""Size of a run's pod, where runs have pods (deploy/helm): 6.4 GB were measured at 10M loans. No effect elsewhere."""


def _job(name: str, selection: dg.AssetSelection, description: str, tags: Mapping[str, Any] | None = None) -> Any:
    return dg.define_asset_job(name, selection, description=description, tags={**BATCH_RUN, **(tags or {})})


daily_ingestion = _job("daily_ingestion", SOURCES, description="Extract, validate and land every source as bronze.")
feature_engineering = _job(
    "feature_engineering", MARTS, description="dbt: silver, feature marts and portfolio marts, with their checks."
)
model_training = _job(
    "model_training",
    TRAINING,
    description="Training set, six candidates, leader board, and promotion behind blocking checks.",
    tags=LARGE,
)
behaviour_training = _job(
    "behaviour_training",
    BEHAVIOUR,
    description="Observations of loans on the book, two candidates, and promotion of the behavioural PD behind checks.",
)
portfolio_scoring = _job(
    "portfolio_scoring", SCORING, description="Score every loan open on one day and write the ledger."
)
portfolio_risk = _job(
    "portfolio_risk",
    RISK,
    description="The risk marts behind dashboard and reports, after scoring, and the copy of all marts.",
)
provisioning_models = _job(
    "provisioning_models", PROVISIONING_MODELS, description="Fit the hazard PD and the LGD model that provisions use."
)
expected_loss = _job(
    "expected_loss",
    EXPECTED_LOSS,
    description="Expected loss of one day, by loan and stage, with its waterfall.",
)
risk_reports = _job(
    "risk_reports",
    REPORTS,
    description="The reports of one day, and those of the models, with links to their evidence.",
)
model_monitoring = _job(
    "model_monitoring", MONITORING, description="Drift of features and scores against the champion's population."
)
application_decisions = _job(
    "application_decisions",
    DECISIONS,
    description="Decide on every scored application: outcomes, referral queue, notices, experiments and fraud signals.",
)
archive_daily = _job(
    "archive_daily",
    dg.AssetSelection.assets(Monitoring.ARCHIVE_DAILY),
    description="Copy the raw events that arrived on a day, and its drift reports, to files with checksums.",
)
health_check = _job(
    "health_check", HEALTH, description="The morning's page: assets, checks, streams, API, alerts, disk, in one table."
)
warehouse_parity = _job(
    "warehouse_parity",
    dg.AssetSelection.assets(Monitoring.WAREHOUSE_PARITY),
    description="Compare every mart in the embedded warehouse with the same mart in Snowflake, row by row.",
)
BEFORE_SCORES = SOURCES | MARTS | TRAINING | BEHAVIOUR
AFTER_SCORES = DECISIONS | RISK | PROVISIONING_MODELS | EXPECTED_LOSS | REPORTS
WATCHED = MONITORING | ARCHIVE | PERFORMANCE | HEALTH | FILES
full_pipeline = _job(
    "full_pipeline",
    BEFORE_SCORES | SCORING | AFTER_SCORES | WATCHED,
    description="Everything, source to score, decision, expected loss and report, for one as-of date.",
)
silver_refresh = _job(
    "silver_refresh",
    SOURCES | dg.AssetSelection.groups(Group.STAGING),
    description="Bronze, then silver: the four-hourly half of the lakehouse preset.",
)
gold_refresh = _job(
    "gold_refresh",
    MARTS - dg.AssetSelection.groups(Group.STAGING),
    description="Gold marts from the present silver: the daily half of the lakehouse preset.",
)

JOBS = [
    daily_ingestion,
    feature_engineering,
    model_training,
    behaviour_training,
    portfolio_scoring,
    portfolio_risk,
    provisioning_models,
    expected_loss,
    risk_reports,
    model_monitoring,
    application_decisions,
    archive_daily,
    health_check,
    warehouse_parity,
    full_pipeline,
    silver_refresh,
    gold_refresh,
]
