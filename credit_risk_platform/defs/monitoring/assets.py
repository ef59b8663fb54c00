"""What is watched every day: have the applicants moved, have the scores moved, do the PDs come true."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import dagster as dg

from credit_risk_platform.adapters import drift_report
from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.drift_reference import NoReferenceError, Reference, reference_of
from credit_risk_platform.adapters.drift_report import FEATURE_DRIFT, SCORE_DRIFT, Measured
from credit_risk_platform.adapters.realised import keep_realised, realised
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import PORTFOLIO_DAYS, Gold, Group, Models, Monitoring, Owner
from credit_risk_platform.defs.monitoring import checks
from credit_risk_platform.defs.monitoring.bundles import champion, scorer_of
from credit_risk_platform.domain.bundle import ModelBundle

FRESH = dg.FreshnessPolicy.time_window(fail_window=dt.timedelta(hours=50), warn_window=dt.timedelta(hours=26))


@dg.asset(
    key=Monitoring.FEATURE_DRIFT,
    partitions_def=PORTFOLIO_DAYS,
    deps=[Gold.APPLICATION_FEATURES, Gold.LOAN_OUTCOMES, Gold.TRAINING_SET, Models.CHAMPION],
    check_specs=checks.FEATURE_SPECS,
    group_name=Group.MONITORING,
    owners=[Owner.MODELS],
    kinds={"duckdb", "sql"},
    code_version="1",
    freshness_policy=FRESH,
    description=(
        "How far the applicants of the last 90 days, and the whole open portfolio, have moved from the loans the "
        "champion was trained on: PSI of each of its features over bins that were fixed on the training split."
    ),
)
def feature_drift(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[DuckLakeWarehouse],
    bundles: dg.ResourceParam[BundleStore],
) -> dg.MaterializeResult:
    as_of = dt.date.fromisoformat(context.partition_key)
    bundle = champion(bundles)
    reference = _reference(warehouse, bundle)
    measured = drift_report.feature_drift(warehouse, reference, as_of)
    return _report(
        warehouse, FEATURE_DRIFT, measured, reference, as_of, check_results=[checks.psi_feature(measured)], extra={}
    )


@dg.asset(
    key=Monitoring.SCORE_DRIFT,
    partitions_def=PORTFOLIO_DAYS,
    deps=[
        Gold.PORTFOLIO_SCORES,
        Gold.APPLICATION_FEATURES,
        Gold.LOAN_OUTCOMES,
        Gold.TRAINING_SET,
        Models.CHAMPION,
    ],
    check_specs=checks.SCORE_SPECS,
    group_name=Group.MONITORING,
    owners=[Owner.MODELS],
    kinds={"python", "duckdb"},
    code_version="2",
    freshness_policy=FRESH,
    description=(
        "How far the day's PDs have moved from those of the vintages held out in training, and whether PDs came true: "
        "expected against observed bad loans in vintages that matured after the champion was trained."
    ),
)
def score_drift(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[DuckLakeWarehouse],
    bundles: dg.ResourceParam[BundleStore],
) -> dg.MaterializeResult:
    as_of = dt.date.fromisoformat(context.partition_key)
    bundle = scorer_of(warehouse, bundles, as_of)
    reference = _reference(warehouse, bundle)
    measured = drift_report.score_drift(warehouse, reference, as_of)
    came_true = realised(warehouse, bundle, reference.learnt_until)
    keep_realised(warehouse, came_true, as_of, reference.bundle_sha)
    return _report(
        warehouse,
        SCORE_DRIFT,
        measured,
        reference,
        as_of,
        check_results=[checks.psi_score(measured), checks.calibration(came_true)],
        extra={"new_matured_loans": came_true.loans, "expected_bad_rate": came_true.mean_pd,
               "observed_bad_rate": came_true.bad_rate},
    )  # fmt: skip


def _reference(warehouse: DuckLakeWarehouse, bundle: ModelBundle) -> Reference:
    try:
        return reference_of(warehouse, bundle)
    except NoReferenceError as error:
        raise dg.Failure(str(error), allow_retries=False) from error


def _report(
    warehouse: DuckLakeWarehouse,
    table: str,
    measured: Sequence[Measured],
    reference: Reference,
    as_of: dt.date,
    *,
    check_results: list[dg.AssetCheckResult],
    extra: dict[str, Any],
) -> dg.MaterializeResult:
    """Keep the day's rows, replacing that day only, and show them."""
    rows = drift_report.rows_of(measured, as_of, reference.bundle_sha)
    written = warehouse.replace(table, rows, "as_of = ?", [as_of])
    known = [found.drift.psi for found in measured if found.drift.psi is not None]
    columns = [dg.TableColumn(name, kind) for name, kind in warehouse.columns(table).items()]
    return dg.MaterializeResult(
        data_version=dg.DataVersion(drift_report.version_of(rows)),
        check_results=check_results,
        metadata={
            "dagster/row_count": written,
            "dagster/table_name": f"lake.{table}",
            "dagster/column_schema": dg.TableSchema(columns),
            "highest_psi": max(known, default=0.0),
            "drift": dg.MetadataValue.md(_table(measured)),
            "reference": reference.described,
            "bundle_sha": reference.bundle_sha,
            **extra,
        },
    )


def _table(measured: Sequence[Measured]) -> str:
    """One line per feature and population, the furthest moved first."""
    lines = ["| feature | population | PSI | verdict | loans |", "|---|---|---:|---|---:|"]
    for found in sorted(measured, key=lambda one: (-(one.drift.psi or 0.0), one.drift.feature, one.population)):
        psi = "-" if found.drift.psi is None else f"{found.drift.psi:.4f}"
        population = found.population.replace("_", " ")
        lines.append(
            f"| {found.drift.feature} | {population} | {psi} | {found.drift.verdict} | {found.drift.actual_rows:,} |"
        )
    return "\n".join(lines)
