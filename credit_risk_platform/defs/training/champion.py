"""The champion: an asset that materialises only when every blocking gate is green, and that can be rolled back."""

from typing import Any

import dagster as dg

from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.registry import ModelRegistry
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import Group, Models, Owner
from credit_risk_platform.defs.training.family import APPLICATION
from credit_risk_platform.settings import Settings
from credit_risk_platform.workbench.election import Election, Events, PromotionConfig, gate_checks
from credit_risk_platform.workbench.mlflow_run import end_mlflow_on_run_finished


@dg.asset(
    key=Models.CHAMPION,
    deps=[Models.LEADERBOARD],
    group_name=Group.TRAINING,
    owners=[Owner.MODELS],
    kinds={"python", "mlflow"},
    code_version="1",
    check_specs=gate_checks(Models.CHAMPION),
    hooks={end_mlflow_on_run_finished},
    description=(
        "The model that scores. It materialises only if the best eligible candidate passes every blocking gate; "
        "otherwise the former champion goes on scoring and the loser is registered as @challenger. Who, when and why "
        "is kept. To roll back, materialise with `rollback_to: <version or bundle hash>`."
    ),
)
def champion(
    context: dg.AssetExecutionContext,
    config: PromotionConfig,
    warehouse: dg.ResourceParam[DuckLakeWarehouse],
    settings: dg.ResourceParam[Settings],
    bundles: dg.ResourceParam[BundleStore],
    registry: dg.ResourceParam[ModelRegistry],
    mlflow: dg.ResourceParam[Any],
) -> Events:
    yield from Election(context, APPLICATION, config, warehouse, settings, bundles, registry).events()
