"""What must hold of a day's scores and of the ledger. Inline checks: they judge the partition that was just written."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import dagster as dg
import numpy as np

from credit_risk_platform.adapters import portfolio, portfolio_figures
from credit_risk_platform.adapters.ledger import LEDGER
from credit_risk_platform.adapters.ledger_audit import Audit
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import Gold
from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.drift import Bins, Drift, Verdict
from credit_risk_platform.domain.policy import Policy

AUDITED_ROWS = 1_000_000
"""Newest ledger rows whose hashes each run recomputes (13 CPU seconds); the newest batch and all seals always are."""
ANCHORS = 50
"""Seals remembered by this many runs before are held against the ledger."""
SEALS_METADATA, HEAD_METADATA = "ledger_seals", "ledger_head"

SPECS = [
    dg.AssetCheckSpec("score_coverage", asset=Gold.PORTFOLIO_SCORES, blocking=True,
        description="Every loan open on the day has exactly one score, and no other loan has one."),
    dg.AssetCheckSpec("possible_scores", asset=Gold.PORTFOLIO_SCORES, blocking=True,
        description="Every PD lies strictly between 0 and 1, with finite points and a band."),
    dg.AssetCheckSpec("reason_codes_complete", asset=Gold.PORTFOLIO_SCORES, blocking=True,
        description="Every loan has a decision; every one not approved has one to four reasons (five with inquiries), "
        "none twice, each of a factor that was scored or of a rule."),
    dg.AssetCheckSpec("psi_score", asset=Gold.PORTFOLIO_SCORES,
        description="The scores have not moved since the last day the same champion scored (PSI, warns from 0.10)."),
    dg.AssetCheckSpec("ledger_hash_chain", asset=Gold.SCORE_LEDGER, blocking=True,
        description="No ledger row or seal was changed, deleted or slipped in since it was written."),
    dg.AssetCheckSpec("ledger_holds_scores", asset=Gold.SCORE_LEDGER, blocking=True,
        description="Every score of the day stands in the ledger with the same PD and band."),
]  # fmt: skip


def score_results(
    warehouse: Warehouse, as_of: date, bundle: ModelBundle, policy: Policy
) -> Iterator[dg.AssetCheckResult]:
    """Results for `gold/portfolio_scores` of one day."""
    yield score_coverage(portfolio.coverage(warehouse, as_of), as_of)
    yield possible_scores(portfolio_figures.summary(warehouse, as_of)["impossible"])
    known = policy.known_reasons([feature.name for feature in bundle.features])
    yield reason_codes_complete(portfolio_figures.unreasoned(warehouse, as_of, known, policy.reason_codes.inquiries))
    yield psi_score(warehouse, as_of, bundle.sha256)


def ledger_results(warehouse: Warehouse, as_of: date, audit: Audit) -> Iterator[dg.AssetCheckResult]:
    """Results for `gold/score_ledger` after one day was written."""
    yield ledger_hash_chain(audit)
    yield ledger_holds_scores(portfolio.without_ledger_row(warehouse, LEDGER, as_of))


def score_coverage(found: portfolio.Coverage, as_of: date) -> dg.AssetCheckResult:
    return _result(
        "score_coverage",
        Gold.PORTFOLIO_SCORES,
        found.complete,
        {
            "open_loans": found.open_loans,
            "scored": found.scored,
            "missing": found.missing,
            "doubled": found.doubled,
            "not_open": found.not_open,
            **({} if found.complete else {"loans": ", ".join(found.examples)}),
        },
        f"Loans of gold.loan_outcomes that are missing in gold.application_features have no score: compare the two "
        f"marts for the loans named, rebuild them and materialise partition {as_of} again.",
    )


def possible_scores(impossible: int) -> dg.AssetCheckResult:
    return _result(
        "possible_scores",
        Gold.PORTFOLIO_SCORES,
        impossible == 0,
        {"impossible": impossible},
        "The champion gives PDs that cannot be. Roll back: materialise models/champion with rollback_to.",
    )


def reason_codes_complete(found: Mapping[str, Any]) -> dg.AssetCheckResult:
    faults = {name: count for name, count in found.items() if name != "examples"}
    sound = not any(faults.values())
    return _result(
        "reason_codes_complete",
        Gold.PORTFOLIO_SCORES,
        sound,
        {**faults, **({} if sound else {"scores": ", ".join(found["examples"])})},
        "Nobody may be refused without reasons that were scored. `crp replay` the scores named; if they come out the "
        "same, the champion cannot explain itself: roll back (materialise models/champion with rollback_to).",
    )


def psi_score(warehouse: Warehouse, as_of: date, bundle_sha: str) -> dg.AssetCheckResult:
    """PSI over ten bins fixed on the day before. Fewer than 500 scores on either day say nothing."""
    before = portfolio.day_before(warehouse, as_of, bundle_sha)
    if before is None:
        return _drift_result(None, {"compared_with": "no earlier day of this champion"})
    bins = Bins.fit("pd", portfolio.pds(warehouse, before, bundle_sha))
    drift = bins.compare(bins.count(portfolio.pds(warehouse, as_of, bundle_sha)))
    return _drift_result(drift, {"compared_with": before.isoformat(), "rows_then": drift.expected_rows})


def ledger_hash_chain(audit: Audit) -> dg.AssetCheckResult:
    return _result(
        "ledger_hash_chain",
        Gold.SCORE_LEDGER,
        audit.intact,
        {
            "rows": audit.rows,
            "rows_recomputed": audit.rows_checked,
            "seals": audit.seals,
            "head": audit.head,
            **(
                {}
                if audit.intact
                else {"first_break": str(audit.breaks[0]), "breaks": "\n".join(map(str, audit.breaks))}
            ),
        },
        "Somebody or something wrote into the ledger past the platform. Compare the rows named with an earlier "
        "DuckLake snapshot (time travel), restore them, find out who writes there, and only then score on.",
    )


def ledger_holds_scores(absent: int) -> dg.AssetCheckResult:
    return _result(
        "ledger_holds_scores",
        Gold.SCORE_LEDGER,
        absent == 0,
        {"scores_without_ledger_row": absent},
        "gold.portfolio_scores was written past the platform: materialise the partition again.",
    )


def remembered_seals(instance: dg.DagsterInstance) -> dict[int, str]:
    """Seal number -> seal hash as the run log remembers them: what a cut-off ledger is found by."""
    anchors: dict[int, str] = {}
    for record in instance.fetch_materializations(Gold.SCORE_LEDGER, limit=ANCHORS).records:
        metadata = record.asset_materialization.metadata if record.asset_materialization else {}
        if SEALS_METADATA in metadata and metadata[SEALS_METADATA].value:
            anchors.setdefault(int(metadata[SEALS_METADATA].value), str(metadata[HEAD_METADATA].value))  # type: ignore[arg-type]
    return anchors


def _drift_result(drift: Drift | None, metadata: dict[str, Any]) -> dg.AssetCheckResult:
    verdict = str(drift.verdict) if drift else "nothing to compare"
    calm = drift is None or drift.verdict in (Verdict.STABLE, Verdict.NOT_ENOUGH_DATA)
    if drift is not None and drift.psi is not None:
        metadata["psi"] = float(np.round(drift.psi, 6))
    result = _result(
        "psi_score",
        Gold.PORTFOLIO_SCORES,
        calm,
        {"verdict": verdict, **metadata},
        "See monitoring/feature_drift of the same day for the features that moved, and the band mix for where to.",
    )
    return result._replace(severity=dg.AssetCheckSeverity.WARN)


def _result(
    name: str, asset: dg.AssetKey, passed: bool, metadata: dict[str, Any], next_step: str
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=asset,
        passed=passed,
        metadata={**metadata, **({} if passed else {"next_step": next_step})},
    )
