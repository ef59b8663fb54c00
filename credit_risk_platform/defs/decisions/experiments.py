"""Champion against challenger: shadow scores, and what the experiment shows."""

import dagster as dg

from credit_risk_platform.adapters import experiment_readout as readouts
from credit_risk_platform.adapters import policy_record, shadow
from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.experiment_store import ExperimentStore
from credit_risk_platform.adapters.policies import PolicyBook
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import Gold, Group, Owner
from credit_risk_platform.defs.decisions.metadata import now, require, shown, table, version
from credit_risk_platform.domain.experiments import Mode

NONE = "No experiment was started yet: crp experiment start --challenger <bundle> names one."


@dg.asset(
    key=Gold.SHADOW_SCORES,
    deps=[Gold.DECISIONS, Gold.SCORE_LEDGER, Gold.POLICY_VERSIONS],
    group_name=Group.DECISIONS,
    owners=[Owner.MODELS],
    kinds={"python", "duckdb"},
    code_version="1",
    description=(
        "What the challenger of the latest experiment says of applications that were already decided, from the inputs "
        "the ledger keeps, under the same policy. It comes after the decision and into a table of its own, so it "
        "cannot act. Empty where no shadow experiment was started."
    ),
)
def shadow_scores(
    warehouse: dg.ResourceParam[Warehouse],
    bundles: dg.ResourceParam[BundleStore],
    policies: dg.ResourceParam[PolicyBook],
) -> dg.MaterializeResult:
    require(warehouse, Gold.DECISIONS)
    latest = next(reversed(ExperimentStore(bundles).all()), None)  # running, or ended and not yet scored to its end
    shadowed = latest if latest and latest.mode is Mode.SHADOW else None
    versions = {policy.version: policy for policy in policy_record.on_file(warehouse, policies)}
    written = shadow.score(warehouse, bundles, versions, shadowed, now())
    return dg.MaterializeResult(
        data_version=version(warehouse, Gold.SHADOW_SCORES, "experiment_id", "score_id", "challenger_pd"),
        metadata={
            **table(warehouse, Gold.SHADOW_SCORES),
            "new": written,
            "experiment": shadowed.id if shadowed else "none in the shadow",
            **({"decisions_of_both": shown(readouts.flips(warehouse, shadowed))} if shadowed else {}),
        },
    )


@dg.asset(
    key=Gold.EXPERIMENT_READOUT,
    deps=[Gold.SHADOW_SCORES, Gold.DECISIONS],
    group_name=Group.DECISIONS,
    owners=[Owner.MODELS],
    kinds={"python", "duckdb"},
    code_version="1",
    description=(
        "What each experiment shows so far: applications per arm, approval rates with the difference and its "
        "confidence interval, difference of PDs, power, and whether the stop rule says to stop. The rule is read once, "
        "at the sample size that was set before the start."
    ),
)
def experiment_readout(
    warehouse: dg.ResourceParam[Warehouse], bundles: dg.ResourceParam[BundleStore]
) -> dg.MaterializeResult:
    require(warehouse, Gold.DECISIONS, Gold.SHADOW_SCORES)
    readouts.no_readout(warehouse)
    found = [readouts.readout(warehouse, experiment) for experiment in ExperimentStore(bundles).all()]
    shown_in_full = [{key: value for key, value in row.items() if value is not None} for row in found[-1:]]
    return dg.MaterializeResult(
        data_version=version(warehouse, Gold.EXPERIMENT_READOUT, "experiment_id", "sample", "difference", "verdict"),
        metadata={
            **table(warehouse, Gold.EXPERIMENT_READOUT),
            "experiments": shown([{key: row[key] for key in _HEADLINES} for row in reversed(found)]),
            "latest": dg.MetadataValue.md(
                "\n".join(f"- {k}: {v}" for row in shown_in_full for k, v in row.items()) or NONE
            ),
        },
    )


_HEADLINES = (
    "experiment_id", "mode", "sample", "champion_rate", "challenger_rate", "difference", "low", "high", "p_value",
    "power", "mean_pd_difference", "verdict",
)  # fmt: skip
