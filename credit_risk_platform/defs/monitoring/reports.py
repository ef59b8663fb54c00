"""Drift reports that people read: Evidently's page of the day, its figures as JSON, and whether the whole has moved."""

import datetime as dt
import hashlib
from typing import Any

import dagster as dg

from credit_risk_platform.adapters import drift_comparison, evidently_reports, markdown
from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.drift_comparison import NOT_ENOUGH, NOT_JUDGED, DriftReport
from credit_risk_platform.adapters.drift_reference import NoReferenceError
from credit_risk_platform.adapters.evidently_reports import DRIFTED_SHARE
from credit_risk_platform.adapters.policies import NoPolicyError, PolicyBook, policy_on
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import PORTFOLIO_DAYS, Gold, Group, Models, Monitoring, Owner
from credit_risk_platform.defs.monitoring.bundles import champion, scorer_of
from credit_risk_platform.domain.drift import ENOUGH_ROWS, MODERATE
from credit_risk_platform.domain.policy import PolicyError
from credit_risk_platform.settings import Settings

FRESH = dg.FreshnessPolicy.time_window(fail_window=dt.timedelta(hours=50), warn_window=dt.timedelta(hours=26))
FOLDER = "drift"
CHECK = "drifted_share"
LOOK_AT = {
    drift_comparison.FEATURES: "Look at the sources of the features named: a changed form or unit is mended there. "
    "If the applicants have changed, train a new candidate.",
    drift_comparison.PREDICTIONS: "Look at monitoring/feature_drift_report for what moved the PDs, and at the "
    "calibration check of monitoring/score_drift for whether they still hold.",
}


def _spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        CHECK,
        asset=asset,
        description=(
            f"At most {DRIFTED_SHARE:.0%} of the columns have drifted by Evidently (PSI from {MODERATE:.2f}). Warns, "
            f"never blocks; fewer than {ENOUGH_ROWS} rows are not judged."
        ),
    )


@dg.asset(
    key=Monitoring.FEATURE_DRIFT_REPORT,
    partitions_def=PORTFOLIO_DAYS,
    # After feature_drift, whose PSI over everybody stands beside Evidently's.
    deps=[
        Monitoring.FEATURE_DRIFT,
        Gold.APPLICATION_FEATURES,
        Gold.LOAN_OUTCOMES,
        Gold.TRAINING_SET,
        Models.CHAMPION,
    ],
    check_specs=[_spec(Monitoring.FEATURE_DRIFT_REPORT)],
    group_name=Group.MONITORING,
    owners=[Owner.MODELS],
    kinds={"evidently", "python"},
    code_version="1",
    freshness_policy=FRESH,
    description=(
        "Evidently's page of the day: the champion's features among the applicants of the last 90 days, beside those "
        "of the loans it was trained on, with distributions and a PSI each. Samples of at most 50,000 loans a side; "
        "the reference is drawn once per champion and kept."
    ),
)
def feature_drift_report(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[DuckLakeWarehouse],
    bundles: dg.ResourceParam[BundleStore],
) -> dg.MaterializeResult:
    as_of = dt.date.fromisoformat(context.partition_key)
    try:
        report = drift_comparison.feature_report(warehouse, champion(bundles), as_of)
    except NoReferenceError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    return _kept(settings, Monitoring.FEATURE_DRIFT_REPORT, report)


@dg.asset(
    key=Monitoring.PREDICTION_DRIFT_REPORT,
    partitions_def=PORTFOLIO_DAYS,
    deps=[Monitoring.SCORE_DRIFT, Gold.PORTFOLIO_SCORES, Gold.LOAN_OUTCOMES, Gold.TRAINING_SET, Models.CHAMPION],
    check_specs=[_spec(Monitoring.PREDICTION_DRIFT_REPORT)],
    group_name=Group.MONITORING,
    owners=[Owner.MODELS],
    kinds={"evidently", "python"},
    code_version="1",
    freshness_policy=FRESH,
    description=(
        "Evidently's page of the day's predictions: PDs, risk bands and decisions on the applicants of the last 90 "
        "days, beside those of the vintages held out in training, scored by the same model under the same policy."
    ),
)
def prediction_drift_report(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[DuckLakeWarehouse],
    bundles: dg.ResourceParam[BundleStore],
    policies: dg.ResourceParam[PolicyBook],
) -> dg.MaterializeResult:
    as_of = dt.date.fromisoformat(context.partition_key)
    bundle = scorer_of(warehouse, bundles, as_of)
    try:
        policy = policy_on(warehouse, policies, as_of)
        report = drift_comparison.prediction_report(warehouse, bundle, policy, as_of)
    except (NoReferenceError, NoPolicyError, PolicyError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    return _kept(settings, Monitoring.PREDICTION_DRIFT_REPORT, report)


def _kept(settings: Settings, asset: dg.AssetKey, report: DriftReport) -> dg.MaterializeResult:
    """Write the page and its figures into the lake, replacing those of the day, and show them."""
    day, summary = report.as_of.isoformat(), report.summary()
    page = report.comparison.page if report.comparison else None
    path = evidently_reports.keep(settings.files("reports").below(f"{FOLDER}/{day}"), report.name, summary, page)
    url = f"{settings.reports_url}/{FOLDER}/{day}/{report.name}"
    links: dict[str, Any] = {"figures": dg.MetadataValue.url(f"{url}.json")}
    if page is not None:
        links |= {"report": dg.MetadataValue.url(f"{url}.html"), "path": dg.MetadataValue.path(path)}
    return dg.MaterializeResult(
        data_version=dg.DataVersion(hashlib.sha256(evidently_reports.content(summary)).hexdigest()),
        check_results=[_drifted_share(asset, report)],
        metadata={
            **links,
            "verdict": report.verdict,
            "rows_sampled": report.day.rows.num_rows,
            "reference_rows": report.reference.rows.num_rows,
            "loans": report.day.loans,
            "compared": report.day.described,
            "reference": summary["reference"]["is"],
            "reference_data_version": report.reference.data_version,
            "bundle_sha": report.reference.bundle_sha,
            "summary": dg.MetadataValue.json(summary),
            **_figures(report),
        },
    )


def _figures(report: DriftReport) -> dict[str, Any]:
    if report.comparison is None:
        return {}
    return {
        "drifted_share": report.comparison.drifted_share,
        "drift": dg.MetadataValue.md(_table(report)),
        "evidently_version": report.comparison.evidently_version,
    }


def _table(report: DriftReport) -> str:
    """One line per column, the furthest moved first."""
    assert report.comparison is not None
    header = ["column", "PSI (Evidently)", "PSI (fixed bins, everybody)", "drifted", "missing before", "missing now"]
    rows = [
        [one.name, one.psi, report.in_warehouse.get(one.name), "yes" if one.drifted else "no",
         one.missing_before, one.missing_now]
        for one in report.comparison.columns
    ]  # fmt: skip
    if report.points_shift:
        header.append("shift in points (CSI)")
        rows = [[*row, report.points_shift.get(str(row[0]))] for row in rows]
    return markdown.table(header, rows)


def _drifted_share(asset: dg.AssetKey, report: DriftReport) -> dg.AssetCheckResult:
    metadata: dict[str, Any] = {"verdict": report.verdict, "rows": report.day.rows.num_rows}
    if report.verdict == NOT_ENOUGH:
        metadata["why"] = f"distributions of fewer than {ENOUGH_ROWS} rows are noise"
    if report.verdict == NOT_JUDGED:
        metadata["why"] = f"compared was {report.day.described}; it is also shaped by who has left"
    if report.comparison is not None:
        metadata["drifted_share"] = report.comparison.drifted_share
        metadata["drifted"] = ", ".join(report.comparison.drifted) or "none"
    passed = report.verdict != drift_comparison.MOVED
    return dg.AssetCheckResult(
        check_name=CHECK,
        asset_key=asset,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={**metadata, **({} if passed else {"next_step": LOOK_AT[report.name]})},
    )
