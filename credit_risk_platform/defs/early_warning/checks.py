"""What must hold of the files before somebody calls a customer because of them."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from credit_risk_platform.adapters.csv_exports import Written
from credit_risk_platform.adapters.early_warning_files import Agreement
from credit_risk_platform.catalog import Gold

SPECS = [
    dg.AssetCheckSpec("files_hold_every_loan", asset=Gold.EARLY_WARNING_FILES,
        description="Each open loan stands once in both segment files, and each flagged one once on the watch list."),
    dg.AssetCheckSpec("every_open_loan_is_scored", asset=Gold.EARLY_WARNING_FILES,
        description="Each open loan has a prediction of the latest scored day beside its segment."),
]  # fmt: skip


def results(written: Mapping[str, Written], found: Agreement) -> list[dg.AssetCheckResult]:
    """Both checks' results."""
    rows = {name: one.rows for name, one in written.items()}
    complete = (
        rows["risk_segments.csv"] == rows["risk_segments_with_predictions.csv"] == found.segments
        and rows["early_warning_watchlist.csv"] == found.watchlist == found.flagged
    )
    return [
        _result("files_hold_every_loan", complete, dg.AssetCheckSeverity.ERROR,
            {**rows, "open_loans": found.segments, "flagged_loans": found.flagged},
            "Materialise gold/watchlist and gold/portfolio_scores again, then this asset: a loan is doubled or lost."),
        _result("every_open_loan_is_scored", found.unscored == 0, dg.AssetCheckSeverity.WARN,
            {"open_loans": found.segments, "without_prediction": found.unscored},
            "Materialise the latest day of gold/portfolio_scores: the marts were rebuilt since it was scored."),
    ]  # fmt: skip


def _result(
    name: str, passed: bool, severity: dg.AssetCheckSeverity, metadata: Mapping[str, Any], next_step: str
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=Gold.EARLY_WARNING_FILES,
        passed=passed,
        severity=severity,
        metadata={**metadata, **({} if passed else {"next_step": next_step})},
    )
