"""What the room's asset pages show: the table, its columns in an analyst's words, and markdown."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import pyarrow as pa

from credit_risk_platform.adapters import markdown
from credit_risk_platform.adapters.table_version import table_version
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import table_of
from credit_risk_platform.defs.decisions.columns import WORDS


def table(warehouse: Warehouse, key: dg.AssetKey) -> dict[str, Any]:
    """Name, row count and columns of an asset's table."""
    name = table_of(key)
    columns = [
        dg.TableColumn(column, kind, description=WORDS[column]) for column, kind in warehouse.columns(name).items()
    ]
    return {
        "dagster/row_count": warehouse.count(name),
        "dagster/table_name": f"lake.{name}",
        "dagster/column_schema": dg.TableSchema(columns),
    }


def require(warehouse: Warehouse, *keys: dg.AssetKey) -> None:
    """End the run, saying what to materialise first, where the table of one of `keys` is not there."""
    if absent := [key.to_user_string() for key in keys if not warehouse.exists(table_of(key))]:
        raise dg.Failure(f"Materialise {' and '.join(absent)} first (job application_decisions).", allow_retries=False)


def version(warehouse: Warehouse, key: dg.AssetKey, *columns: str) -> dg.DataVersion:
    """Hash over the columns that say what was found: the same in another run, and in another home."""
    return dg.DataVersion(table_version(warehouse, table_of(key), columns))


def shown(rows: pa.Table | Sequence[Mapping[str, Any]]) -> dg.MetadataValue:
    """Rows as a markdown table."""
    return dg.MetadataValue.md(markdown.records(rows))


def now() -> dt.datetime:
    """Naive UTC, as the tables keep times."""
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)


def result(
    name: str,
    asset: dg.AssetKey,
    passed: bool,
    metadata: Mapping[str, Any],
    next_step: str,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    """A check's result; `next_step` stands there where it is red."""
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=asset,
        passed=passed,
        severity=severity,
        metadata={**metadata, **({} if passed else {"next_step": next_step})},
    )
