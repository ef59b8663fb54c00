"""Bronze: every source as it came, typed, counted, with what was refused beside it. One landing per asset."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from credit_risk_platform.adapters.drop_folder import DropFolder
from credit_risk_platform.adapters.landing import MACRO_SERIES, BronzeLake, Manifest
from credit_risk_platform.adapters.sources.lending_club import HOW_TO_POINT, find_extract
from credit_risk_platform.adapters.sources.macro import MacroFileError, load_macro
from credit_risk_platform.adapters.sources.synthetic import write_portfolio
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import SYNTHETIC_AS_OF, Bronze, Group, Owner
from credit_risk_platform.defs.ingestion import checks
from credit_risk_platform.defs.ingestion.lake import open_lake
from credit_risk_platform.defs.ingestion.landed import (
    LANDING,
    LENDING_CLUB,
    REPAYMENT_PANEL,
    SYNTHETIC,
    macro,
    materialised,
    refuse,
)
from credit_risk_platform.domain.contracts.errors import LandingError
from credit_risk_platform.domain.contracts.loan_columns import CONTRACT_VERSION
from credit_risk_platform.settings import Settings

Events = Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]

CODE_VERSION = f"landing-1+contract-{CONTRACT_VERSION}"
NIGHTLY = dg.FreshnessPolicy.time_window(fail_window=dt.timedelta(hours=36), warn_window=dt.timedelta(hours=26))
"""A night's landing may be late or fail once before the asset counts as stale."""
_COMMON: dict[str, Any] = {
    "group_name": Group.SOURCES,
    "owners": [Owner.DATA],
    "kinds": {"python", "duckdb", "parquet"},
    "code_version": CODE_VERSION,
}


@dg.multi_asset(
    name="synthetic_portfolio",
    specs=[
        dg.AssetSpec(
            Bronze.SYNTHETIC_LOANS,
            description=(
                "An invented loan book in LendingClub's shape, made from a seed: same seed, same bytes on any day. "
                "Customer ids are turned into tokens before anything is written."
            ),
            freshness_policy=NIGHTLY,
            **_COMMON,
        ),
        dg.AssetSpec(
            Bronze.SYNTHETIC_REPAYMENTS,
            description=(
                "What each synthetic loan owed and paid, one row per due instalment, with the moment the platform "
                "learnt of it. Landed in one piece with the loans, so the two never disagree."
            ),
            freshness_policy=NIGHTLY,
            **_COMMON,
        ),
    ],
    check_specs=checks.specs(Bronze.SYNTHETIC_LOANS, Bronze.SYNTHETIC_REPAYMENTS),
)
def synthetic_portfolio(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[DuckLakeWarehouse],
) -> Events:
    lake = open_lake(settings, warehouse)
    made = write_portfolio(settings.paths.raw / "synthetic", settings.synthetic_loans, settings.seed, SYNTHETIC_AS_OF)
    try:
        loans = lake.land_loans(
            made.loans_csv,
            "synthetic",
            run_id=context.run.run_id,
            landed_at=dt.datetime.now(dt.UTC),
            today=SYNTHETIC_AS_OF,  # the book's own clock: the same seed lands the same rows on any day
            observed_through=SYNTHETIC_AS_OF,
            repayments=made.repayments_parquet,
        )
    except LandingError as error:
        yield from refuse([Bronze.SYNTHETIC_LOANS, Bronze.SYNTHETIC_REPAYMENTS], [error])
        return
    yield materialised(context, lake, warehouse, SYNTHETIC, [loans], seed=settings.seed)
    panel = lake.current("synthetic", REPAYMENT_PANEL.table)
    yield materialised(context, lake, warehouse, REPAYMENT_PANEL, [panel] if panel else [], seed=settings.seed)


class LendingClubConfig(dg.Config):
    """Another file than the settings name, for one run."""

    path: str | None = None


@dg.asset(
    key=Bronze.LENDING_CLUB_LOANS,
    description=(
        "LendingClub's published loans from the file the settings name, in any of its layouts. Names, free text and "
        "postal codes stay behind. Without a file the table is empty and the metadata says which setting to set."
    ),
    check_specs=checks.specs(Bronze.LENDING_CLUB_LOANS),
    **_COMMON,
)
def lending_club_loans(
    context: dg.AssetExecutionContext,
    config: LendingClubConfig,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[DuckLakeWarehouse],
) -> Events:
    lake = open_lake(settings, warehouse)
    path = Path(config.path).expanduser().absolute() if config.path else settings.lending_club_path
    if path is None:
        lake.ensure_views()
        yield materialised(context, lake, warehouse, LENDING_CLUB, [], how_to_fill=HOW_TO_POINT)
        return
    try:
        landed = _land(context, lake, find_extract(path), "lending_club")
    except LandingError as error:
        yield from refuse([Bronze.LENDING_CLUB_LOANS], [error])
        return
    yield materialised(context, lake, warehouse, LENDING_CLUB, [landed], file=str(path))


@dg.asset(
    key=Bronze.LANDING_LOANS,
    description=(
        "Your own loans: every CSV dropped into the landing folder, added up; a later file restates the loans of an "
        "earlier one. Landed files move to landing/archive, refused ones to landing/failed with the reason beside them."
    ),
    check_specs=checks.specs(Bronze.LANDING_LOANS),
    **_COMMON,
)
def landing_loans(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[DuckLakeWarehouse],
) -> Events:
    lake, folder = open_lake(settings, warehouse), DropFolder(settings.paths.landing)
    landed: list[Manifest] = []
    refused: list[LandingError] = []
    for file in folder.waiting().files:
        try:
            landed.append(_land(context, lake, file, "landing"))
        except LandingError as error:
            refused.append(error)
            folder.refuse(file, str(error))
        else:
            folder.archive(file, landed[-1].batch)
    if landed or not refused:
        lake.ensure_views()
        red = frozenset(checks.check_of(error) for error in refused)
        how = f"Drop loan files (CSV, plain or gzipped) into {folder.path}"
        yield materialised(context, lake, warehouse, LANDING, landed, refused=red, how_to_fill=how)
    if refused:
        yield from refuse([Bronze.LANDING_LOANS], refused)


@dg.asset(
    key=Bronze.MACRO_SERIES,
    description=(
        "Unemployment, policy rate, output, prices and sentiment, each value with the day it became public: a loan is "
        "only ever given what was known when it was decided. A revision is another row."
    ),
    check_specs=checks.specs(Bronze.MACRO_SERIES),
    freshness_policy=NIGHTLY,
    **_COMMON,
)
def macro_series(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[DuckLakeWarehouse],
) -> Events:
    lake, path, now = open_lake(settings, warehouse), settings.macro_path, dt.datetime.now(dt.UTC)
    file = "bundled synthetic economy" if path is None else path.name
    try:
        rows = load_macro(path)
        landed = lake.land_table(rows, "macro", MACRO_SERIES, file=file, run_id=context.run.run_id, landed_at=now)
    except MacroFileError as error:
        problem = LandingError(error.file, str(error), column=error.column, next_step="Mend or replace that file.")
        yield from refuse([Bronze.MACRO_SERIES], [problem])
        return
    except LandingError as error:
        yield from refuse([Bronze.MACRO_SERIES], [error])
        return
    notes = {name.decode(): value.decode() for name, value in (rows.schema.metadata or {}).items()}
    table = macro(max(now.date(), SYNTHETIC_AS_OF))
    yield materialised(context, lake, warehouse, table, [landed], **notes)


def _land(context: dg.AssetExecutionContext, lake: BronzeLake, file: Path, source: str) -> Manifest:
    now = dt.datetime.now(dt.UTC)
    context.log.info("landing %s (%.1f MB)", file.name, file.stat().st_size / 1e6)
    return lake.land_loans(file, source, run_id=context.run.run_id, landed_at=now, today=now.date())
