"""What the UI shows about a mart: rows, columns and where each came from, a look at the first rows, how to connect."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from credit_risk_platform.adapters import markdown
from credit_risk_platform.adapters.column_lineage import ColumnLineage
from credit_risk_platform.adapters.object_store import ObjectStore
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.adapters.warehouse.lake_secret import secret_sql
from credit_risk_platform.adapters.warehouse.lake_session import attach_sql
from credit_risk_platform.settings import Settings, Target

HIDDEN = frozenset({"subject_token"})
PREVIEWED_SCHEMA = "gold"
NOT_PREVIEWED = frozenset({"gold.restricted_attributes"})


class MartMetadata:
    """Metadata of one build's tables, read from the warehouse while the build goes on."""

    def __init__(self, warehouse: DuckLakeWarehouse, manifest: Mapping[str, Any], lineage: ColumnLineage) -> None:
        self.warehouse = warehouse
        self.manifest = manifest
        self.lineage = lineage

    def of(self, unique_id: str) -> dict[str, Any]:
        node = self.manifest["nodes"][unique_id]
        table = f"{node['schema']}.{node['name']}"
        metadata: dict[str, Any] = {
            "dagster/row_count": self.warehouse.count(table),
            "dagster/table_name": f"lake.{table}",
            "dagster/column_schema": self._schema(table, node),
            "dagster/column_lineage": self._lineage(table),
        }
        if node["schema"] == PREVIEWED_SCHEMA and table not in NOT_PREVIEWED:
            metadata["preview"] = dg.MetadataValue.md(self._preview(table))
        return metadata

    def _schema(self, table: str, node: Mapping[str, Any]) -> dg.TableSchema:
        described = {name: column.get("description") or None for name, column in node["columns"].items()}
        columns = self.warehouse.columns(table).items()
        return dg.TableSchema([dg.TableColumn(name, type_, description=described.get(name)) for name, type_ in columns])

    def _lineage(self, table: str) -> dg.TableColumnLineage:
        found = self.lineage.columns(table)
        return dg.TableColumnLineage(
            {
                name: [dg.TableColumnDep(parent.relation.split("."), parent.name) for parent in parents]
                for name, parents in found.items()
            }
        )

    def _preview(self, table: str) -> str:
        shown = [name for name in self.warehouse.columns(table) if name not in HIDDEN]
        listed = ", ".join(f'"{name}"' for name in shown)
        return markdown.records(self.warehouse.query(f"select {listed} from {table} limit 5"))


def how_to_connect(settings: Settings) -> str:
    """Two ways for an analyst to reach the marts: where they live, and the copy in any DuckDB client."""
    if settings.target is Target.SNOWFLAKE:
        place = f"schema GOLD of database {settings.snowflake_database}"
        live = f"**Live**, with Snowflake's own tools: {place}, as role CRP_ANALYST (`crp snowflake grants`).\n\n"
    else:
        live = _lake(settings.paths.warehouse, settings.object_store)
    return (
        f"{live}**A plain DuckDB file** for any other tool (a copy made by this asset; open it read-only):\n\n"
        f"```sql\nATTACH '{settings.paths.published_marts}' AS marts (READ_ONLY);\n"
        "SELECT * FROM marts.gold.loan_outcomes LIMIT 10;\n```"
    )


def _lake(root: Path, store: ObjectStore | None) -> str:
    needed = "`ducklake`, `sqlite_scanner` and `httpfs`" if store else "`ducklake` and `sqlite_scanner`"
    return (
        f"**Live, while runs write** (DuckDB 1.5.5 with the extensions {needed}):\n\n"
        f"```sql\nSET extension_directory = '{root / 'ext'}';\n{secret_sql(store) if store else ''}"
        f"{attach_sql(root, read_only=True, store=store)};\n"
        "SELECT * FROM lake.gold.loan_outcomes LIMIT 10;\n```\n\n"
    )
