"""One asset per model of the zoo: tuned, stopped, calibrated and judged, each on loans of its own."""

import json
from collections.abc import Sequence
from typing import Any

import dagster as dg

from credit_risk_platform.adapters import candidates, training_data
from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.candidates import Candidate
from credit_risk_platform.adapters.feature_sql import FeatureSql
from credit_risk_platform.adapters.registry import CandidateRun, ModelRegistry
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import Gold, Group, Models, Owner
from credit_risk_platform.defs.training import report
from credit_risk_platform.defs.training.mlflow_resource import end_mlflow_on_run_finished
from credit_risk_platform.defs.training.recipe import CODE_VERSION, loans_of, recipe_of, share_cores
from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.features import model_features
from credit_risk_platform.domain.models.frame import InputFeature
from credit_risk_platform.domain.models.zoo import model_class
from credit_risk_platform.domain.training import Trained, to_bundle, train_candidate
from credit_risk_platform.settings import Settings

LIBRARY_KINDS = {"xgboost": "xgboost", "lightgbm": "lightgbm"}


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
        share_cores()
        fingerprint = training_data.fingerprint(warehouse)
        features = [InputFeature.of(feature) for feature in model_features()]
        recipe = recipe_of(settings)
        loans = loans_of(warehouse, features, settings.seed)
        trained = train_candidate(model_class(name), loans, recipe, context.log.info)
        bundle = to_bundle(
            trained,
            features,
            feature_sql=FeatureSql.from_manifest(json.loads(settings.paths.dbt_manifest.read_bytes())).sql,
            fingerprint=fingerprint,
            policy_version=training_data.policy_version(warehouse),
            recipe=recipe,
            created_from={"training_code": CODE_VERSION},
        )
        if training_data.fingerprint(warehouse) != fingerprint:
            raise dg.Failure("gold.training_set was rebuilt while this model was training on it; train it again.")
        sha = bundles.put(bundle.to_bytes())
        run_id = registry.log_candidate(mlflow.mlflow_run_id, _mlflow_run(bundle, trained, bundles, context, settings))
        candidates.record(warehouse, _result(bundle, trained, run_id), bundle.metrics)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(sha), metadata=_metadata(bundle, trained, run_id, registry)
        )

    return candidate


def _mlflow_run(
    bundle: ModelBundle, trained: Trained, bundles: BundleStore, context: dg.AssetExecutionContext, settings: Settings
) -> CandidateRun:
    return CandidateRun(
        name=bundle.name,
        params={**bundle.params, "calibrator": trained.calibrator.method, "learnt_rows": trained.learnt_rows},
        metrics={**candidates.flat(bundle.metrics), "validation.held_out_log_loss": trained.validation_loss},
        tags={
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
