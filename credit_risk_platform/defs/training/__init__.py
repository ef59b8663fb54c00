"""From matured loans to the model that scores: training set, candidates, leader board, champion."""

import dagster as dg

from credit_risk_platform.defs.training.assets import training_set
from credit_risk_platform.defs.training.candidates import build_candidates
from credit_risk_platform.defs.training.champion import champion
from credit_risk_platform.defs.training.leaderboard import build_leaderboard
from credit_risk_platform.settings import Settings
from credit_risk_platform.workbench.mlflow_run import mlflow_run

__all__ = ["definitions"]


def definitions(settings: Settings) -> dg.Definitions:
    """The room's assets with their inline checks, and the MLflow run they share.

    Needs the resources settings, warehouse, bundles and registry.
    """
    names = settings.candidates
    return dg.Definitions(
        assets=[training_set, *build_candidates(names), build_leaderboard(names), champion],
        resources={"mlflow": mlflow_run},
    )
