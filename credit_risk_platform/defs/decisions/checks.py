"""What must hold of decisions and notices. Inline checks: they judge the tables as they now stand."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import dagster as dg

from credit_risk_platform.adapters import adverse_action, decisions, reason_drift
from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.reason_drift import ReasonDrift
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import Gold
from credit_risk_platform.defs.decisions.metadata import result
from credit_risk_platform.domain.drift import ENOUGH_ROWS, Verdict
from credit_risk_platform.domain.policy import Policy

REBUILT = 500
"""Newest notices that each run makes again from the ledger."""

DECISION_SPECS = [
    dg.AssetCheckSpec("nothing_undecided", asset=Gold.DECISIONS, blocking=True,
        description="Every score of an application has exactly one decision, and no decision lacks its score."),
    dg.AssetCheckSpec("reasons_complete", asset=Gold.DECISIONS, blocking=True,
        description="Whoever is not approved by the policy has 1 to 5 reasons, each with its approved text."),
    dg.AssetCheckSpec("fraud_only_refers", asset=Gold.DECISIONS, blocking=True,
        description="A fraud signal turns approvals into referrals and does nothing else; nothing eases a decision."),
    dg.AssetCheckSpec("cutoffs_as_published", asset=Gold.DECISIONS, blocking=True,
        description="Where no rule fired, the decision follows from the PD and the cut-offs of its policy version."),
    dg.AssetCheckSpec("reasons_are_scored_factors", asset=Gold.DECISIONS, blocking=True,
        description="Every reason belongs to an input of the model that scored, or to a rule of the policy."),
    dg.AssetCheckSpec("reason_drift", asset=Gold.DECISIONS,
        description="The reasons given this week resemble those of the four weeks before (PSI, warns from 0.10)."),
]  # fmt: skip
NOTICE_SPECS = [
    dg.AssetCheckSpec("every_decline_has_a_notice", asset=Gold.ADVERSE_ACTION_NOTICES, blocking=True,
        description="Each declined application has one notice, and nobody else has one."),
    dg.AssetCheckSpec("notices_rebuild", asset=Gold.ADVERSE_ACTION_NOTICES, blocking=True,
        description=f"The newest {REBUILT} notices come out of the ledger byte by byte again."),
]  # fmt: skip

Known = Callable[[str, str], frozenset[str]]
"""(bundle, policy version) -> reasons that may be given. Raises `KeyError` where one of them is gone."""


def known_reasons(bundles: BundleStore, policies: Sequence[Policy]) -> Known:
    """Looks a bundle up only where its reasons are in use, and once."""
    by_version = {policy.version: policy for policy in policies}

    @cache
    def known(sha: str, version: str) -> frozenset[str]:
        return frozenset(by_version[version].known_reasons(feature.name for feature in bundles.load(sha).features))

    return known


def decision_results(warehouse: Warehouse, drift: ReasonDrift, known: Known) -> Iterator[dg.AssetCheckResult]:
    """The results of `DECISION_SPECS`."""
    faults = decisions.faults(warehouse)
    yield _nothing_undecided(decisions.lost(warehouse))
    yield _broken(
        "reasons_complete", faults, ("without_reasons", "without_text", "approved_with_reasons"),
        "The model explained nothing, or gave a code without a text in gold/reason_codes: look at the scores named, "
        "complete the seed under a new version, and do not send notices for them before.",
    )  # fmt: skip
    yield _broken(
        "fraud_only_refers", faults, ("declined_by_fraud", "eased", "changed_without_fraud"),
        "gold.decisions was changed past the platform: restore the rows named from an earlier snapshot.",
    )  # fmt: skip
    yield _broken(
        "cutoffs_as_published", faults, ("off_the_cutoffs",),
        "The policy on file when these were scored was another one than gold/policy_versions has under its name.",
    )  # fmt: skip
    yield scored_factors(reason_drift.reasons_by_model(warehouse), known)
    yield _reason_drift(drift)


def notice_results(warehouse: Warehouse) -> list[dg.AssetCheckResult]:
    """The results of `NOTICE_SPECS`."""
    without, wrong = adverse_action.unanswered(warehouse), adverse_action.differing(warehouse, REBUILT)
    return [
        result(
            "every_decline_has_a_notice", Gold.ADVERSE_ACTION_NOTICES, without == 0, {"unmatched": without},
            "Compare gold.decisions (outcome 'decline') with the notices: rows were changed past the platform.",
        ),
        result(
            "notices_rebuild", Gold.ADVERSE_ACTION_NOTICES, not wrong, {"different": ", ".join(wrong[:5]) or "none"},
            "The notices named are not what the ledger says: ledger, reason texts or template were changed. Do not "
            "send them; restore what was changed, delete those rows and materialise again.",
        ),
    ]  # fmt: skip


def _nothing_undecided(found: Mapping[str, int]) -> dg.AssetCheckResult:
    return result(
        "nothing_undecided",
        Gold.DECISIONS,
        not (found["lost"] or found["extra"]),
        {**found, "note": "undecided: scored before decisions came, by a bundle without reasons"},
        "A score's ledger row or policy version is missing: compare gold.application_scores with gold.score_ledger and "
        "gold.policy_versions for the scores without a decision.",
    )


def _broken(name: str, faults: Mapping[str, Any], kinds: Sequence[str], next_step: str) -> dg.AssetCheckResult:
    counted = {kind: faults[kind][0] for kind in kinds}
    examples = [score_id for kind in kinds for score_id in faults[kind][1]]
    metadata = {**counted, **({"scores": ", ".join(examples)} if examples else {})}
    return result(name, Gold.DECISIONS, not any(counted.values()), metadata, next_step)


def scored_factors(used: Sequence[Mapping[str, Any]], known: Known) -> dg.AssetCheckResult:
    """`used`: reasons in use per bundle and policy version (`reason_drift.reasons_by_model`)."""
    foreign, gone = [], set()
    for row in used:
        try:
            if row["reason"] not in known(row["bundle_sha"], row["policy_version"]):
                foreign.append(f"{row['reason']} in score {row['score_id']}")
        except KeyError:
            gone.add(row["bundle_sha"][:12])
    metadata = {"reasons_in_use": len({row["reason"] for row in used}), "foreign": "; ".join(foreign) or "none"}
    if gone:
        metadata["not_looked_at"] = f"bundle or policy no longer here: {', '.join(sorted(gone))}"
    return result(
        "reasons_are_scored_factors", Gold.DECISIONS, not foreign, metadata,
        "A reason was given that the model cannot have had: do not send notices for these, and look at the policy's "
        "reason codes of that version.",
    )  # fmt: skip


def _reason_drift(found: ReasonDrift) -> dg.AssetCheckResult:
    drift = found.drift
    calm = drift.verdict in (Verdict.STABLE, Verdict.NOT_ENOUGH_DATA)
    metadata: dict[str, Any] = {
        "verdict": str(drift.verdict),
        "reasons_before": drift.expected_rows,
        "reasons_now": drift.actual_rows,
    }
    if drift.psi is None:
        metadata["note"] = f"fewer than {ENOUGH_ROWS} reasons in one of the periods: PSI would be noise"
    else:
        metadata["psi"] = drift.psi
    if not calm:
        metadata["moved_most"] = found.moved_most
    return result(
        "reason_drift", Gold.DECISIONS, calm, metadata,
        f"Reason {found.moved_most} moved most. Look at its inputs in monitoring/feature_drift: a changed source is "
        "mended there; if applicants changed, the policy and the model want a second look.",
        severity=dg.AssetCheckSeverity.WARN,
    )  # fmt: skip
