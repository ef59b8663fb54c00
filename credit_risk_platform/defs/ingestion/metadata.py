"""What the UI shows of a landing: counts, reasons, a look at rows and rejects, the contract. Never a person's data."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from credit_risk_platform.adapters import markdown
from credit_risk_platform.adapters.landing import BronzeLake, Manifest
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.adapters.warehouse.lake_session import CATALOG
from credit_risk_platform.domain.contracts.column import Column

REJECTS_SHOWN, ROWS_SHOWN = 10, 5


def landing_metadata(lake: BronzeLake, manifests: Sequence[Manifest], latest: Sequence[Manifest]) -> dict[str, Any]:
    """Counts over all landings of the table, and what this run's (`latest`) refused."""
    counts = {
        "rows_in": sum(manifest.rows_in for manifest in manifests),
        "rows_landed": sum(manifest.rows_landed for manifest in manifests),
        "rows_rejected": sum(manifest.rows_rejected for manifest in manifests),
    }
    refused = [reject for manifest in latest for reject in lake.rejects(manifest, REJECTS_SHOWN).to_pylist()]
    new_columns = sorted({name for manifest in manifests for name in manifest.unknown_columns})
    return {
        **counts,
        "files": _files(latest),
        "rejects_by_reason": _reasons(manifests),
        "reject_sample": dg.MetadataValue.md(_rejects(refused[:REJECTS_SHOWN])),
        "contract": _contract_note(manifests, new_columns),
        "observed_through": max((m.observed_through for m in manifests if m.observed_through), default="unknown"),
    }


def table_metadata(
    warehouse: DuckLakeWarehouse, table: str, columns: Sequence[Column], preview: Sequence[str], key: Sequence[str]
) -> dict[str, Any]:
    """Row count, schema with constraints, and the first rows."""
    shown = ", ".join(f'"{name}"' for name in preview)
    first = warehouse.query(f"select {shown} from {table} limit {ROWS_SHOWN}")
    return {
        "dagster/row_count": warehouse.count(table),
        "dagster/table_name": f"{CATALOG}.{table}",
        "dagster/column_schema": dg.TableSchema(
            columns=[_column(column, unique=[column.name] == list(key)) for column in columns]
        ),
        "preview": dg.MetadataValue.md(markdown.records(first)),
    }


def _column(column: Column, *, unique: bool) -> dg.TableColumn:
    unit = f" Unit: {column.unit}." if column.unit else ""
    other = [column.constraint] if column.constraint else []
    return dg.TableColumn(
        column.name,
        column.type,
        description=f"{column.description}{unit}",
        constraints=dg.TableColumnConstraints(nullable=column.nullable, unique=unique, other=other),
        tags={"stage": column.stage.name.lower()},
    )


def _files(manifests: Sequence[Manifest]) -> dg.MetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "file": manifest.file,
                    "sha256": manifest.file_sha256,
                    "batch": manifest.batch,
                    "rows in": manifest.rows_in,
                    "landed": manifest.rows_landed,
                    "rejected": manifest.rows_rejected,
                    "landed before": manifest.already_landed,
                }
            )
            for manifest in manifests
        ],
        schema=_schema({"file": "string", "sha256": "string", "batch": "string", "rows in": "int", "landed": "int",
                        "rejected": "int", "landed before": "bool"}),
    )  # fmt: skip


def _reasons(manifests: Iterable[Manifest]) -> dg.MetadataValue:
    totals: dict[str, int] = {}
    for manifest in manifests:
        for reason, rows in manifest.rejects_by_reason.items():
            totals[reason] = totals.get(reason, 0) + rows
    records = [dg.TableRecord({"reason": reason, "rows": rows}) for reason, rows in sorted(totals.items())]
    return dg.MetadataValue.table(records, schema=_schema({"reason": "string", "rows": "int"}))


def _schema(columns: Mapping[str, str]) -> dg.TableSchema:
    return dg.TableSchema(columns=[dg.TableColumn(name, kind) for name, kind in columns.items()])


def _rejects(rejects: Sequence[Mapping[str, Any]]) -> str:
    shown = ("file", "row", "column", "value", "reason", "next_step")
    return markdown.records([{name: reject[name] for name in shown} for reject in rejects])


def _contract_note(manifests: Sequence[Manifest], new_columns: Sequence[str]) -> str:
    versions = ", ".join(sorted({manifest.contract_version for manifest in manifests})) or "none landed"
    bump = f"; contract minor bump: {', '.join(new_columns)} (not landed)" if new_columns else ""
    return f"version {versions}{bump}"
