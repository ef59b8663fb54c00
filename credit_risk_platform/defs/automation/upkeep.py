"""Upkeep of the lake: micro-batches leave small files, and every write leaves a snapshot."""

import datetime as dt

import dagster as dg

from credit_risk_platform.adapters.landing import tidy
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import BATCH_RUN
from credit_risk_platform.settings import Settings

UNNAMED = dt.timedelta(days=1)
"""So long what a landing left in an object store waits for readers that began before its batch landed anew."""


@dg.op(description="Merge small files, expire snapshots older than a week, delete what nothing refers to any more.")
def merge_and_expire(
    context: dg.OpExecutionContext,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[DuckLakeWarehouse],
) -> None:
    upkeep = warehouse.maintain()
    context.log.info("%d data files before, %d after", upkeep.files_before, upkeep.files_after)
    tidied = tidy(settings.files("lake"), dt.datetime.now(dt.UTC) - UNNAMED)
    counts = {"files_before": upkeep.files_before, "files_after": upkeep.files_after, "unnamed_objects_removed": tidied}
    context.add_output_metadata(counts)


@dg.job(description="Nightly: keeps the lake quick to read. Readers and writers go on meanwhile.", tags=BATCH_RUN)
def lake_upkeep() -> None:
    merge_and_expire()
