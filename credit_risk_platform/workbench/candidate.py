"""One candidate, of whatever kind of model: trained by the recipe, packed as a bundle, kept, logged and shown."""

import json
from collections.abc import Sequence
from typing import Any

import dagster as dg

from credit_risk_platform.adapters import candidates, training_data
from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.candidates import Candidate
from credit_risk_platform.adapters.registry import CandidateRun, ModelRegistry
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.feature_definition import Feature
from credit_risk_platform.domain.models.frame import InputFeature
from credit_risk_platform.domain.models.zoo import model_class
from credit_risk_platform.domain.training import Recipe, Trained, to_bundle, train_candidate
from credit_risk_platform.settings import Settings
from credit_risk_platform.workbench import report
from credit_risk_platform.workbench.family import CODE_VERSION, Family, share_cores

LIBRARY_KINDS = {"xgboost": "xgboost", "lightgbm": "lightgbm"}


def make_candidate(
    context: dg.AssetExecutionContext,
    family: Family,
    name: str,
    features: Sequence[Feature],
    recipe: Recipe,
    warehouse: Warehouse,
    settings: Settings,
    bundles: BundleStore,
    registry: ModelRegistry,
    parent_run_id: str,
) -> dg.MaterializeResult:
    """Train `name` of the zoo on the family's rows; the data version of the result is the hash of its bundle."""
    share_cores()
    fingerprint = family.table.fingerprint(warehouse)
    inputs = [InputFeature.of(feature) for feature in features]
    rows = family.table.rows(warehouse, inputs, settings.seed)
    trained = train_candidate(model_class(name), rows, recipe, context.log.info)
    feature_sql, intake_sql = family.sql(settings)
    bundle = to_bundle(
        trained,
        inputs,
        feature_sql=feature_sql,
        intake_sql=intake_sql,
        fingerprint=fingerprint,
        policy_version=training_data.policy_version(warehouse),
        recipe=recipe,
        created_from={"training_code": CODE_VERSION, "model": family.kind},
    )
    if family.table.fingerprint(warehouse) != fingerprint:
        raise dg.Failure(f"{family.table.name} was rebuilt while this model was training on it; train it again.")
    sha = bundles.put(bundle.to_bytes())
    run = _mlflow_run(bundle, trained, family, bundles, context, settings)
    run_id = registry.log_candidate(parent_run_id, run)
    candidates.record(warehouse, _result(bundle, trained, run_id), bundle.metrics)
    place = {"bundle": dg.MetadataValue.path(bundles.location(sha))}
    metadata = {**_metadata(bundle, trained, run_id, registry), **place}
    return dg.MaterializeResult(data_version=dg.DataVersion(sha), metadata=metadata)


def _mlflow_run(
    bundle: ModelBundle,
    trained: Trained,
    family: Family,
    bundles: BundleStore,
    context: dg.AssetExecutionContext,
    settings: Settings,
) -> CandidateRun:
    return CandidateRun(
        name=family.run_prefix + bundle.name,
        params={**bundle.params, "calibrator": trained.calibrator.method, "learnt_rows": trained.learnt_rows},
        metrics={**candidates.flat(bundle.metrics), "validation.held_out_log_loss": trained.validation_loss},
        tags={
            "model": family.kind,
            "dagster_run_id": context.run.run_id,
            "dagster_run_url": f"http://{settings.host}:{settings.dagster_port}/runs/{context.run.run_id}",
            "dagster_asset": context.asset_key.to_user_string(),
            "bundle_sha": bundle.sha256,
            "training_fingerprint": bundle.training_fingerprint,
            "feature_sql_hash": bundle.feature_sql_hash,
        },
        bundle=bundles.path(bundle.sha256),
    )


def _result(bundle: ModelBundle, trained: Trained, run_id: str) -> Candidate:
    best = trained.tuning.best if trained.tuning else None
    lift = trained.lift
    return Candidate(
        training_fingerprint=bundle.training_fingerprint,
        name=bundle.name,
        bundle_sha=bundle.sha256,
        mlflow_run_id=run_id,
        params=json.dumps(dict(bundle.params), sort_keys=True),
        calibrator=str(trained.calibrator.method),
        validation_loss=trained.validation_loss,
        intercept_shift=trained.intercept_shift,
        fold_auc_mean=best.mean if best else None,
        fold_auc_sd=best.sd if best else None,
        learnt_rows=trained.learnt_rows,
        declined_share=lift.declined_share if lift else None,
        rules_lift=lift.rules if lift else None,
        model_lift=lift.model if lift else None,
    )


def _metadata(bundle: ModelBundle, trained: Trained, run_id: str, registry: ModelRegistry) -> dict[str, Any]:
    values = candidates.values(bundle.metrics)
    tuning = trained.tuning.table().to_pylist() if trained.tuning else []
    shown = ("trial", "mean_auc", "sd_auc", "params", "chosen")
    trials = [[row[name] for name in shown] for row in tuning]
    return {
        **report.headlines(values),
        "metrics": report.metrics_table(bundle.metrics),
        **report.pictures(trained.predicted, values, trained.model),
        **report.own_tables(trained.model),
        "tuning": report.markdown_table(["trial", "mean AUC", "sd", "parameters", "chosen"], trials),
        "params": dg.MetadataValue.json(dict(bundle.params)),
        "calibrator": str(trained.calibrator.method),
        "loans_learnt_from": trained.learnt_rows,
        "loans_tuned_on": trained.tuned_rows,
        "bundle_sha": bundle.sha256,
        "training_fingerprint": bundle.training_fingerprint,
        "feature_sql_hash": bundle.feature_sql_hash,
        "policy_version": bundle.policy_version,
        "mlflow_run_id": run_id,
        "mlflow_run": dg.MetadataValue.url(registry.run_url(run_id)),
    }
