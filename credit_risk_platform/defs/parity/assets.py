"""Every mart of one engine against the other's, as an asset whose check is red with table, key and column."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from credit_risk_platform.adapters import markdown, parity
from credit_risk_platform.adapters.parity import Comparison, Mart
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import Group, Monitoring, Owner
from credit_risk_platform.settings import Settings, Target

CHECK = "warehouses_agree"
NAMES = {Target.LOCAL: "DuckDB", Target.SNOWFLAKE: "Snowflake"}
NO_TWIN = (
    "There is one warehouse only. To compare, build the same sources on both with one CRP_PII_TOKEN_KEY, each in a "
    "home of its own, which remembers its score ledger: with CRP_TARGET=local, and with CRP_TARGET=snowflake and "
    "Snowflake's credentials (docs/snowflake.md). Then ask in the second with CRP_TWIN_HOME set to the first."
)
Events = Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]


def warehouse_parity_of(marts: Sequence[Mart]) -> dg.AssetsDefinition:
    """The asset over `marts`, the tables dbt makes for readers."""

    @dg.asset(
        key=Monitoring.WAREHOUSE_PARITY,
        deps=[dg.AssetKey(mart.table.split(".")) for mart in marts],
        group_name=Group.PARITY,
        owners=[Owner.DATA],
        kinds={"duckdb", "snowflake"},
        code_version="1",
        check_specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset=Monitoring.WAREHOUSE_PARITY,
                description="Every mart has the same rows, keys and values in both warehouses; numbers to a billionth.",
            )
        ],
        description=(
            "Two warehouses, one truth: row counts, keys and every column of each mart in the embedded warehouse and "
            "in Snowflake. Asked for by hand, after both were built from the same sources."
        ),
    )
    def warehouse_parity(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        warehouse: dg.ResourceParam[Warehouse],
        twin: dg.ResourceParam[Warehouse | None],
    ) -> Events:
        if twin is None:
            raise dg.Failure(NO_TWIN, allow_retries=False)
        other = Target.LOCAL if settings.target is Target.SNOWFLAKE else Target.SNOWFLAKE
        names = (NAMES[settings.target], NAMES[other])
        found = []
        for number, mart in enumerate(marts, start=1):
            found.append(parity.compare(warehouse, twin, mart, names))
            context.log.info("%d of %d: %s %s", number, len(marts), mart.table, _said(found[-1]))
        yield dg.MaterializeResult(metadata=_metadata(found, names))
        yield _judged(found)

    return warehouse_parity


def _metadata(found: Sequence[Comparison], names: tuple[str, str]) -> dict[str, Any]:
    shown = [
        {
            "table": one.table,
            f"rows in {names[0]}": one.rows[0],
            f"rows in {names[1]}": one.rows[1],
            "keys on one side only": sum(one.missing),
            "columns that differ": ", ".join(f"{name} ({rows:,} rows)" for name, rows in one.columns.items()),
            "verdict": _said(one),
        }
        for one in sorted(found, key=lambda one: (one.equal, one.table))
    ]
    return {
        "tables": len(found),
        "tables_that_differ": sum(not one.equal for one in found),
        "dagster/row_count": sum(one.rows[0] for one in found),
        "comparison": dg.MetadataValue.md(markdown.records(shown)),
        "not_compared": dg.MetadataValue.md("\n".join(f"- {name}: {why}" for name, why in parity.OF_A_RUN.items())),
    }


def _judged(found: Sequence[Comparison]) -> dg.AssetCheckResult:
    apart = [one for one in found if not one.equal]
    told = [f"{one.table}: {text}" for one in apart for text in (*one.absent, *one.examples)]
    metadata: dict[str, Any] = {"tables_that_differ": len(apart)}
    if apart:
        metadata |= {
            "differences": dg.MetadataValue.md("\n".join(f"- {text}" for text in told)),
            "next_step": "Build both warehouses from the same sources; if they differ still, compare the SQL that "
            "differs by engine (docs/snowflake.md) for the columns named.",
        }
    return dg.AssetCheckResult(check_name=CHECK, passed=not apart, metadata=metadata)


def _said(one: Comparison) -> str:
    return "equal" if one.equal else "; ".join((*one.absent, *one.examples)) or "different"
