"""The allowance of a day by loan and by stage, and what moved it since the month before: one step, one transaction."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import dagster as dg

from credit_risk_platform.adapters import ecl_figures as figures
from credit_risk_platform.adapters import ecl_plots, markdown, scenario_file
from credit_risk_platform.adapters.ecl import ECL_STAGE, LOAN_ECL
from credit_risk_platform.adapters.ecl_waterfall import MOVEMENTS, WATERFALL, Booked, book_day
from credit_risk_platform.adapters.portfolio import NothingToScoreError
from credit_risk_platform.adapters.provisioning_models import NoModelError, ProvisioningStore
from credit_risk_platform.adapters.scenario_file import ScenarioFile, ScenarioFileError, ScenarioStore
from credit_risk_platform.adapters.table_version import table_version
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import PORTFOLIO_DAYS, Gold, Group, Models, Owner
from credit_risk_platform.defs.provisioning import ecl_checks
from credit_risk_platform.defs.provisioning.ecl_words import WORDS
from credit_risk_platform.domain.provisioning.scenarios import (
    LONG_RUN_UNEMPLOYMENT,
    REVERSION_MONTHS,
    SUPPORTABLE_MONTHS,
)
from credit_risk_platform.domain.provisioning.waterfall import BARS
from credit_risk_platform.settings import Settings

SHARED: dict[str, Any] = {
    "group_name": Group.PROVISIONING,
    "owners": [Owner.MODELS],
    "kinds": {"python", "duckdb"},
    "code_version": "1",
}
PANEL = dg.AssetKey(["silver", "int_loan_month_panel"])
SPECS = [
    dg.AssetSpec(
        Gold.LOAN_ECL,
        # All are unpartitioned: a day is measured with the models as they stand, and its rows name them.
        deps=[Gold.PORTFOLIO_LOANS, PANEL, Gold.ORIGINATION_SCORES, Models.HAZARD_PD, Models.LGD_MODEL],
        description=(
            "Expected credit loss of every open loan on the day: IFRS 9 stage with its reason, 12-month and lifetime "
            "loss weighted over the macroeconomic scenarios and discounted at the loan's rate, and the CECL lifetime "
            "loss beside it. Rows name the models and scenarios they were made with."
        ),
        **SHARED,
    ),
    dg.AssetSpec(
        Gold.ECL_STAGE,
        deps=[Gold.LOAN_ECL],
        description="Loans, exposure, allowance and coverage of a day by stage, band, purpose, vintage and status.",
        **SHARED,
    ),
    dg.AssetSpec(
        Gold.ECL_WATERFALL,
        deps=[Gold.LOAN_ECL],
        description=(
            "Why the allowance moved since the month before: new business, loans that left, stage moves, "
            "remeasurement, PD model, LGD model, scenarios, and data that a source has restated, each found by "
            "computing the book once more with one cause changed. Table gold.ecl_movements holds the same loan by loan."
        ),
        **SHARED,
    ),
]
FAULTS = (NothingToScoreError, NoModelError, ScenarioFileError)
"""What ends a run with a sentence: something upstream is not there, or the scenarios cannot be read."""


# No backfill policy: each day is a run of its own, and a month must be booked before the next is compared with it.
@dg.multi_asset(
    name="expected_credit_loss",
    specs=SPECS,
    check_specs=[ecl_checks.CECL_COVERS_STAGE_1, ecl_checks.STAGE_TOTALS_AGREE, ecl_checks.BARS_SUM],
    partitions_def=PORTFOLIO_DAYS,
)
def expected_credit_loss(
    context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse], settings: dg.ResourceParam[Settings]
) -> Iterator[dg.MaterializeResult]:
    day = dt.date.fromisoformat(context.partition_key)
    try:
        given, shas = basis_in_force(settings)
        booked = book_day(warehouse, *stores(settings), day, shas)
    except FAULTS as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    context.log.info("%d loans measured as of %s, compared with %s", booked.loans, day, booked.then.day)
    yield dg.MaterializeResult(
        asset_key=Gold.LOAN_ECL,
        data_version=version(warehouse, LOAN_ECL, f"as_of = date '{day}'"),
        check_results=[ecl_checks.cecl_covers_stage_1(warehouse, day)],
        metadata=_loan_metadata(warehouse, day, booked, given, shas),
    )
    yield dg.MaterializeResult(
        asset_key=Gold.ECL_STAGE,
        data_version=version(warehouse, ECL_STAGE, f"as_of = date '{day}'"),
        check_results=[ecl_checks.stage_totals_agree(warehouse, day)],
        metadata={**table(warehouse, ECL_STAGE), **_stage_metadata(warehouse, day)},
    )
    yield dg.MaterializeResult(
        asset_key=Gold.ECL_WATERFALL,
        data_version=version(warehouse, WATERFALL, f"as_of = date '{day}'"),
        check_results=[ecl_checks.bars_sum(warehouse, day)],
        metadata=_waterfall_metadata(warehouse, day, booked),
    )


def stores(settings: Settings) -> tuple[ProvisioningStore, ScenarioStore]:
    """Where models and scenarios of any day are kept, by their content."""
    folder = settings.files("models").below("provisioning")
    return ProvisioningStore(folder), ScenarioStore(folder)


def basis_in_force(settings: Settings) -> tuple[ScenarioFile, tuple[str, str, str]]:
    """The scenarios on file, and the names of models and scenarios in use (hazard, LGD, scenarios); they are kept."""
    models, scenarios = stores(settings)
    given = scenario_file.read(settings.scenario_file)
    return given, (models.hazard().sha256, models.lgd().sha256, scenarios.save(given.scenarios))


def version(warehouse: Warehouse, name: str, where: str) -> dg.DataVersion:
    """Hash over the rows of a partition: nothing in them says when they were made."""
    return dg.DataVersion(table_version(warehouse, f"{name} where {where}", list(warehouse.columns(name))))


def table(warehouse: Warehouse, name: str) -> dict[str, Any]:
    """Name, row count and columns of a table."""
    columns = [
        dg.TableColumn(column, kind, description=WORDS[column]) for column, kind in warehouse.columns(name).items()
    ]
    return {
        "dagster/row_count": warehouse.count(name),
        "dagster/table_name": f"lake.{name}",
        "dagster/column_schema": dg.TableSchema(columns),
    }


def scenario_metadata(given: ScenarioFile, day: dt.date) -> dict[str, Any]:
    """Where the scenarios come from, how they lie to the day, and a picture of them."""
    dated = all(one.dated(day) for one in given.scenarios.scenarios)
    derived = ", ".join(one.name for one in given.scenarios.scenarios if one.derived)
    lines = (
        (one.name, weight, str(one.first), str(one.last), one.peak, "middle of the others" if one.derived else "file")
        for one, weight in given.scenarios.weighted()
    )
    header = ("scenario", "weight", "first quarter", "last quarter", "peak unemployment, %", "from")
    return {
        "scenario_file": str(given.path),
        "scenario_file_sha256": given.sha256,
        "scenario_alignment": "by date: quarters before the day are skipped"
        if dated
        else f"by quarters ahead: the file does not cover {day:%B %Y}, so its first quarter is the next one",
        "scenarios": dg.MetadataValue.md(markdown.table(header, lines, digits=".4g")),
        "scenario_paths": dg.MetadataValue.md(ecl_plots.paths(given.scenarios, day)),
        "scenario_note": f"after its last quarter a path reverts to {LONG_RUN_UNEMPLOYMENT} % over {REVERSION_MONTHS} "
        f"months; CECL reverts after {SUPPORTABLE_MONTHS} months already"
        + (f"; {derived} stands in no file" if derived else ""),
    }


def _loan_metadata(
    warehouse: Warehouse, day: dt.date, booked: Booked, given: ScenarioFile, shas: tuple[str, str, str]
) -> dict[str, Any]:
    stages = figures.by_stage(warehouse, day)
    last = stages.to_pylist()[-1]
    return {
        **table(warehouse, LOAN_ECL),
        "dagster/partition_row_count": booked.loans,
        "states_of": str(booked.state_day),
        "ecl_ifrs9": last["ecl"] or 0.0,
        "ecl_cecl": last["ecl_cecl"] or 0.0,
        "exposure": last["ead"] or 0.0,
        "coverage": last["coverage"] or 0.0,
        "stages": dg.MetadataValue.md(markdown.records(stages)),
        "reasons": dg.MetadataValue.md(markdown.records(figures.reasons(warehouse, day))),
        **scenario_metadata(given, day),
        "hazard_sha": shas[0],
        "lgd_sha": shas[1],
        "scenario_sha": shas[2],
    }


def _stage_metadata(warehouse: Warehouse, day: dt.date) -> dict[str, Any]:
    rows = figures.by_stage(warehouse, day)
    return {
        "stages": dg.MetadataValue.md(markdown.records(rows)),
        "coverage_by_stage": dg.MetadataValue.md(ecl_plots.by_stage(rows.to_pylist())),
    }


def _waterfall_metadata(warehouse: Warehouse, day: dt.date, booked: Booked) -> dict[str, Any]:
    rows = figures.waterfall(warehouse, day)
    movers = [row for bar in BARS for row in figures.movers(warehouse, day, bar).to_pylist()]
    basis = "as booked" if booked.then.booked else "computed afresh, for it was never booked: nothing can be restated"
    return {
        **table(warehouse, WATERFALL),
        "waterfall": dg.MetadataValue.md(ecl_plots.waterfall(rows)),
        "bars": dg.MetadataValue.md(
            markdown.table(("step", "amount"), [(r["step"], f"{r['amount']:,.2f}") for r in rows])
        ),
        "compared_with": f"{booked.then.day}, {basis}",
        "loan_by_loan": f"lake.{MOVEMENTS}",
        "largest_moves": dg.MetadataValue.md(markdown.records(movers)),
        "models_then": ", ".join(sha[:12] for sha in booked.then.shas),
    }
