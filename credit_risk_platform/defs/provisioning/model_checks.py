"""What must hold of the hazard and LGD models before an allowance is computed with them."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import numpy as np

from credit_risk_platform.catalog import Models
from credit_risk_platform.domain.provisioning.hazard import Curves
from credit_risk_platform.domain.provisioning.hazard_fit import OutOfTime
from credit_risk_platform.domain.provisioning.lgd import MAX_LGD, LgdModel

HAZARD_CHECKS = [
    dg.AssetCheckSpec("hazard_marginals_sum", asset=Models.HAZARD_PD, blocking=True,
        description="Monthly PDs are chances, and sum to a lifetime PD that leaves room for repayment: at most 1."),
    dg.AssetCheckSpec("hazard_calibration", asset=Models.HAZARD_PD,
        description="A model of the older vintages expects about the defaults that came in the younger ones: warns "
        "outside 0.8 to 1.25 of what was expected, where chance (95 %) does not explain it."),
]  # fmt: skip
LGD_CHECKS = [
    dg.AssetCheckSpec("lgd_in_range", asset=Models.LGD_MODEL, blocking=True,
        description="Every LGD lies between 0 and 1.2; above 1 only where collecting costs more than it brings."),
    dg.AssetCheckSpec("lgd_basis", asset=Models.LGD_MODEL,
        description="The LGD is estimated from the book's own closed workouts, and not assumed."),
]  # fmt: skip
LOW, HIGH = 0.8, 1.25
WIDE = 1.96
ROUNDING = 1e-9


def hazard_marginals_sum(curves: Curves) -> dg.AssetCheckResult:
    """Of matured loans from their issue."""
    total = curves.default.sum(axis=1) + curves.prepaid.sum(axis=1)
    cumulated = np.cumsum(curves.default, axis=1)[:, -1] if curves.default.size else np.zeros(0)
    off = float(np.abs(cumulated - curves.lifetime).max(initial=0.0))
    lowest = float(min(curves.default.min(initial=0.0), curves.prepaid.min(initial=0.0)))
    highest = float(total.max(initial=0.0))
    return _result(
        "hazard_marginals_sum", Models.HAZARD_PD, off <= ROUNDING and lowest >= 0 and highest <= 1 + ROUNDING,
        {"loans": len(total), "lifetime_off_by": off, "lowest_monthly_pd": lowest, "ends_at_most": highest},
        "The curves are no probabilities: an allowance would be nonsense. Compare domain/provisioning/hazard.py.",
    )  # fmt: skip


def hazard_calibration(judged: OutOfTime | None) -> dg.AssetCheckResult:
    """Green with a word where the book is too small to be split."""
    if judged is None:
        return _result("hazard_calibration", Models.HAZARD_PD, True, {"verdict": "not enough data to split"}, "")
    expected, observed = judged.total["expected"], judged.total["observed"]
    ratio = observed / expected if expected > 0 else float("inf")
    chance = abs(observed - expected) <= WIDE * np.sqrt(expected)
    return _result(
        "hazard_calibration", Models.HAZARD_PD, bool(chance or LOW <= ratio <= HIGH),
        {"expected_defaults": expected, "observed_defaults": observed, "observed_to_expected": ratio},
        "Lifetime PDs are off by that factor in the young vintages. Look at the defaults by vintage on this page and "
        "at monitoring/performance_matured; train the champion anew, score gold/origination_scores, then fit again.",
        warns=True,
    )  # fmt: skip


def lgd_in_range(model: LgdModel) -> dg.AssetCheckResult:
    levels = [model.mean, *model.groups.values()]
    return _result(
        "lgd_in_range", Models.LGD_MODEL, all(0 <= level <= MAX_LGD for level in levels) and model.per_point >= 0,
        {"lowest": min(levels), "highest": max(levels), "mean": model.mean, "per_point": model.per_point},
        "Look at recoveries and principal of the charged-off loans: amounts in the wrong unit do this.",
    )  # fmt: skip


def lgd_basis(model: LgdModel) -> dg.AssetCheckResult:
    basis = str(model.notes["basis"])
    return _result(
        "lgd_basis", Models.LGD_MODEL, not basis.startswith("assumed"), {"basis": basis},
        "Until enough workouts are over, expected losses rest on an assumption: say so where they are shown.",
        warns=True,
    )  # fmt: skip


def _result(
    name: str, asset: dg.AssetKey, passed: bool, metadata: Mapping[str, Any], next_step: str, *, warns: bool = False
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=asset,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN if warns else dg.AssetCheckSeverity.ERROR,
        metadata={**metadata, **({} if passed else {"next_step": next_step})},
    )
