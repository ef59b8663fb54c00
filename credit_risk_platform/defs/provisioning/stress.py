"""Loss of the book scenario by scenario: one partition each, one run for all."""

from typing import Any

import dagster as dg

from credit_risk_platform.adapters import ecl, ecl_plots, ecl_stress, markdown
from credit_risk_platform.adapters.ecl_stress import STRESS
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import BATCH_RUN, SCENARIOS, Gold
from credit_risk_platform.defs.provisioning import ecl_checks
from credit_risk_platform.defs.provisioning.ecl import (
    FAULTS,
    SHARED,
    basis_in_force,
    scenario_metadata,
    stores,
    table,
    version,
)
from credit_risk_platform.settings import Settings


@dg.asset(
    key=Gold.STRESS_ECL,
    partitions_def=SCENARIOS,
    deps=[dg.AssetDep(Gold.LOAN_ECL, partition_mapping=dg.AllPartitionMapping())],
    check_specs=[ecl_checks.SEVERE_ABOVE_BASELINE],
    description=(
        "Allowance of the latest booked day if one macroeconomic scenario were sure to come: loans are staged anew, "
        "since a rise of unemployment moves some of them to stage 2. A range of outcomes, not a forecast."
    ),
    **SHARED,
)
def stress_ecl(
    context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse], settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult:
    names = list(context.partition_keys)
    try:
        day = ecl_stress.booked_day(warehouse)
        given, shas = basis_in_force(settings)
        basis = ecl.basis(*stores(settings), shas)
        for name in names:
            ecl_stress.stress(warehouse, day, basis, name, shas[2])
    except FAULTS as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    rows = ecl_stress.totals(warehouse)
    listed = ", ".join(f"'{name}'" for name in names)
    told: list[dict[str, Any]] = [{name: row[name] for name in _SHOWN} for row in rows]
    return dg.MaterializeResult(
        data_version=version(warehouse, STRESS, f"scenario in ({listed})"),
        check_results=[ecl_checks.severe_above_baseline(rows)],
        metadata={
            **table(warehouse, STRESS),
            "as_of": str(day),
            "by_scenario": dg.MetadataValue.md(markdown.records(told)),
            "losses": dg.MetadataValue.md(ecl_plots.by_scenario(rows)),
            **scenario_metadata(given, day),
        },
    )


stress_testing = dg.define_asset_job(
    "stress_testing",
    dg.AssetSelection.assets(Gold.STRESS_ECL),
    description="Expected loss of the book under each macroeconomic scenario.",
    tags=BATCH_RUN,
)
_SHOWN = ("scenario", "as_of", "unemployment_peak", "loans", "stage_2_loans", "ead", "ecl", "coverage", "scenario_sha")
