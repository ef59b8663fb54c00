"""The policy on record, and what its cut-off earns."""

from typing import Any

import dagster as dg

from credit_risk_platform.adapters import cutoff_loans, decision_plots, policy_record
from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.cutoff_loans import HeldOut, NoLoansError
from credit_risk_platform.adapters.policies import NoPolicyError, PolicyBook, policy_on
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import Gold, Group, Models, Owner
from credit_risk_platform.defs.decisions.metadata import now, result, shown, table, version
from credit_risk_platform.domain.economics import Approved, EconomicsError, Finding, assess
from credit_risk_platform.domain.economics import cutoff_curve as curve_of
from credit_risk_platform.domain.policy import Policy, PolicyError

UNCHANGED = dg.AssetCheckSpec(
    "published_policy_unchanged",
    asset=Gold.POLICY_VERSIONS,
    blocking=True,
    description="No published policy version says something else than when it was first seen: cut-offs, rules, texts.",
)


@dg.asset(
    key=Gold.POLICY_VERSIONS,
    deps=[Gold.RISK_BANDS, Gold.REASON_CODES],
    check_specs=[UNCHANGED],
    group_name=Group.DECISIONS,
    owners=[Owner.MODELS],
    kinds={"python", "duckdb"},
    code_version="1",
    description=(
        "Every version of the decision policy ever in use: from when it applies, its cut-offs, hard rules, risk bands, "
        "approved reason texts and the assumptions behind them, with a hash over all of it. A version is kept as it "
        "was first seen; changing it under its name is red and stops new decisions."
    ),
)
def policy_versions(
    warehouse: dg.ResourceParam[Warehouse], policies: dg.ResourceParam[PolicyBook]
) -> dg.MaterializeResult:
    found = _or_fail(lambda: policy_record.on_file(warehouse, policies))
    recorded = policy_record.record(warehouse, found, now())
    return dg.MaterializeResult(
        data_version=dg.DataVersion("-".join(policy.sha256[:12] for policy in found)),
        metadata={
            **table(warehouse, Gold.POLICY_VERSIONS),
            "versions": shown([_version(policy) for policy in found]),
            "rules": shown([_rule(policy, rule) for policy in found for rule in policy.rules]),
            "assumptions": dg.MetadataValue.json({policy.version: dict(policy.assumptions) for policy in found}),
            "new": ", ".join(recorded.new) or "none",
            "on_record_only": ", ".join(recorded.gone) or "none",
        },
        check_results=[_unchanged(recorded)],
    )


@dg.asset(
    key=Gold.CUTOFF_CURVE,
    deps=[Gold.POLICY_VERSIONS, Gold.TRAINING_SET, Gold.LOAN_OUTCOMES, Models.CHAMPION],
    group_name=Group.DECISIONS,
    owners=[Owner.ANALYTICS],
    kinds={"python", "duckdb"},
    code_version="1",
    description=(
        "What approving every loan below a PD would have earned on the vintages the champion never saw: profit, "
        "approval rate and bad rate per cut-off, under the margin and LGD that the policy states, and with a tenth "
        "more and less LGD. Shows how much profit the cut-off in force leaves on the table, and changes nothing."
    ),
)
def cutoff_curve(
    warehouse: dg.ResourceParam[Warehouse],
    bundles: dg.ResourceParam[BundleStore],
    policies: dg.ResourceParam[PolicyBook],
) -> dg.MaterializeResult:
    bundle = bundles.champion()
    if bundle is None:
        raise dg.Failure("There is no champion whose cut-off could be weighed: materialise models/champion first.")
    policy = _or_fail(lambda: policy_on(warehouse, policies, now().date()))
    held = _or_fail(lambda: cutoff_loans.held_out(warehouse, bundle))
    economics = _or_fail(lambda: cutoff_loans.economics_of(policy))
    curve, finding = curve_of(held.loans, economics), assess(held.loans, economics, policy.approve_below)
    cutoff_loans.keep(warehouse, curve, bundle, policy, economics)
    return dg.MaterializeResult(
        data_version=version(warehouse, Gold.CUTOFF_CURVE, "cutoff", "profit", "bundle_sha", "policy_version"),
        metadata={
            **table(warehouse, Gold.CUTOFF_CURVE),
            **_found(held, finding, policy),
            "profit_curve": dg.MetadataValue.md(decision_plots.profit_curve(curve, finding)),
            "trade_off": dg.MetadataValue.md(decision_plots.trade_off(curve, finding)),
            "cutoffs": shown(curve.slice(3, 60).take(list(range(0, 60, 4)))),
            "champion": f"{bundle.name} {bundle.sha256[:12]}",
        },
    )


def _or_fail(step: Any) -> Any:
    try:
        return step()
    except (NoPolicyError, PolicyError, NoLoansError, EconomicsError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error


def _unchanged(recorded: policy_record.Recorded) -> dg.AssetCheckResult:
    changed = recorded.changed
    names = ", ".join(found.version for found in changed)
    return result(
        UNCHANGED.name,
        Gold.POLICY_VERSIONS,
        not changed,
        {
            "changed": "\n".join(f"{c.version}: {c.then[:12]} when first seen, {c.now[:12]} now" for c in changed)
            or "none"
        },
        f"Policy version {names} was published and decided with; put back what it said, and publish what is new as "
        "another version with a later effective_from (policies/<version>.yaml, and rows of that version in the seeds).",
    )


def _version(policy: Policy) -> dict[str, Any]:
    return {
        "version": policy.version,
        "from": policy.effective_from,
        "approve below": policy.approve_below,
        "decline from": policy.decline_from,
        "rules": len(policy.rules),
        "reason texts": f"{policy.reason_codes.version}, {len(policy.reason_codes.texts)} texts",
        "sha256": policy.sha256[:12],
        "note": policy.note,
    }


def _rule(policy: Policy, rule: Any) -> dict[str, Any]:
    value = ", ".join(rule.value) if isinstance(rule.value, tuple) else rule.value
    condition = f"{rule.feature} {rule.op}{'' if value is None else f' {value}'}"
    return {
        "version": policy.version,
        "rule": rule.code,
        "if": condition,
        "then": str(rule.decision),
        "reason": f"{rule.reason}: {policy.reason_codes.texts[rule.reason]}",
        "description": rule.description,
    }


def _found(held: HeldOut, finding: Finding, policy: Policy) -> dict[str, Any]:
    def line(name: str, at: Approved, unit: str) -> dict[str, Any]:
        return {"cut-off": name, "PD below": at.cutoff, "approved": at.approval_rate, "bad rate": at.bad_rate,
                f"profit ({unit})": at.profit}  # fmt: skip

    return {
        "held_out_loans": held.loans.rows,
        "assumptions": dg.MetadataValue.json(dict(policy.assumptions)),
        "break_even_pd": finding.break_even,
        "best_cutoff": finding.best.cutoff,
        "approve_below_in_force": finding.in_force.cutoff,
        "profit_in_force": finding.in_force.profit,
        "profit_forgone_at_most": finding.forgone,
        "as_good_as_the_best": f"{finding.flat[0]:.3f} to {finding.flat[1]:.3f}",
        "best_cutoff_with_lgd_a_tenth_lower": finding.best_with_low_lgd,
        "best_cutoff_with_lgd_a_tenth_higher": finding.best_with_high_lgd,
        "compared": shown([line("in force", finding.in_force, "money"), line("best here", finding.best, "money")]),
        "best_with_every_loan_alike": finding.best_by_count.cutoff,
        "loans": "held out when the champion was trained" if held.own else "of a training set made after the champion",
        "policy_version": policy.version,
    }
