"""A table's content as one short text, whatever the order of its rows: what Dagster shows as its data version."""

from __future__ import annotations

from collections.abc import Sequence

from credit_risk_platform.adapters.warehouse.base import Warehouse


def table_version(warehouse: Warehouse, table: str, columns: Sequence[str]) -> str:
    """Row count and a hash over `columns`: those that say what was found, not when or in which run."""
    row = f"hash({', '.join(columns)})"
    sql = f"""
        select count(*) || '-' || coalesce(bit_xor({row}), 0) || '-' || coalesce(sum({row}::hugeint), 0) as version
        from {table}
    """
    return str(warehouse.query(sql)["version"][0].as_py())
