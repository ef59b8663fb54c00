"""The champion by vintage: what came true, and what is only expected. Two assets, never mixed."""

from typing import Any

import dagster as dg
import pyarrow as pa

from credit_risk_platform.adapters import markdown, performance, performance_plots
from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.performance import ENOUGH_BADS, MAX_FALL, Fall
from credit_risk_platform.adapters.policies import NoPolicyError, PolicyBook, policy_on
from credit_risk_platform.adapters.vintages import Vintage
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import Gold, Group, Models, Monitoring, Owner
from credit_risk_platform.defs.performance.common import champion, table, the_book, version, warning
from credit_risk_platform.domain.policy import PolicyError

DEPS = [Gold.APPLICATION_FEATURES, Gold.LOAN_OUTCOMES, Gold.RISK_BANDS, Gold.TRAINING_SET, Models.CHAMPION]
EVER_30 = dg.AssetKey(["silver", "int_vintage_ever_30"])
SHOWN = 36
"""Vintages in a page's table, the latest first."""
AUC_VS_DEVELOPMENT = dg.AssetCheckSpec(
    "auc_vs_development",
    asset=Monitoring.PERFORMANCE_MATURED,
    description=(
        "Matured vintages new to the champion are ranked about as well as its out-of-time vintages: warns when the "
        "AUC has fallen by more than 0.05 and by more than chance (95 %) explains."
    ),
)


@dg.asset(
    key=Monitoring.PERFORMANCE_MATURED,
    deps=DEPS,
    check_specs=[AUC_VS_DEVELOPMENT],
    group_name=Group.PERFORMANCE,
    owners=[Owner.MODELS],
    kinds={"python", "duckdb"},
    code_version="1",
    description=(
        "How the champion's PDs as of the application came true, per matured vintage: loans, bads, AUC, Gini, KS, "
        "Brier, log-loss, ECE, precision and recall at the policy's cut-off, expected against observed bad rate. Says "
        "of each vintage whether the champion learnt from it. A vintage whose loans still run has no row."
    ),
)
def performance_matured(
    warehouse: dg.ResourceParam[Warehouse],
    bundles: dg.ResourceParam[BundleStore],
    policies: dg.ResourceParam[PolicyBook],
) -> dg.MaterializeResult:
    bundle = champion(bundles)
    among, learnt = the_book(warehouse, bundle)
    cutoff = _cutoff(warehouse, policies, among)
    rows, fall = performance.matured_rows(warehouse, bundle, among, learnt, cutoff)
    warehouse.replace_table(performance.MATURED, rows)
    return dg.MaterializeResult(
        data_version=version(warehouse, Monitoring.PERFORMANCE_MATURED),
        check_results=[auc_vs_development(fall)],
        metadata={
            **table(warehouse, Monitoring.PERFORMANCE_MATURED),
            "matured_vintages": rows.num_rows,
            "immature_vintages": len(among) - rows.num_rows,
            **_stability(rows),
            "vintages": dg.MetadataValue.md(_latest(rows, _MATURED_SHOWN)),
            "champion": f"{bundle.name} {bundle.sha256[:12]}",
        },
    )


@dg.asset(
    key=Monitoring.PERFORMANCE_ESTIMATED,
    deps=[*DEPS, EVER_30, Monitoring.PERFORMANCE_MATURED],
    group_name=Group.PERFORMANCE,
    owners=[Owner.MODELS],
    kinds={"python", "duckdb"},
    code_version="1",
    description=(
        "What the champion's PDs expect of themselves per vintage while its loans still run (CBPE), with the share "
        "ever 30 days late by month three as an early sign. An estimate, blind to PDs that are wrong: it stands apart "
        "from performance_matured, and says by how much it was off wherever labels have come."
    ),
)
def performance_estimated(
    warehouse: dg.ResourceParam[Warehouse],
    bundles: dg.ResourceParam[BundleStore],
    policies: dg.ResourceParam[PolicyBook],
) -> dg.MaterializeResult:
    bundle = champion(bundles)
    among, learnt = the_book(warehouse, bundle)
    rows = performance.estimated_rows(warehouse, bundle, among, learnt, _cutoff(warehouse, policies, among))
    warehouse.replace_table(performance.ESTIMATED, rows)
    return dg.MaterializeResult(
        data_version=version(warehouse, Monitoring.PERFORMANCE_ESTIMATED),
        metadata={
            **table(warehouse, Monitoring.PERFORMANCE_ESTIMATED),
            **_picture(warehouse, rows, bundle.sha256),
            **_errors(rows),
            "vintages": dg.MetadataValue.md(_latest(rows, _ESTIMATED_SHOWN)),
            "champion": f"{bundle.name} {bundle.sha256[:12]}",
        },
    )


def auc_vs_development(fall: Fall) -> dg.AssetCheckResult:
    """Red when the vintages that are new to the champion are ranked worse than those it was judged on."""
    metadata: dict[str, Any] = {"new_matured_loans": fall.loans, "bads": fall.bads}
    if fall.development is not None and fall.auc is not None and fall.error is not None:
        metadata |= {"auc": fall.auc, "development_auc": fall.development, "standard_error": fall.error}
    if not fall.enough:
        metadata["verdict"] = (
            f"not enough data: {ENOUGH_BADS} bad and good loans of matured vintages that are new to the champion are "
            "needed, and an out-of-time AUC in its bundle"
        )
    return warning(
        AUC_VS_DEVELOPMENT.name,
        Monitoring.PERFORMANCE_MATURED,
        not fall.fallen,
        metadata,
        f"The champion ranks newly matured loans worse than in development by more than {MAX_FALL}: look at "
        "monitoring/feature_drift for features that moved or stopped; then materialise models/champion anew.",
    )


def _cutoff(warehouse: Warehouse, policies: PolicyBook, among: list[Vintage]) -> float:
    """The policy's on the last day the book knows of."""
    try:
        return policy_on(warehouse, policies, max(one.observed_through for one in among)).approve_below
    except (NoPolicyError, PolicyError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error


def _stability(rows: pa.Table) -> dict[str, Any]:
    """`gini_stability` of the vintages that are no home game, and the parts it is made of."""
    found = performance.stability_of(rows)
    if not found:
        return {"gini_stability": "not enough matured vintages"}
    lines = ((name, s.score, s.mean, s.slope, s.spread, s.vintages) for name, s in found.items())
    header = ("vintages", "stability", "mean Gini", "slope per week", "spread", "months")
    first = next(iter(found.values()))
    return {
        "gini_stability": first.score,
        "gini_stability_parts": dg.MetadataValue.md(markdown.table(header, lines, digits=".5f")),
    }


def _picture(warehouse: Warehouse, rows: pa.Table, sha: str) -> dict[str, Any]:
    """Realised beside estimated, if what came true is on record for this champion."""
    if not warehouse.exists(performance.MATURED):
        return {}
    names = ", ".join(performance.MATURED_SCHEMA.names)
    sql = f"select {names} from {performance.MATURED} where bundle_sha = ? order by issue_month"
    return {"performance": dg.MetadataValue.md(performance_plots.over_vintages(warehouse.query(sql, [sha]), rows))}


def _errors(rows: pa.Table) -> dict[str, Any]:
    """How far estimates were off where labels have come, by what the champion knew of the vintages."""
    told = [row for row in rows.to_pylist() if row["realised_auc"] is not None]
    if not told:
        return {"estimate_error": "no vintage has matured"}
    lines = []
    for exposure in dict.fromkeys(row["exposure"] for row in told):
        some = [row for row in told if row["exposure"] == exposure]
        mean = [sum(row[name] for row in some) / len(some) for name in ("auc_off_by", "bad_rate_off_by")]
        typical = sum(row["auc_error"] for row in some) / len(some)
        lines.append((exposure, len(some), *mean, typical))
    header = ("vintages", "months", "AUC off by", "bad rate off by", "standard error of a month's AUC")
    return {"estimate_error": dg.MetadataValue.md(markdown.table(header, lines))}


def _latest(rows: pa.Table, names: tuple[str, ...]) -> str:
    shown = rows.select(list(names)).slice(max(rows.num_rows - SHOWN, 0)).to_pylist()[::-1]
    return markdown.table(names, ([row[name] for name in names] for row in shown))


_MATURED_SHOWN = (
    "issue_month", "exposure", "loans", "bads", "expected_bad_rate", "observed_bad_rate", "auc", "auc_error", "ks",
    "brier", "ece", "precision", "recall",
)  # fmt: skip
_ESTIMATED_SHOWN = (
    "issue_month", "matured", "loans", "estimated_bad_rate", "estimated_auc", "auc_error", "early_rate",
    "realised_auc", "auc_off_by", "bad_rate_off_by",
)  # fmt: skip
