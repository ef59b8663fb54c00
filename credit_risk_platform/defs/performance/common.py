"""What the room's assets share: where they start from, and how they end when there is nothing to start from."""

from typing import Any

import dagster as dg

from credit_risk_platform.adapters.bundles import BundleStore
from credit_risk_platform.adapters.drift_reference import NoReferenceError
from credit_risk_platform.adapters.portfolio import FEATURES, NothingToScoreError
from credit_risk_platform.adapters.table_version import table_version
from credit_risk_platform.adapters.vintages import Vintage, learnt_of, vintages
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import table_of
from credit_risk_platform.defs.performance.columns import WORDS
from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.maturity import Learnt


def champion(bundles: BundleStore) -> ModelBundle:
    """The reigning one; ends the run before there is any."""
    bundle = bundles.champion()
    if bundle is None:
        raise dg.Failure("There is no champion to judge. Materialise models/champion first.", allow_retries=False)
    return bundle


def the_book(warehouse: Warehouse, bundle: ModelBundle) -> tuple[list[Vintage], Learnt]:
    """Every vintage, and what the champion learnt from; ends the run where one of them cannot be had."""
    try:
        found = vintages(warehouse)
        learnt = learnt_of(warehouse, bundle)
    except (NothingToScoreError, NoReferenceError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    if not found or not warehouse.exists(FEATURES):
        raise dg.Failure("The book is empty: land loans and build the marts first.", allow_retries=False)
    return found, learnt


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


def version(warehouse: Warehouse, key: dg.AssetKey) -> dg.DataVersion:
    """Hash over the whole table: nothing in it says when it was made."""
    name = table_of(key)
    return dg.DataVersion(table_version(warehouse, name, list(warehouse.columns(name))))


def warning(
    name: str, asset: dg.AssetKey, passed: bool, metadata: dict[str, Any], next_step: str
) -> dg.AssetCheckResult:
    """Performance warns and never blocks; `next_step` stands there where it is red."""
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=asset,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={**metadata, **({} if passed else {"next_step": next_step})},
    )
