"""A small synthetic book landed as bronze files, and the marts dbt builds from it: made once per test session."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pyarrow as pa

from credit_risk_platform.adapters.dbt_project import DbtWorkspace
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import Bronze
from credit_risk_platform.defs import marts
from credit_risk_platform.domain.contracts.column import Column, Kind
from credit_risk_platform.domain.contracts.loan_columns import LOAN_COLUMNS
from credit_risk_platform.domain.synthetic.portfolio import portfolio
from credit_risk_platform.resources import build_resources
from credit_risk_platform.settings import Settings

LOANS = 1_500
REBUILT = ("application_features", "loan_outcomes", "vintage_curves")
AS_OF = date(2026, 6, 30)
BATCH = "0123456789ab"
BRONZE = [value for value in vars(Bronze).values() if isinstance(value, dg.AssetKey)]


@dataclass(frozen=True)
class MartBook:
    """A home whose marts have been built, and the run that built them."""

    settings: Settings
    warehouse: DuckLakeWarehouse
    definitions: dg.Definitions
    run: dg.ExecuteInProcessResult


@cache
def home_of_the_session() -> Path:
    home = Path(tempfile.mkdtemp(prefix="mart-book-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    return home


@cache
def compiled_project() -> tuple[DbtWorkspace, dict[str, Any]]:
    """The real dbt project and its compiled manifest."""
    workspace = marts.workspace(Settings(home=home_of_the_session()))
    return workspace, workspace.manifest()


@cache
def built_marts() -> MartBook:
    """Whatever the first test to ask for it pays for: landing, one dbt build, the guards, the published copy."""
    settings = Settings(home=home_of_the_session())
    resources = build_resources(settings)
    land(resources["warehouse"], settings.home)
    definitions = marts.definitions(settings)
    run = materialize(definitions, resources, bronze_version="1")
    return MartBook(settings, resources["warehouse"], definitions, run)


def materialize(
    definitions: dg.Definitions,
    resources: dict[str, object],
    *,
    bronze_version: str,
    selection: dg.AssetSelection | None = None,
) -> dg.ExecuteInProcessResult:
    """One in-process run of the marts on an instance that knows which data version of bronze was landed."""
    with dg.DagsterInstance.ephemeral() as instance:
        for key in BRONZE:
            tags = {"dagster/data_version": bronze_version}
            instance.report_runless_asset_event(dg.AssetMaterialization(key, tags=tags))
        everything = [*(definitions.assets or ()), *(definitions.asset_checks or ())]
        return dg.materialize(
            everything, resources=resources, instance=instance, selection=selection, raise_on_error=False
        )


def rebuild(book: MartBook) -> dg.ExecuteInProcessResult:
    """The gold tables once more, on the same bronze."""
    resources = build_resources(book.settings, warehouse=book.warehouse)
    gold = dg.AssetSelection.assets(*(dg.AssetKey(["gold", name]) for name in REBUILT)).without_checks()
    return materialize(book.definitions, resources, bronze_version="1", selection=gold)


def land(warehouse: DuckLakeWarehouse, home: Path) -> None:
    """Bronze as landing leaves it: Parquet files below the lake, one view per source."""
    block = next(portfolio(LOANS, 7, AS_OF))
    assert block.repayments is not None
    loans = _typed(block.loans)
    _view(warehouse, home, "synthetic_loans", loans)
    _view(warehouse, home, "lending_club_loans", loans.slice(0, 0))
    _view(warehouse, home, "landing_loans", loans.slice(0, 0))
    batch = pa.array([BATCH] * block.repayments.num_rows)
    _view(warehouse, home, "synthetic_repayments", block.repayments.append_column("_batch", batch))
    _view(warehouse, home, "macro_series", duckdb.sql(_MACRO).to_arrow_table())


def _typed(raw: pa.Table) -> pa.Table:
    """The generator's text as the contract types it; the landing adapter does this with checks, row by row."""
    listed = ", ".join(f"{_value(column, raw.column_names)} as {column.name}" for column in LOAN_COLUMNS)
    with duckdb.connect() as connection:
        connection.register("raw", raw)
        return connection.execute(f"select {listed} from raw").to_arrow_table()


def _value(column: Column, given: list[str]) -> str:
    fixed = {
        "loan_id": "id",
        "source_system": "'synthetic'",
        "subject_token": "md5(customer_id)",
        "_batch": f"'{BATCH}'",
        "_row": "row_number() over ()",
        "_observed_through": f"date '{AS_OF}'",
    }
    name = column.name
    if name in fixed:
        return fixed[name]
    if name not in given:
        return f"cast(null as {column.type})"
    if column.kind is Kind.MONTH:
        return f"cast(try_strptime('1 ' || {name}, '%d %b-%Y') as date)"
    if column.kind is Kind.TERM:
        return rf"cast(regexp_extract({name}, '\d+') as integer)"
    if column.kind is Kind.PERCENT:
        return f"cast(replace(cast({name} as varchar), '%', '') as double)"
    return f"cast({name} as {column.type})"


def _view(warehouse: DuckLakeWarehouse, home: Path, name: str, rows: pa.Table) -> None:
    import pyarrow.parquet as pq

    folder = home / "lake" / "bronze" / name / f"batch={BATCH}"
    folder.mkdir(parents=True)
    pq.write_table(rows, folder / "rows.parquet", compression="zstd")
    warehouse.create_view(f"bronze.{name}", f"select * from read_parquet('{folder / 'rows.parquet'}')")


_MACRO = f"""
select
    series.id as series_id,
    cast(month as date) as observation_date,
    series.level * (1 + 0.002 * datediff('month', date '2010-01-01', month)) as value,
    cast(month + interval 40 day as date) as publication_date,
    cast(month + interval 40 day as date) as vintage_date,
    '{BATCH}' as _batch
from
    (values
        ('UNRATE', 4.5::double), ('FEDFUNDS', 2.0), ('GDPC1', 18000.0), ('CPIAUCSL', 220.0), ('UMCSENT', 75.0)
    ) as series (id, level),
    generate_series(date '2010-01-01', date '2026-05-01', interval 1 month) as months (month)
"""
