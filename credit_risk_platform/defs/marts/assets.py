"""Silver and gold: every dbt model as an asset, in two steps, and the copy of the marts that any DuckDB tool can open.

What scoring reads is built before it, the risk marts after it: they show its scores.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_dbt import dbt_assets

from credit_risk_platform.adapters import bank_history, markdown, outside_tables
from credit_risk_platform.adapters.column_lineage import ColumnLineage, LineageError
from credit_risk_platform.adapters.dbt_project import DbtWorkspace
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import Gold, Group, Owner, table_of
from credit_risk_platform.defs.marts.dbt_build import build
from credit_risk_platform.defs.marts.leakage import project_lineage
from credit_risk_platform.defs.marts.metadata import MartMetadata, how_to_connect
from credit_risk_platform.defs.marts.translator import MartTranslator
from credit_risk_platform.settings import Settings

NOT_PUBLISHED = frozenset({"restricted_attributes", "behaviour_features"})
"""Personal attributes stay in the lake; so does the one mart of loan-month grain, which is read there, not copied."""


FIGURES = (Gold.ROLL_FORECAST, Gold.ECL_STAGE, Gold.ECL_WATERFALL, Gold.STRESS_ECL)
"""What other rooms compute from the marts and BI tools show beside them; copied once it is there."""

AFTER_SCORING = "tag:after_scoring"
"""Set for a folder in dbt_project.yml."""


def mart_assets(workspace: DbtWorkspace, manifest: Mapping[str, Any]) -> dg.AssetsDefinition:
    """One asset per dbt model and seed, with its data tests as checks (severity error blocks what follows)."""
    translator = MartTranslator()

    # One build at a time: two would swap the same tables under each other.
    @dbt_assets(manifest=manifest, dagster_dbt_translator=translator, name="marts", pool="dbt", exclude=AFTER_SCORING)
    def marts(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[DuckLakeWarehouse]) -> Iterator[Any]:
        bank_history.ensure(warehouse)  # and so there is a lake, which dbt joins
        yield from _build(context, workspace, manifest, translator, warehouse)

    return marts


def risk_mart_assets(workspace: DbtWorkspace, manifest: Mapping[str, Any]) -> dg.AssetsDefinition:
    """The same for the marts that show scores and decisions: what other rooms write is dbt's source `platform`."""
    translator = MartTranslator()

    @dbt_assets(
        manifest=manifest, dagster_dbt_translator=translator, name="risk_marts", pool="dbt", select=AFTER_SCORING
    )
    def risk_marts(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[DuckLakeWarehouse]) -> Iterator[Any]:
        for table in outside_tables.ensure(warehouse):
            context.log.info("%s is not written yet: the risk marts are built on an empty one", table)
        yield from _build(context, workspace, manifest, translator, warehouse)

    return risk_marts


def _build(
    context: dg.AssetExecutionContext,
    workspace: DbtWorkspace,
    manifest: Mapping[str, Any],
    translator: MartTranslator,
    warehouse: DuckLakeWarehouse,
) -> Iterator[Any]:
    try:
        lineage = project_lineage(workspace, manifest)
    except LineageError as error:  # the build can do without; the leakage guard will not let it pass
        context.log.warning("No column lineage: %s", error)
        lineage = ColumnLineage({})
    metadata = MartMetadata(warehouse, manifest, lineage)
    for event in build(context, workspace, manifest, translator):
        if isinstance(event, dg.Output):
            node = str(event.metadata["unique_id"].value)
            yield event.with_metadata({**event.metadata, **metadata.of(node)})
        else:
            yield event


def published_marts(manifest: Mapping[str, Any]) -> dg.AssetsDefinition:
    """The plain DuckDB file of all gold marts that may leave the lake."""
    gold = [
        dg.AssetKey([node["schema"], node["name"]])
        for node in manifest["nodes"].values()
        if node["schema"] == "gold" and node["resource_type"] in ("model", "seed") and node["name"] not in NOT_PUBLISHED
    ]

    @dg.asset(
        key=Gold.PUBLISHED_MARTS,
        deps=[*gold, *FIGURES],
        group_name=Group.RISK,  # it holds the risk marts too, so it is made with them, after scoring
        owners=[Owner.ANALYTICS],
        kinds={"duckdb"},
        code_version="2",
        description=(
            "The gold marts and the expected loss as one plain DuckDB file, for BI tools and notebooks that do not "
            "read the lake. Built aside and renamed over the old one, so nobody reads half a copy. The metadata says "
            "how to connect, docs/analysts.md what stands where."
        ),
    )
    def published_marts(
        warehouse: dg.ResourceParam[DuckLakeWarehouse], settings: dg.ResourceParam[Settings]
    ) -> dg.MaterializeResult:
        figures = [table for table in map(table_of, FIGURES) if warehouse.exists(table)]
        tables = sorted([*map(table_of, gold), *figures])
        warehouse.publish(settings.paths.published_marts, tables)
        rows = {table: warehouse.count(table) for table in tables}
        listed = markdown.records([{"table": table, "rows": count} for table, count in rows.items()])
        return dg.MaterializeResult(
            metadata={
                "dagster/uri": settings.paths.published_marts.as_uri(),
                "dagster/row_count": sum(rows.values()),
                "size_mb": settings.paths.published_marts.stat().st_size / 1e6,
                "tables": dg.MetadataValue.md(listed),
                "how_to_connect": dg.MetadataValue.md(how_to_connect(settings)),
            }
        )

    return published_marts
