"""PD at application of the whole book by the present champion: a measurement, so nothing of it is ledgered."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from credit_risk_platform.adapters import markdown, origination_scores, score_plots
from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.origination_scores import TABLE
from credit_risk_platform.adapters.policies import NoPolicyError, PolicyBook, policy_on
from credit_risk_platform.adapters.portfolio import NothingToScoreError
from credit_risk_platform.adapters.table_version import table_version
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import Gold, Group, Models, Owner
from credit_risk_platform.domain.bundle import BundleError
from credit_risk_platform.domain.policy import PolicyError
from credit_risk_platform.domain.scoring import ScoringError

COVERAGE = dg.AssetCheckSpec(
    "origination_coverage",
    asset=Gold.ORIGINATION_SCORES,
    blocking=True,
    description="Every loan of the book has exactly one score, with a PD strictly between 0 and 1.",
)
BINS, WIDTH = 40, 0.0125
"""Of the histogram: PDs from 0 to 50 %; what lies above is in the last bar."""
WORDS = {
    "loan_id": "The loan, open or closed.",
    "pd": "Probability of default over the term, as of the application, by the present champion.",
    "points": "The PD on the scale of points: more is safer.",
    "risk_band": "Band of the PD in the policy in force on the last day the book knows of.",
    "decision": "What that policy would decide today on the application: approve, refer or decline.",
    "bundle_sha": "The model bundle that gave the PD.",
    "policy_version": "The policy of band and decision.",
}


@dg.asset(
    key=Gold.ORIGINATION_SCORES,
    deps=[Gold.APPLICATION_FEATURES, Gold.LOAN_OUTCOMES, Gold.RISK_BANDS, Gold.REASON_CODES, Models.CHAMPION],
    check_specs=[COVERAGE],
    group_name=Group.PROVISIONING,
    owners=[Owner.MODELS],
    kinds={"python", "duckdb"},
    code_version="1",
    description=(
        "The PD at application of every loan the book ever held, open or closed, by the champion of today, with the "
        "band and the decision of the policy in force on the last day the book knows of. A yardstick for the risk "
        "marts, for the hazard model and for significant increases in credit risk; it decides nothing and nobody was "
        "given these scores, so the ledger does not hold them. Replaced whole."
    ),
)
def origination_scores_asset(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    bundles: dg.ResourceParam[BundleStore],
    policies: dg.ResourceParam[PolicyBook],
) -> dg.MaterializeResult:
    bundle = bundles.champion()
    if bundle is None:
        raise dg.Failure(
            "There is no champion to score with. Materialise models/champion first (job model_training, or crp train).",
            allow_retries=False,
        )
    try:
        policy = policy_on(warehouse, policies, origination_scores.last_day(warehouse))
        rows = origination_scores.write(warehouse, bundle, policy)
    except (NothingToScoreError, NoPolicyError, PolicyError, BundleError, ScoringError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    context.log.info("%d loans scored by %s %s", rows, bundle.name, bundle.sha256[:12])
    found = origination_scores.figures(warehouse)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(table_version(warehouse, TABLE, origination_scores.SCHEMA.names)),
        check_results=[origination_coverage(found)],
        metadata={
            **_table(warehouse, rows),
            "mean_pd": found["mean_pd"] or 0.0,
            "median_pd": found["median_pd"] or 0.0,
            "band_mix": _mix(warehouse, "risk_band"),
            "decision_mix": _mix(warehouse, "decision"),
            "pd_histogram": dg.MetadataValue.md(_histogram(warehouse)),
            "champion": f"{bundle.name} {bundle.sha256[:12]}",
            "champion_asset": dg.MetadataValue.asset(Models.CHAMPION),
            "bundle_sha": bundle.sha256,
            "policy_version": policy.version,
        },
    )


def origination_coverage(found: Mapping[str, Any]) -> dg.AssetCheckResult:
    faults = {name: found[name] for name in ("missing", "doubled", "impossible")}
    passed = not any(faults.values())
    advice = "gold.application_features repeats loans, or the champion gives PDs that cannot be: look at both."
    return dg.AssetCheckResult(
        check_name=COVERAGE.name,
        asset_key=Gold.ORIGINATION_SCORES,
        passed=passed,
        metadata={"loans": found["loans"], **faults, **({} if passed else {"next_step": advice})},
    )


def _table(warehouse: Warehouse, rows: int) -> dict[str, Any]:
    columns = [dg.TableColumn(name, kind, description=WORDS[name]) for name, kind in warehouse.columns(TABLE).items()]
    return {
        "dagster/row_count": rows,
        "dagster/table_name": f"lake.{TABLE}",
        "dagster/column_schema": dg.TableSchema(columns),
    }


def _mix(warehouse: Warehouse, by: str) -> dg.MetadataValue:
    rows = origination_scores.mix(warehouse, by)
    header = (by.replace("_", " "), "loans", "share", "mean PD", "bad rate, matured")
    return dg.MetadataValue.md(markdown.table(header, (list(row.values()) for row in rows)))


def _histogram(warehouse: Warehouse) -> str:
    edges = [k * WIDTH for k in range(BINS + 1)]
    return score_plots.pd_histogram(origination_scores.pd_counts(warehouse, WIDTH, BINS), edges)
