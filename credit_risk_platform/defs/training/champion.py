"""The champion: an asset that materialises only when every blocking gate is green, and that can be rolled back.

Here the evidence is gathered and the gates are shown; `succession.py` carries out what they decide.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import dagster as dg
from pydantic import Field

from credit_risk_platform.adapters import candidates, training_data
from credit_risk_platform.adapters.bundles import BundleNotFoundError, BundleStore, Champion
from credit_risk_platform.adapters.registry import ModelRegistry
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import Group, Models, Owner
from credit_risk_platform.defs.training import checks, report
from credit_risk_platform.defs.training.leaderboard import contenders
from credit_risk_platform.defs.training.mlflow_resource import end_mlflow_on_run_finished
from credit_risk_platform.defs.training.recipe import loans_of, recipe_of, share_cores
from credit_risk_platform.defs.training.succession import Succession
from credit_risk_platform.domain.bundle import BundleError, ModelBundle
from credit_risk_platform.domain.promotion import (
    Contender,
    Gate,
    GateName,
    Rules,
    judge,
    may_promote,
    own_gates,
    sampling_ece,
    weigh,
)
from credit_risk_platform.domain.splits import Split
from credit_risk_platform.domain.training import judge_bundle, predictions
from credit_risk_platform.settings import Settings

Events = Iterator[dg.AssetCheckResult | dg.MaterializeResult]
DEFAULTS = Rules()
PICTURED_LOANS = 50_000
"""Curves are drawn from a sample of each split; the figures beside them are of all loans."""


class PromotionConfig(dg.Config):
    """Thresholds of the gates, who decides, and the way back."""

    rollback_to: str = Field("", description="Version, or SHA-256 of the bundle, of an earlier champion to put back.")
    promoted_by: str = Field("", description="Who orders this; by default the schedule or the run.")
    reason: str = Field("", description="Why, for the champion's history.")
    replace_unmeasurable_champion: bool = Field(
        False, description="Promote although the present champion cannot be measured on today's training set."
    )
    max_ece: float = Field(DEFAULTS.max_ece, description="Largest expected calibration error out-of-time.")
    min_slope: float = Field(DEFAULTS.min_slope, description="Smallest calibration slope out-of-time.")
    max_slope: float = Field(DEFAULTS.max_slope, description="Largest calibration slope out-of-time.")
    max_auc: float = Field(DEFAULTS.max_auc, description="Out-of-time AUC above which leakage is suspected.")
    max_overfit: float = Field(DEFAULTS.max_overfit, description="Largest fall of the AUC from train to out-of-time.")
    auc_tolerance: float = Field(DEFAULTS.auc_tolerance, description="By how much the AUC may be below the champion's.")
    log_loss_tolerance: float = Field(DEFAULTS.log_loss_tolerance, description="The same for the log-loss.")
    max_psi: float = Field(DEFAULTS.max_psi, description="PSI of the PD, train to out-of-time, above which we warn.")

    def rules(self) -> Rules:
        """The thresholds, as the domain knows them."""
        return Rules(**{name: getattr(self, name) for name in Rules.__dataclass_fields__ if name != "ece_noise"})


@dg.asset(
    key=Models.CHAMPION,
    deps=[Models.LEADERBOARD],
    group_name=Group.TRAINING,
    owners=[Owner.MODELS],
    kinds={"python", "mlflow"},
    code_version="1",
    check_specs=checks.CHAMPION_CHECKS,
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
    share_cores()
    succession = Succession(bundles, registry, context.run, config.promoted_by, config.reason)
    if config.rollback_to:
        yield from _roll_back(context, config, bundles, succession)
    else:
        yield from _promote(context, config, warehouse, settings, bundles, succession)


def _promote(
    context: dg.AssetExecutionContext,
    config: PromotionConfig,
    warehouse: DuckLakeWarehouse,
    settings: Settings,
    bundles: BundleStore,
    succession: Succession,
) -> Events:
    reigning = bundles.pointer()
    judged = {card.split: card for card in training_data.cards(warehouse)}[Split.OUT_OF_TIME]
    rules = replace(config.rules(), ece_noise=sampling_ece(judged.loans, judged.bad_rate))
    found = contenders(warehouse, training_data.fingerprint(warehouse), settings.candidates)
    verdicts = judge([contender for _, contender in found.values()], rules, reigning.withdrawn if reigning else ())
    if not verdicts or not verdicts[0].eligible:
        gates = weigh(verdicts, None, (), rules)
        yield from map(checks.gate_result, gates)
        raise succession.refuse(gates, None)
    candidate, best = found[verdicts[0].contender.name]
    bundle = bundles.load(best.sha)
    rival, obstacle = _rival(reigning, best, warehouse, settings, bundles)
    leaks = checks.leaks(context.instance, [feature.name for feature in bundle.features])
    gates = weigh(verdicts, rival, leaks, rules)
    if obstacle and not config.replace_unmeasurable_champion:
        gates = tuple(obstacle if gate.name is obstacle.name else gate for gate in gates)
    yield from map(checks.gate_result, gates)
    if not may_promote(gates):
        raise succession.refuse(gates, candidate)
    crowned = succession.promote(candidate, bundle, reigning, gates)
    drawn = predictions(bundle, loans_of(warehouse, bundle.features, settings.seed), PICTURED_LOANS)
    pictures = report.pictures(drawn, crowned.metrics, bundle.model)
    yield _materialised(crowned, bundle, gates, succession, pictures)


def _rival(
    reigning: Champion | None, best: Contender, warehouse: DuckLakeWarehouse, settings: Settings, bundles: BundleStore
) -> tuple[Contender | None, Gate | None]:
    """The present champion measured on the challenger's loans, or the gate that says why it cannot be."""
    if reigning is None:
        return None, None
    if reigning.sha == best.sha:
        return best, None
    try:
        bundle = bundles.load(reigning.sha)
    except (BundleError, BundleNotFoundError) as error:
        return None, _unmeasurable(str(error))
    absent = {feature.name for feature in bundle.features} - set(warehouse.columns(training_data.TABLE))
    if absent:
        return None, _unmeasurable(f"its features {', '.join(sorted(absent))} are no longer in the training set")
    measured = judge_bundle(bundle, loans_of(warehouse, bundle.features, settings.seed), recipe_of(settings))
    return Contender(bundle.name, reigning.sha, measured), None


def _unmeasurable(reason: str) -> Gate:
    return Gate(
        GateName.BETTER,
        False,
        f"the present champion cannot be measured: {reason}",
        "If it must go all the same, materialise with replace_unmeasurable_champion: true and a reason.",
    )


def _roll_back(
    context: dg.AssetExecutionContext, config: PromotionConfig, bundles: BundleStore, succession: Succession
) -> Events:
    """Put an earlier champion back. Asks neither the warehouse nor the gates: this must work on the worst of days."""
    entry = bundles.earlier(config.rollback_to)
    bundle = bundles.load(entry.sha)
    recorded = Contender(bundle.name, entry.sha, candidates.values(bundle.metrics))
    order = f"not weighed: {succession.who} ordered the rollback"
    ordered = (Gate(GateName.ELIGIBLE, True, order), Gate(GateName.BETTER, True, order))
    leaks = checks.leaks(context.instance, [feature.name for feature in bundle.features])
    gates = (*ordered, *own_gates(recorded, leaks, config.rules()))
    for result in map(checks.gate_result, gates):
        yield result._replace(severity=dg.AssetCheckSeverity.WARN)
    crowned = succession.roll_back(entry, bundle)
    yield _materialised(crowned, bundle, gates, succession, {})


def _materialised(
    crowned: Champion, bundle: ModelBundle, gates: tuple[Gate, ...], succession: Succession, pictures: dict[str, Any]
) -> dg.MaterializeResult:
    now, links = crowned.promotion, succession.links(crowned)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(crowned.sha),
        metadata={
            "model": now.name,
            "version": now.version,
            **report.headlines(crowned.metrics),
            "gates": report.gates_table(gates),
            "metrics": report.metrics_table(bundle.metrics),
            **pictures,
            "promoted_by": now.promoted_by,
            "promoted_at": now.promoted_at,
            "reason": now.reason,
            "history": report.history_table(crowned.history),
            "bundle_sha": crowned.sha,
            "training_fingerprint": bundle.training_fingerprint,
            "feature_sql_hash": bundle.feature_sql_hash,
            "policy_version": bundle.policy_version,
            "params": dg.MetadataValue.json(dict(bundle.params)),
            "mlflow_run_id": now.mlflow_run_id,
            **links,
        },
    )
