"""What the asset pages of models show: tables and pictures, as Dagster metadata. No numbers are made here."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from credit_risk_platform.adapters import markdown, plots
from credit_risk_platform.adapters.bundles import Promotion
from credit_risk_platform.adapters.candidates import Measured
from credit_risk_platform.domain.curves import calibration_curve, roc_curve
from credit_risk_platform.domain.evaluation import METRICS
from credit_risk_platform.domain.models.base import CreditModel
from credit_risk_platform.domain.models.scorecard_table import POINTS_TABLE
from credit_risk_platform.domain.promotion import Gate
from credit_risk_platform.domain.splits import Split
from credit_risk_platform.domain.training import Predicted

HEADLINES = ("auc", "ks", "ece", "log_loss")


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> dg.MetadataValue:
    return dg.MetadataValue.md(markdown.table(header, rows))


def metrics_table(measured: Measured) -> dg.MetadataValue:
    """One line per metric, one column per split: value and bootstrap 95 % interval."""
    splits = list(measured)
    rows = [[name, *(_with_interval(measured[split].get(name)) for split in splits)] for name in METRICS]
    return markdown_table(["metric", *splits], rows)


def headlines(values: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The out-of-time figures Dagster plots over time, e.g. `out_of_time_auc`."""
    judged = values[Split.OUT_OF_TIME]
    return {f"{Split.OUT_OF_TIME}_{name}": judged[name] for name in HEADLINES if name in judged}


def pictures(
    predicted: Mapping[str, Predicted], values: Mapping[str, Mapping[str, float]], model: CreditModel
) -> dict[str, dg.MetadataValue]:
    """ROC with diagonal and KS, calibration curve, importance bars, score distribution (of the latest split)."""
    last = list(predicted)[-1]
    roc = {split: roc_curve(found.y, found.pd) for split, found in predicted.items()}
    later = {split: found for split, found in predicted.items() if split != Split.TRAIN}
    reliability = {split: calibration_curve(found.y, found.pd) for split, found in later.items()}
    drawn = {
        "roc_curve": plots.roc(roc, values),
        "calibration_curve": plots.calibration(reliability),
        "feature_importance": plots.importance(model.importance(), model.directions),
        "score_distribution": plots.score_distribution(predicted[last].pd, predicted[last].y),
    }
    return {name: dg.MetadataValue.md(picture) for name, picture in drawn.items()}


def own_tables(model: CreditModel) -> dict[str, dg.MetadataValue]:
    """What the model shows of itself; of a scorecard, the card, its features and a picture of the points."""
    tables = model.tables()
    shown: dict[str, dg.MetadataValue] = {
        name: dg.MetadataValue.md(markdown.records(table)) for name, table in tables.items()
    }
    if POINTS_TABLE in tables:
        shown["scorecard_picture"] = dg.MetadataValue.md(plots.scorecard_points(tables[POINTS_TABLE]))
    return shown


def gates_table(gates: Sequence[Gate]) -> dg.MetadataValue:
    """What each gate found, and what to do about the red ones."""
    signs = {(True, True): "✓", (True, False): "✗ blocks", (False, True): "✓", (False, False): "! warns"}
    return markdown_table(
        ["gate", "", "finding", "next step"],
        [[str(gate.name), signs[gate.name.blocking, gate.passed], gate.finding, gate.next_step] for gate in gates],
    )


def history_table(history: Sequence[Promotion]) -> dg.MetadataValue:
    """Every promotion and rollback, newest first."""
    return markdown_table(
        ["when (UTC)", "model", "version", "bundle", "by", "why"],
        [[e.promoted_at, e.name, e.version, e.sha[:12], e.promoted_by, e.reason] for e in reversed(history)],
    )


def column_schema(columns: Mapping[str, str], descriptions: Mapping[str, str]) -> dg.TableSchema:
    return dg.TableSchema(
        [dg.TableColumn(name, kind, description=descriptions.get(name)) for name, kind in columns.items()]
    )


def _with_interval(part: Mapping[str, Any] | None) -> str | None:
    if part is None or part["value"] is None:
        return None
    if part["low"] is None or part["high"] is None:
        return f"{part['value']:.4f}"
    return f"{part['value']:.4f} [{part['low']:.4f}, {part['high']:.4f}]"
