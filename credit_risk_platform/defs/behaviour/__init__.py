"""From loans on the book to the model that watches them: observations, two candidates, the behavioural champion."""

import dagster as dg

from credit_risk_platform.defs.behaviour.assets import behaviour_training_set
from credit_risk_platform.defs.behaviour.models import behaviour_champion, build_candidates
from credit_risk_platform.settings import Settings
from credit_risk_platform.workbench.mlflow_run import mlflow_run

__all__ = ["definitions"]


def definitions(settings: Settings) -> dg.Definitions:
    """The room's assets with their inline checks, and the MLflow run it shares with the training room.

    Needs the resources settings, warehouse, behaviour_bundles, behaviour_registry and registry.
    """
    return dg.Definitions(
        assets=[behaviour_training_set, *build_candidates(), behaviour_champion], resources={"mlflow": mlflow_run}
    )
