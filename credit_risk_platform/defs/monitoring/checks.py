"""When drift is worth a look. Drift warns and never blocks: what to do about it is for people to decide."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from credit_risk_platform.adapters.drift_report import NEW, Measured
from credit_risk_platform.adapters.realised import ENOUGH_LOANS, Realised
from credit_risk_platform.catalog import Monitoring
from credit_risk_platform.domain.drift import ENOUGH_ROWS, Verdict

FEATURE_SPECS = [
    dg.AssetCheckSpec("psi_feature", asset=Monitoring.FEATURE_DRIFT,
        description="No feature of new applications has moved (PSI): warns from 0.10, significant above 0.25."),
]  # fmt: skip
SCORE_SPECS = [
    dg.AssetCheckSpec("psi_score", asset=Monitoring.SCORE_DRIFT,
        description="The PDs of new applications resemble those of the held-out vintages (PSI, warns from 0.10)."),
    dg.AssetCheckSpec("calibration", asset=Monitoring.SCORE_DRIFT,
        description="Newly matured loans went bad about as often as the champion said they would."),
]  # fmt: skip


def psi_feature(measured: Sequence[Measured]) -> dg.AssetCheckResult:
    """Judges new applications; the portfolio, which is also shaped by who left, is shown beside."""
    return _moved("psi_feature", Monitoring.FEATURE_DRIFT, measured, "Look at the sources of the features named: a "
        "changed form or unit is mended there. If the applicants have changed, train a new candidate.")  # fmt: skip


def psi_score(measured: Sequence[Measured]) -> dg.AssetCheckResult:
    return _moved("psi_score", Monitoring.SCORE_DRIFT, measured, "Look at monitoring/feature_drift for what moved it, "
        "and at the calibration check for whether the PDs still hold; then train a new candidate.")  # fmt: skip


def calibration(found: Realised) -> dg.AssetCheckResult:
    """Red when observed odds are off by a fifth and chance does not explain it; shows the intercept shift to apply."""
    metadata: dict[str, Any] = {"loans": found.loans}
    if not found.enough:
        metadata["verdict"] = f"not enough data: {ENOUGH_LOANS} matured loans that are new to the champion are needed"
    else:
        metadata |= {
            "observed_bad_rate": found.bad_rate,
            "expected_bad_rate": found.mean_pd,
            "standard_errors": found.z,
            "intercept_shift": found.shift,
        }
    return _warning(
        "calibration",
        Monitoring.SCORE_DRIFT,
        not found.off,
        metadata,
        f"PDs are off in level: adding {found.shift:+.3f} to the calibrator's intercept would mend it. Train anew, or "
        "recalibrate, and let the promotion gates judge.",
    )


def _moved(name: str, asset: dg.AssetKey, measured: Sequence[Measured], next_step: str) -> dg.AssetCheckResult:
    judged = [found.drift for found in measured if found.population == NEW]
    moved = sorted(
        (drift for drift in judged if drift.verdict in (Verdict.MODERATE, Verdict.SIGNIFICANT)),
        key=lambda drift: -(drift.psi or 0.0),
    )
    silent = [drift for drift in judged if drift.verdict is Verdict.NOT_ENOUGH_DATA]
    metadata: dict[str, Any] = {
        "applications": max((drift.actual_rows for drift in judged), default=0),
        "moderate": sum(drift.verdict is Verdict.MODERATE for drift in moved),
        "significant": sum(drift.verdict is Verdict.SIGNIFICANT for drift in moved),
    }
    if silent:
        metadata["verdict"] = f"not enough data: PSI of fewer than {ENOUGH_ROWS} loans is noise"
    if moved:
        metadata["moved"] = ", ".join(f"{drift.feature} {drift.psi:.3f}" for drift in moved)
    return _warning(name, asset, not moved, metadata, next_step)


def _warning(
    name: str, asset: dg.AssetKey, passed: bool, metadata: dict[str, Any], next_step: str
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=asset,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={**metadata, **({} if passed else {"next_step": next_step})},
    )
