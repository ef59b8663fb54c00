"""Tables that reports read, filled by hand with few round numbers, and the events that a run would leave of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import dagster as dg
import pyarrow as pa

from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import PORTFOLIO_DAYS, SCENARIOS, Gold

DAY = date(2026, 6, 30)
MAY, JULY = date(2026, 5, 31), date(2026, 7, 31)
BAND = {"band": "Low", "decision": "approve", "bundle_sha": "a" * 64, "as_of": DAY}
ECL = {"as_of": DAY, "purpose": "car", "risk_band": "Low", "hazard_sha": "h" * 64, "lgd_sha": "l" * 64,
       "scenario_sha": "s" * 64}  # fmt: skip
TABLES: Mapping[str, list[dict[str, Any]]] = {
    "gold.portfolio_months": [
        # 3 loans owe 2,500.50 at the end of June; what May had, and July came to have, must not show.
        {"month_end": DAY, "dpd_bucket": "Current", "loans": 2, "balance": Decimal("2000.00"), "new_loans": 1,
         "new_defaults": 0, "closed_loans": 0},
        {"month_end": DAY, "dpd_bucket": "30-59", "loans": 1, "balance": Decimal("500.50"), "new_loans": 0,
         "new_defaults": 1, "closed_loans": 2},
        {"month_end": JULY, "dpd_bucket": "Current", "loans": 7, "balance": Decimal("7000.00"), "new_loans": 5,
         "new_defaults": 2, "closed_loans": 0},
        {"month_end": MAY, "dpd_bucket": "Current", "loans": 4, "balance": Decimal("9000.00"), "new_loans": 0,
         "new_defaults": 0, "closed_loans": 0},
    ],
    "gold.delinquency_buckets": [
        {"month_end": DAY, "dpd_bucket": "Current", "loans": 2, "balance": Decimal("2000.00"),
         "share_of_loans": 2 / 3, "share_of_balance": 0.8},
        {"month_end": JULY, "dpd_bucket": "Current", "loans": 7, "balance": Decimal("7000.00"), "share_of_loans": 1.0,
         "share_of_balance": 1.0},
        {"month_end": DAY, "dpd_bucket": "30-59", "loans": 1, "balance": Decimal("500.50"), "share_of_loans": 1 / 3,
         "share_of_balance": 0.2},
    ],
    "gold.portfolio_scores": [
        {**BAND, "loan_id": "L1", "pd": 0.02}, {**BAND, "loan_id": "L2", "pd": 0.04},
        {**BAND, "loan_id": "L3", "pd": 0.3, "band": "Very High", "decision": "decline"},
    ],
    "gold.vintage_curves": [
        # Quarter 2025-01: complete by its sixth month with the lag of five; month 13 was not known on that day.
        {"cohort_kind": "quarter", "cohort": date(2025, 1, 1), "months_on_book": month, "loans": 100,
         "defaulted_loans": bad, "default_rate": bad / 100}
        for month, bad in ((9, 6), (10, 7), (11, 8))
    ],
    "gold.default_trend": [
        {"month_end": JULY, "open_loans": 7, "new_defaults": 2, "monthly_default_rate": 0.5, "default_rate_12m": 0.6,
         "complete": True},
        {"month_end": DAY, "open_loans": 3, "new_defaults": 1, "monthly_default_rate": 0.25, "default_rate_12m": 0.1,
         "complete": True},
    ],
    "gold.concentration": [
        {"as_of": DAY, "kind": "purpose", "segment": "car", "loans": 3, "exposure": Decimal("2500.50"), "share": 1.0,
         "limit_share": 0.6, "light": "red", "hhi": 1.0},
    ],
    "gold.watchlist": [
        {"as_of": DAY, "loan_id": "L3", "segment": "high", "rule_ids": "EW-01, EW-03", "exposure": Decimal("500.50"),
         "subject_token": "secret-person"},
    ],
}  # fmt: skip
LOAN_ECL = [
    # Coverage of the book: 130 / 2,500 = 5.2 %; of stage 2: 120 / 500 = 24 %.
    {**ECL, "loan_id": "L1", "stage": 1, "stage_reason": "performing", "ead": 1000.0, "ecl": 4.0, "ecl_cecl": 10.0},
    {**ECL, "loan_id": "L2", "stage": 1, "stage_reason": "performing", "ead": 1000.0, "ecl": 6.0, "ecl_cecl": 20.0},
    {**ECL, "loan_id": "L3", "stage": 2, "stage_reason": "30 days", "ead": 500.0, "ecl": 120.0, "ecl_cecl": 120.0},
]
WATERFALL = [
    {"as_of": DAY, "compared_with": MAY, "step_no": number, "step": step, "amount": amount}
    for number, (step, amount) in enumerate((("opening", 100.0), ("stage moves", 30.0), ("closing", 130.0)), 1)
]
STRESS = [
    {"as_of": DAY, "scenario": scenario, "unemployment_peak": peak, "loans": 3, "ead": 2500.0, "ecl": loss}
    for scenario, peak, loss in (("baseline", 4.5, 110.0), ("severely_adverse", 10.0, 300.0))
]
PARTITIONED = {Gold.PORTFOLIO_SCORES: PORTFOLIO_DAYS, Gold.LOAN_ECL: PORTFOLIO_DAYS, Gold.ECL_WATERFALL: PORTFOLIO_DAYS,
               Gold.STRESS_ECL: SCENARIOS}  # fmt: skip


def fill(warehouse: DuckLakeWarehouse, instance: dg.DagsterInstance) -> None:
    """Every table of the portfolio report, with an event each."""
    for table, rows in TABLES.items():
        warehouse.replace_table(table, pa.Table.from_pylist(rows))
        made(instance, dg.AssetKey(table.split(".")))


def fill_ecl(warehouse: Warehouse, instance: dg.DagsterInstance) -> None:
    """The three tables of expected loss, with their events."""
    for key, rows in ((Gold.LOAN_ECL, LOAN_ECL), (Gold.ECL_WATERFALL, WATERFALL), (Gold.STRESS_ECL, STRESS)):
        warehouse.replace_table(".".join(key.path), pa.Table.from_pylist(rows))
    made(instance, Gold.LOAN_ECL)
    made(instance, Gold.ECL_WATERFALL)
    for row in STRESS:
        made(instance, Gold.STRESS_ECL, row["scenario"])


def made(instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None = None) -> None:
    """The event of an asset that was made now; partitioned ones of `DAY` unless said otherwise."""
    of_day = DAY.isoformat() if key in PARTITIONED else None
    tags = {"dagster/data_version": f"version of {key.to_user_string()}"}
    instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=partition or of_day, tags=tags))
