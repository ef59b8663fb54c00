"""The application PD as a family of models: its rows, its SQL, its limits."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from credit_risk_platform.adapters import training_data
from credit_risk_platform.adapters.feature_sql import FeatureSql
from credit_risk_platform.catalog import Gold, Models
from credit_risk_platform.domain.features import Stage
from credit_risk_platform.settings import Settings
from credit_risk_platform.workbench.family import Family


def _candidates(settings: Settings) -> Sequence[str]:
    return settings.candidates


def _feature_sql(manifest: Mapping[str, Any]) -> str:
    return FeatureSql.from_manifest(manifest).sql


APPLICATION = Family(
    kind="application",
    champion=Models.CHAMPION,
    table=training_data.SET,
    stage=Stage.APPLICATION,
    inputs="application features",
    candidates=_candidates,
    feature_sql=_feature_sql,
    intake_model="int_applications",
    # The marts' own guard, which follows column lineage; its latest result counts.
    guard=dg.AssetCheckKey(Gold.APPLICATION_FEATURES, "leakage_guard"),
)
