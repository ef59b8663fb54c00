"""Upkeep of the lake: micro-batches leave small files, and every write leaves a snapshot."""

import dagster as dg

from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import BATCH_RUN


@dg.op(description="Merge small files, expire snapshots older than a week, delete what nothing refers to any more.")
def merge_and_expire(context: dg.OpExecutionContext, warehouse: dg.ResourceParam[DuckLakeWarehouse]) -> None:
    upkeep = warehouse.maintain()
    context.log.info("%d data files before, %d after", upkeep.files_before, upkeep.files_after)
    context.add_output_metadata({"files_before": upkeep.files_before, "files_after": upkeep.files_after})


@dg.job(description="Nightly: keeps the lake quick to read. Readers and writers go on meanwhile.", tags=BATCH_RUN)
def lake_upkeep() -> None:
    merge_and_expire()
