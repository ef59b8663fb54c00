"""One decision per scored application, and the queue of those that wait for a person."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from credit_risk_platform.adapters import decisions as made
from credit_risk_platform.adapters import policy_record, reason_drift
from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.policies import PolicyBook
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import Gold, Group, Owner
from credit_risk_platform.defs.decisions import checks
from credit_risk_platform.defs.decisions.metadata import require, shown, table

SPECS = [
    dg.AssetSpec(
        Gold.DECISIONS,
        deps=[Gold.APPLICATION_SCORES, Gold.SCORE_LEDGER, Gold.POLICY_VERSIONS, Gold.FRAUD_SIGNALS],
        description=(
            "What was decided on each application that came by event or API: the policy's decision with the rules that "
            "fired, the reasons in approved words, the cut-offs and policy version used, and the final outcome. A "
            "fraud signal turns an approval into a referral and can do nothing else."
        ),
        group_name=Group.DECISIONS,
        owners=[Owner.MODELS],
        kinds={"duckdb", "sql"},
        code_version="1",
    ),
    dg.AssetSpec(
        Gold.REFERRAL_QUEUE,
        deps=[Gold.DECISIONS],
        description=(
            "Applications that wait for a person: between the cut-offs, sent there by a rule, or bearing a fraud "
            "signal. A view of the decisions, so the two never disagree."
        ),
        group_name=Group.DECISIONS,
        owners=[Owner.ANALYTICS],
        kinds={"duckdb", "sql"},
        code_version="1",
    ),
]


@dg.multi_asset(name="decisions", specs=SPECS, check_specs=checks.DECISION_SPECS)
def decisions(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    bundles: dg.ResourceParam[BundleStore],
    policies: dg.ResourceParam[PolicyBook],
) -> Iterator[dg.MaterializeResult]:
    require(warehouse, Gold.POLICY_VERSIONS, Gold.FRAUD_SIGNALS)
    written = made.decide(warehouse)
    context.log.info("%d decisions new or sent to a person since", written)
    drift = reason_drift.reason_drift(warehouse)
    known = checks.known_reasons(bundles, policy_record.on_file(warehouse, policies))
    yield dg.MaterializeResult(
        asset_key=Gold.DECISIONS,
        data_version=dg.DataVersion(made.version(warehouse)),
        metadata=_decision_metadata(warehouse, written, drift),
        check_results=list(checks.decision_results(warehouse, drift, known)),
    )
    yield dg.MaterializeResult(
        asset_key=Gold.REFERRAL_QUEUE,
        data_version=dg.DataVersion(made.version(warehouse)),
        metadata={**table(warehouse, Gold.REFERRAL_QUEUE), "waiting": shown(made.waiting(warehouse))},
    )


def _decision_metadata(warehouse: Warehouse, written: int, drift: reason_drift.ReasonDrift) -> dict[str, Any]:
    return {
        **table(warehouse, Gold.DECISIONS),
        "written": written,
        "decision_mix": shown(made.mix(warehouse)),
        "paths": shown(made.paths(warehouse)),
        "reasons": shown(made.top_reasons(warehouse)),
        "reasons_before_and_now": shown(drift.shares),
    }
