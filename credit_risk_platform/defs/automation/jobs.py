"""The named jobs of the platform. The four of S4 keep their names; `full_pipeline` is what `make demo` runs."""

from typing import Any

import dagster as dg

from credit_risk_platform.catalog import BATCH_RUN, Group

SOURCES = dg.AssetSelection.groups(Group.SOURCES)
MART_GROUPS = (Group.STAGING, Group.FEATURES, Group.PORTFOLIO, Group.POLICY)
MARTS = dg.AssetSelection.groups(*MART_GROUPS)
TRAINING = dg.AssetSelection.groups(Group.TRAINING)
BEHAVIOUR = dg.AssetSelection.groups(Group.BEHAVIOUR)
SCORING = dg.AssetSelection.groups(Group.SCORING)
DECISIONS = dg.AssetSelection.groups(Group.DECISIONS)
MONITORING = dg.AssetSelection.groups(Group.MONITORING)


def _job(name: str, selection: dg.AssetSelection, description: str) -> Any:
    return dg.define_asset_job(name, selection, description=description, tags=BATCH_RUN)


daily_ingestion = _job("daily_ingestion", SOURCES, description="Extract, validate and land every source as bronze.")
feature_engineering = _job(
    "feature_engineering", MARTS, description="dbt: silver, feature marts and portfolio marts, with their checks."
)
model_training = _job(
    "model_training",
    TRAINING,
    description="Training set, six candidates, leader board, and promotion behind blocking checks.",
)
behaviour_training = _job(
    "behaviour_training",
    BEHAVIOUR,
    description="Observations of loans on the book, two candidates, and promotion of the behavioural PD behind checks.",
)
portfolio_scoring = _job(
    "portfolio_scoring", SCORING, description="Score every loan open on one day and write the ledger."
)
model_monitoring = _job(
    "model_monitoring", MONITORING, description="Drift of features and scores against the champion's population."
)
application_decisions = _job(
    "application_decisions",
    DECISIONS,
    description="Decide on every scored application: outcomes, referral queue, notices, experiments and fraud signals.",
)
full_pipeline = _job(
    "full_pipeline",
    SOURCES | MARTS | TRAINING | BEHAVIOUR | SCORING | DECISIONS | MONITORING,
    description="Everything, source to score and decision, for one as-of date.",
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
    model_monitoring,
    application_decisions,
    full_pipeline,
    silver_refresh,
    gold_refresh,
]
