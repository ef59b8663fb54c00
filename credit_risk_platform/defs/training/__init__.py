"""From matured loans to the model that scores: training set, candidates, leader board, champion."""

import dagster as dg

from credit_risk_platform.defs.training.assets import training_set
from credit_risk_platform.defs.training.candidates import build_candidates
from credit_risk_platform.defs.training.champion import champion
from credit_risk_platform.defs.training.leaderboard import build_leaderboard
from credit_risk_platform.defs.training.mlflow_resource import build_mlflow_resource
from credit_risk_platform.settings import Settings

__all__ = ["build_mlflow_resource", "definitions"]


def definitions(settings: Settings) -> dg.Definitions:
    """The room's assets with their inline checks. Needs resources settings, warehouse, bundles, registry, mlflow."""
    names = settings.candidates
    return dg.Definitions(assets=[training_set, *build_candidates(names), build_leaderboard(names), champion])
