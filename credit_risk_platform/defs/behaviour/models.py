"""The candidates for the behavioural PD, and the one that scores. All are skipped where nothing can be learnt."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from pydantic import Field

from credit_risk_platform.adapters import behaviour_data
from credit_risk_platform.adapters.behaviour_data import SET
from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.registry import ModelRegistry
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import Gold, Group, Models, Owner
from credit_risk_platform.defs.behaviour.family import BEHAVIOURAL, CANDIDATES, MAX_AUC
from credit_risk_platform.domain.features import Stage, of_stages
from credit_risk_platform.settings import Settings
from credit_risk_platform.workbench.candidate import LIBRARY_KINDS, make_candidate
from credit_risk_platform.workbench.election import Election, Events, PromotionConfig, gate_checks
from credit_risk_platform.workbench.family import CODE_VERSION, recipe_of
from credit_risk_platform.workbench.mlflow_run import end_mlflow_on_run_finished


class BehaviourPromotionConfig(PromotionConfig):
    """As for the application champion; only what is too good to be true lies higher."""

    max_auc: float = Field(MAX_AUC, description="Out-of-time AUC above which leakage is suspected.")


def build_candidates() -> list[dg.AssetsDefinition]:
    return [_build_candidate(name) for name in CANDIDATES]


def _build_candidate(name: str) -> dg.AssetsDefinition:
    """The asset `models/behaviour_<name>`."""

    @dg.asset(
        key=Models.candidate(f"behaviour_{name}"),
        deps=[Gold.BEHAVIOUR_TRAINING_SET, Gold.RISK_BANDS],
        group_name=Group.BEHAVIOUR,
        owners=[Owner.MODELS],
        kinds={"python", "mlflow", LIBRARY_KINDS.get(name, "scikitlearn")},
        code_version=CODE_VERSION,
        hooks={end_mlflow_on_run_finished},
        output_required=False,
        description=(
            f"Candidate for the behavioural champion: {name.replace('_', ' ')} on thirteen features of how a loan was "
            "repaid so far. Made as the application candidates are: tuned on time-ordered folds, calibrated on "
            "validation months, judged out-of-time. Intervals take rows as independent, so they are somewhat narrow: "
            "a loan is observed several times. Skipped when gold/behaviour_training_set cannot teach a model."
        ),
    )
    def candidate(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[DuckLakeWarehouse],
        settings: dg.ResourceParam[Settings],
        behaviour_bundles: dg.ResourceParam[BundleStore],
        behaviour_registry: dg.ResourceParam[ModelRegistry],
        mlflow: dg.ResourceParam[Any],
    ) -> Iterator[dg.MaterializeResult]:
        if _nothing_to_learn(context, warehouse):
            return
        yield make_candidate(
            context, BEHAVIOURAL, name, of_stages(Stage.BEHAVIOUR), recipe_of(settings),
            warehouse, settings, behaviour_bundles, behaviour_registry, mlflow.mlflow_run_id,
        )  # fmt: skip

    return candidate


@dg.multi_asset(
    name="behaviour_champion",
    specs=[
        dg.AssetSpec(
            Models.BEHAVIOUR_CHAMPION,
            deps=[Models.candidate(f"behaviour_{name}") for name in CANDIDATES],
            group_name=Group.BEHAVIOUR,
            owners=[Owner.MODELS],
            kinds={"python", "mlflow"},
            code_version="1",
            skippable=True,
            description=(
                "The model that gives a loan on the book its live probability of default within twelve months. Chosen "
                "by held-out validation log-loss and promoted behind the same gates as models/champion, with its own "
                "pointer, history and rollback (`rollback_to: <version or bundle hash>`). Skipped when there is "
                "nothing to choose from."
            ),
        )
    ],
    check_specs=gate_checks(Models.BEHAVIOUR_CHAMPION),
    hooks={end_mlflow_on_run_finished},
    can_subset=True,  # makes the results of the checks optional too
)
def behaviour_champion(
    context: dg.AssetExecutionContext,
    config: BehaviourPromotionConfig,
    warehouse: dg.ResourceParam[DuckLakeWarehouse],
    settings: dg.ResourceParam[Settings],
    behaviour_bundles: dg.ResourceParam[BundleStore],
    behaviour_registry: dg.ResourceParam[ModelRegistry],
    mlflow: dg.ResourceParam[Any],
) -> Events:
    if not config.rollback_to and _nothing_to_learn(context, warehouse):
        return
    yield from Election(
        context, BEHAVIOURAL, config, warehouse, settings, behaviour_bundles, behaviour_registry
    ).events()


def _nothing_to_learn(context: dg.AssetExecutionContext, warehouse: DuckLakeWarehouse) -> bool:
    obstacle = behaviour_data.obstacle(warehouse, SET.cards(warehouse))
    if obstacle:
        context.log.warning("no behavioural model is trained: %s", obstacle)
    return bool(obstacle)
