"""All candidates of the present training set side by side, best first, and whether a model beats plain rules."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import pyarrow as pa

from credit_risk_platform.adapters import candidates, training_data
from credit_risk_platform.adapters.candidates import Candidate
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import Group, Models, Owner, table_of
from credit_risk_platform.domain.promotion import Rules, Verdict, judge
from credit_risk_platform.domain.splits import Split
from credit_risk_platform.workbench import report

SPLITS = (Split.TRAIN, Split.VALIDATION, Split.OUT_OF_TIME)
METRICS = ("auc", "ks", "brier", "ece", "log_loss")
LIFT_CHECK = dg.AssetCheckSpec(
    "lift_over_rules",
    asset=Models.LEADERBOARD,
    description="At the same share declined, the best candidate's declined loans are worse than the rules'.",
)


def build_leaderboard(names: Sequence[str]) -> dg.AssetsDefinition:
    """The asset over the candidates `names`."""

    @dg.asset(
        key=Models.LEADERBOARD,
        deps=[Models.candidate(name) for name in names],
        group_name=Group.TRAINING,
        owners=[Owner.MODELS],
        kinds={"python", "duckdb"},
        code_version="1",
        check_specs=[LIFT_CHECK],
        description=(
            "Every candidate trained on the present training set: metrics per split, spread over the time-ordered "
            "folds, fall of the AUC from train to out-of-time, and whether it may be promoted. Ranked by the log-loss "
            "of its calibrated PDs on held-out validation folds."
        ),
    )
    def leaderboard(
        context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[DuckLakeWarehouse]
    ) -> dg.MaterializeResult:
        found = candidates.contenders(warehouse, training_data.fingerprint(warehouse), names)
        missing = sorted(set(names) - set(found))
        if missing:
            context.log.warning("not trained on the present training set: %s", ", ".join(missing))
        verdicts = judge([contender for _, contender in found.values()], Rules())
        board = [
            _row(rank, verdict, found[verdict.contender.name][0]) for rank, verdict in enumerate(verdicts, start=1)
        ]
        table = table_of(Models.LEADERBOARD)
        rows = warehouse.replace_table(table, pa.Table.from_pylist(board, _SCHEMA))
        return dg.MaterializeResult(
            data_version=dg.DataVersion(_version(board)),
            metadata={
                "dagster/row_count": rows,
                "dagster/table_name": table,
                "dagster/column_schema": report.column_schema(warehouse.columns(table), {}),
                "leaderboard": _table(board),
                "not_trained_on_this_set": ", ".join(missing) or "none",
            },
            check_results=[_lift_result(board)],
        )

    return leaderboard


def _row(rank: int, verdict: Verdict, candidate: Candidate) -> dict[str, Any]:
    metrics = verdict.contender.metrics
    figures = {f"{split}_{name}": metrics[split].get(name) for split in SPLITS for name in METRICS}
    return {
        "rank": rank,
        "model": candidate.name,
        "eligible": verdict.eligible,
        "reason": verdict.reason,
        "validation_loss": candidate.validation_loss,
        **figures,
        "train_to_out_of_time_auc": metrics[Split.TRAIN]["auc"] - metrics[Split.OUT_OF_TIME]["auc"],
        "fold_auc_mean": candidate.fold_auc_mean,
        "fold_auc_sd": candidate.fold_auc_sd,
        "declined_share": candidate.declined_share,
        "rules_lift": candidate.rules_lift,
        "model_lift": candidate.model_lift,
        "calibrator": candidate.calibrator,
        "bundle_sha": candidate.bundle_sha,
        "mlflow_run_id": candidate.mlflow_run_id,
        "training_fingerprint": candidate.training_fingerprint,
    }


_TEXTS = ("model", "reason", "calibrator", "bundle_sha", "mlflow_run_id", "training_fingerprint")
_SCHEMA = pa.schema(
    [("rank", pa.int32()), ("model", pa.string()), ("eligible", pa.bool_()), ("reason", pa.string())]
    + [("validation_loss", pa.float64())]
    + [(f"{split}_{name}", pa.float64()) for split in SPLITS for name in METRICS]
    + [(name, pa.float64()) for name in ("train_to_out_of_time_auc", "fold_auc_mean", "fold_auc_sd")]
    + [(name, pa.float64()) for name in ("declined_share", "rules_lift", "model_lift")]
    + [(name, pa.string()) for name in _TEXTS[2:]]
)


def _table(board: Sequence[Mapping[str, Any]]) -> dg.MetadataValue:
    shown = {
        "rank": "rank", "model": "model", "eligible": "may be promoted", "validation_loss": "held-out log-loss",
        "train_auc": "AUC train", "validation_auc": "AUC validation", "out_of_time_auc": "AUC out-of-time",
        "train_to_out_of_time_auc": "AUC fall", "fold_auc_sd": "AUC sd over folds", "out_of_time_ks": "KS out-of-time",
        "out_of_time_brier": "Brier out-of-time", "out_of_time_ece": "ECE out-of-time",
        "rules_lift": "lift of rules", "model_lift": "lift of model",
    }  # fmt: skip
    return report.markdown_table(list(shown.values()), [[row[name] for name in shown] for row in board])


def _lift_result(board: Sequence[Mapping[str, Any]]) -> dg.AssetCheckResult:
    best = board[0] if board else None
    if best is None or best["rules_lift"] is None:
        return _lift(True, "the rules decline no loan (or there is no candidate): there is nothing to compare with")
    finding = (
        f"declining {best['declined_share']:.1%} out-of-time: bad rate of the declined over the average is "
        f"{best['model_lift']:.2f} by {best['model']} and {best['rules_lift']:.2f} by the rules"
    )
    return _lift(best["model_lift"] > best["rules_lift"], finding)


def _lift(passed: bool, finding: str) -> dg.AssetCheckResult:
    advice = {} if passed else {"next_step": "The model adds nothing to a watch list: look at its features and label."}
    return dg.AssetCheckResult(
        check_name=LIFT_CHECK.name,
        asset_key=Models.LEADERBOARD,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=finding,
        metadata={"finding": finding, **advice},
    )


def _version(board: Sequence[Mapping[str, Any]]) -> str:
    """Same candidates, same verdicts, same version; the MLflow run that logged them does not matter."""
    content = [{name: value for name, value in row.items() if name != "mlflow_run_id"} for row in board]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
