"""What must hold of the allowance: sums that agree, orders that cannot be otherwise. They judge what was written."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg

from credit_risk_platform.adapters import ecl_figures as figures
from credit_risk_platform.adapters import ecl_stress
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import Gold
from credit_risk_platform.domain.provisioning.scenarios import BASELINE, SEVERELY_ADVERSE

CECL_COVERS_STAGE_1 = dg.AssetCheckSpec(
    "cecl_covers_stage_1",
    asset=Gold.LOAN_ECL,
    description="No stage 1 loan has a lifetime (CECL) allowance below its 12-month (IFRS 9) one.",
)
STAGE_TOTALS_AGREE = dg.AssetCheckSpec(
    "stage_totals_agree",
    asset=Gold.ECL_STAGE,
    description="The allowance summed by stage is the allowance summed by loan.",
)
BARS_SUM = dg.AssetCheckSpec(
    "ecl_bars_sum",
    asset=Gold.ECL_WATERFALL,
    description="Opening and bars sum to closing within 0.01, and closing is the allowance of the day's loans.",
)
SEVERE_ABOVE_BASELINE = dg.AssetCheckSpec(
    "severe_above_baseline",
    asset=Gold.STRESS_ECL,
    description="The book loses more in the severely adverse scenario than in the baseline.",
)


def cecl_covers_stage_1(warehouse: Warehouse, day: date) -> dg.AssetCheckResult:
    count, ids = figures.below_stage_1(warehouse, day)
    return _result(
        CECL_COVERS_STAGE_1,
        count == 0,
        {"loans": count, "examples": ", ".join(ids) or "none"},
        "The engine is at fault: compare ecl_12m and ecl_cecl of the loans named.",
    )


def stage_totals_agree(warehouse: Warehouse, day: date) -> dg.AssetCheckResult:
    sums = figures.Sums(figures.stage_total(warehouse, day), figures.total(warehouse, day))
    return _result(
        STAGE_TOTALS_AGREE,
        sums.agree,
        {"by_stage": sums.one, "by_loan": sums.other},
        f"Someone else wrote to one of the two tables: materialise partition {day} of gold/loan_ecl again.",
    )


def bars_sum(warehouse: Warehouse, day: date) -> dg.AssetCheckResult:
    rows = figures.waterfall(warehouse, day)
    sums, total = figures.bars_sum(rows), figures.total(warehouse, day)
    return _result(
        BARS_SUM,
        sums.agree and figures.Sums(sums.other, total).agree,
        {"opening_and_bars": sums.one, "closing": sums.other, "allowance_of_loans": total},
        f"Materialise partition {day} of gold/ecl_waterfall again; if it stays, compare gold.ecl_movements by loan.",
    )


def severe_above_baseline(rows: Sequence[Mapping[str, Any]]) -> dg.AssetCheckResult:
    """Not judged until both scenarios were run on one day with the same models and file."""
    two = [row for row in rows if row["scenario"] in (BASELINE, SEVERELY_ADVERSE)]
    of = {row["scenario"]: float(row["ecl"]) for row in two}
    if len(of) < 2 or not ecl_stress.comparable(two):
        return _result(SEVERE_ABOVE_BASELINE, True, {**of, "verdict": "not judged: run both on the same day"}, "")
    return _result(
        SEVERE_ABOVE_BASELINE,
        of[SEVERELY_ADVERSE] > of[BASELINE],
        dict(of),
        "Look at models/hazard_pd: its effect of unemployment is 0 where the book's history shows none. Else compare "
        "the paths of CRP_SCENARIO_FILE.",
        dg.AssetCheckSeverity.WARN,
    )


def _result(
    spec: dg.AssetCheckSpec,
    passed: bool,
    metadata: Mapping[str, Any],
    next_step: str,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    told = {**metadata, **({} if passed else {"next_step": next_step})}
    return dg.AssetCheckResult(
        check_name=spec.name, asset_key=spec.asset_key, passed=passed, severity=severity, metadata=told
    )
