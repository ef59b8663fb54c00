"""One asset per model of the zoo: tuned, stopped, calibrated and judged, each on loans of its own."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.registry import ModelRegistry
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import Gold, Group, Models, Owner
from credit_risk_platform.defs.training.family import APPLICATION
from credit_risk_platform.domain.features import model_features
from credit_risk_platform.settings import Settings
from credit_risk_platform.workbench.candidate import LIBRARY_KINDS, make_candidate
from credit_risk_platform.workbench.family import CODE_VERSION, recipe_of
from credit_risk_platform.workbench.mlflow_run import end_mlflow_on_run_finished


def build_candidates(names: Sequence[str]) -> list[dg.AssetsDefinition]:
    return [build_candidate(name) for name in names]


def build_candidate(name: str) -> dg.AssetsDefinition:
    """The asset `models/<name>`."""

    @dg.asset(
        key=Models.candidate(name),
        deps=[Gold.TRAINING_SET, Gold.RISK_BANDS],
        group_name=Group.TRAINING,
        owners=[Owner.MODELS],
        kinds={"python", "mlflow", LIBRARY_KINDS.get(name, "scikitlearn")},
        code_version=CODE_VERSION,
        hooks={end_mlflow_on_run_finished},
        description=(
            f"Candidate for champion: {name.replace('_', ' ')}. Parameters are chosen on time-ordered folds, the PD is "
            "calibrated on the validation vintages, and the fourteen metrics are measured on train, validation and "
            "out-of-time loans with 95 % intervals. The data version is the hash of the model bundle."
        ),
    )
    def candidate(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[DuckLakeWarehouse],
        settings: dg.ResourceParam[Settings],
        bundles: dg.ResourceParam[BundleStore],
        registry: dg.ResourceParam[ModelRegistry],
        mlflow: dg.ResourceParam[Any],
    ) -> dg.MaterializeResult:
        return make_candidate(
            context, APPLICATION, name, model_features(alternative_data=settings.alternative_data),
            recipe_of(settings), warehouse, settings, bundles, registry, mlflow.mlflow_run_id,
        )  # fmt: skip

    return candidate
