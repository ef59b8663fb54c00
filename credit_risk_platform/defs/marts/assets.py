"""Silver and gold: every dbt model as an asset, and the copy of the marts that any DuckDB tool can open."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_dbt import dbt_assets

from credit_risk_platform.adapters import markdown
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


def mart_assets(workspace: DbtWorkspace, manifest: Mapping[str, Any]) -> dg.AssetsDefinition:
    """One asset per dbt model and seed, with its data tests as checks (severity error blocks what follows)."""
    translator = MartTranslator()

    # One build at a time: two would swap the same tables under each other.
    @dbt_assets(manifest=manifest, dagster_dbt_translator=translator, name="marts", pool="dbt")
    def marts(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[DuckLakeWarehouse]) -> Iterator[Any]:
        warehouse.snapshot()  # dbt joins a lake that exists
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

    return marts


def published_marts(manifest: Mapping[str, Any]) -> dg.AssetsDefinition:
    """The plain DuckDB file of all gold marts that may leave the lake."""
    gold = [
        dg.AssetKey([node["schema"], node["name"]])
        for node in manifest["nodes"].values()
        if node["schema"] == "gold" and node["resource_type"] in ("model", "seed") and node["name"] not in NOT_PUBLISHED
    ]

    @dg.asset(
        key=Gold.PUBLISHED_MARTS,
        deps=gold,
        group_name=Group.PORTFOLIO,
        owners=[Owner.ANALYTICS],
        kinds={"duckdb"},
        code_version="1",
        description=(
            "The gold marts as one plain DuckDB file, for BI tools and notebooks that do not read the lake. Built "
            "aside and renamed over the old one, so nobody reads half a copy. The metadata says how to connect."
        ),
    )
    def published_marts(
        warehouse: dg.ResourceParam[DuckLakeWarehouse], settings: dg.ResourceParam[Settings]
    ) -> dg.MaterializeResult:
        tables = sorted(table_of(key) for key in gold)
        warehouse.publish(settings.paths.published_marts, tables)
        rows = {table: warehouse.count(table) for table in tables}
        listed = markdown.records([{"table": table, "rows": count} for table, count in rows.items()])
        return dg.MaterializeResult(
            metadata={
                "dagster/uri": settings.paths.published_marts.as_uri(),
                "dagster/row_count": sum(rows.values()),
                "size_mb": settings.paths.published_marts.stat().st_size / 1e6,
                "tables": dg.MetadataValue.md(listed),
                "how_to_connect": dg.MetadataValue.md(
                    how_to_connect(settings.paths.warehouse, settings.paths.published_marts)
                ),
            }
        )

    return published_marts
