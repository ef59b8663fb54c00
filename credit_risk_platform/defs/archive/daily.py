"""Every day's raw events and drift reports, copied to files with checksums."""

import datetime as dt
from pathlib import Path
from typing import Any

import dagster as dg

from credit_risk_platform.adapters import archive, markdown
from credit_risk_platform.adapters.archive_manifest import ArchiveError, DayManifest, manifest_name
from credit_risk_platform.adapters.archive_store import ArchiveStore
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import PORTFOLIO_DAYS, Bronze, Group, Monitoring, Owner
from credit_risk_platform.defs.archive import checks
from credit_risk_platform.settings import Settings

REPORTS = dg.AssetSelection.assets(Monitoring.FEATURE_DRIFT_REPORT, Monitoring.PREDICTION_DRIFT_REPORT)
REPORTS_FOLLOW = (
    dg.AutomationCondition.any_deps_updated().allow(REPORTS) & ~dg.AutomationCondition.in_progress()
).with_label("when_the_day_s_drift_reports_are_made")
"""A day's reports are made hours after its events were archived; then the same day is brought up to date."""
FRESH = dg.FreshnessPolicy.time_window(fail_window=dt.timedelta(hours=50), warn_window=dt.timedelta(hours=26))


@dg.asset(
    key=Monitoring.ARCHIVE_DAILY,
    partitions_def=PORTFOLIO_DAYS,
    deps=[
        Bronze.RAW_APPLICATIONS,
        Bronze.RAW_REPAYMENTS,
        Bronze.RAW_TRANSACTIONS,
        Bronze.LATE_EVENTS,
        Bronze.DEAD_LETTERS,
        Monitoring.FEATURE_DRIFT_REPORT,
        Monitoring.PREDICTION_DRIFT_REPORT,
    ],
    check_specs=checks.ARCHIVE_SPECS,
    automation_condition=REPORTS_FOLLOW,
    freshness_policy=FRESH,
    group_name=Group.ARCHIVE,
    owners=[Owner.DATA],
    kinds={"parquet", "duckdb"},
    code_version="1",
    description=(
        "The raw events that arrived on one UTC day (applications, repayments, transactions, API calls, late events, "
        "dead letters) and the day's drift reports, copied to files with a manifest of checksums. Archiving a day "
        "again changes nothing but what is new. `crp archive restore --day` brings the events back. Nothing is deleted."
    ),
)
def archive_daily(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[DuckLakeWarehouse],
) -> dg.MaterializeResult:
    day = dt.date.fromisoformat(context.partition_key)
    store = ArchiveStore(settings.files("archive"))
    reports = settings.files("reports").below(f"drift/{day.isoformat()}")
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    try:
        archived = archive.archive_day(warehouse, store, reports, day, run_id=context.run.run_id, now=now)
    except ArchiveError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    manifest = archived.manifest
    what = "nothing new" if archived.unchanged else "written"
    context.log.info("%s: %d rows, %d files, %s", day, manifest.rows, len(manifest.files), what)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(manifest.data_version),
        metadata=_metadata(store, manifest, day, archived.unchanged),
        check_results=[
            checks.complete(warehouse, store, manifest, archived.snapshot),
            checks.intact(store, day),
            checks.up_to_date(warehouse, store, day),
        ],
    )


def _metadata(store: ArchiveStore, manifest: DayManifest, day: dt.date, unchanged: bool) -> dict[str, Any]:
    lines = [
        {
            "table": table.table,
            "rows": table.rows,
            "files": len(table.files),
            "bytes": sum(f.bytes for f in table.files),
        }
        for table in manifest.tables
    ]
    reports = [
        {"report": Path(file.name).name, "bytes": file.bytes, "sha256": file.sha256} for file in manifest.reports
    ]
    return {
        "dagster/row_count": manifest.rows,
        "dagster/uri": store.uri,
        "tables": dg.MetadataValue.md(markdown.records(lines)),
        "reports": dg.MetadataValue.md(markdown.records(reports)),
        "bytes": manifest.total_bytes,
        "files": len(manifest.files),
        "manifest": dg.MetadataValue.path(store.location(manifest_name(day))),
        "snapshot": manifest.snapshot,
        "archived_by": manifest.run_id,
        "unchanged": unchanged,
        "restore": f"`crp archive restore --day {day}`",
    }
