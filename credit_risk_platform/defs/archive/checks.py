"""Is everything that arrived in the archive, are its files what they were, and which earlier days are behind."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import dagster as dg

from credit_risk_platform.adapters import archive, archive_restore, markdown
from credit_risk_platform.adapters.archive_manifest import DayManifest
from credit_risk_platform.adapters.archive_store import ArchiveStore
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import Monitoring

LOOK_BACK_DAYS = 7
"""As long as the upkeep keeps snapshots, and longer than a warehouse that is down keeps calls waiting."""

ARCHIVE_SPECS = [
    dg.AssetCheckSpec("archive_complete", asset=Monitoring.ARCHIVE_DAILY, blocking=True,
        description="Every row that arrived on the day is in the archived files with the same values, and no other."),
    dg.AssetCheckSpec("archive_intact", asset=Monitoring.ARCHIVE_DAILY, blocking=True,
        description="The day's files, read again, have the bytes, checksums and row counts of the manifest."),
    dg.AssetCheckSpec("archive_up_to_date", asset=Monitoring.ARCHIVE_DAILY,
        description=f"The {LOOK_BACK_DAYS} days before are archived with as many rows as the tables hold now."),
]  # fmt: skip


def complete(warehouse: Warehouse, store: ArchiveStore, manifest: DayManifest, snapshot: str) -> dg.AssetCheckResult:
    """Rows in = rows archived, value by value."""
    compared = archive_restore.compare(warehouse, store, manifest, snapshot)
    unlike = [one for one in compared if not one.equal]
    metadata: dict[str, Any] = {
        "rows_in": sum(one.in_lake for one in compared),
        "rows_archived": sum(one.archived for one in compared),
        "tables": dg.MetadataValue.md(markdown.records([vars(one) for one in compared])),
    }
    if unlike:
        metadata["unequal"] = ", ".join(one.table for one in unlike)
    return _result("archive_complete", not unlike, metadata, "Materialise this partition again. If it stays red, the "
        "tables named changed while they were read: look for who rewrites bronze.")  # fmt: skip


def intact(store: ArchiveStore, day: dt.date) -> dg.AssetCheckResult:
    problems = archive.verify(store, day)
    return _result("archive_intact", not problems, {"problems": "\n".join(problems) or "none"},
        "Materialise this partition again: files that are not what they were are written anew.")  # fmt: skip


def up_to_date(warehouse: Warehouse, store: ArchiveStore, day: dt.date) -> dg.AssetCheckResult:
    behind = archive_restore.out_of_date(warehouse, store, day, LOOK_BACK_DAYS)
    metadata = {"days": ", ".join(sorted({one["day"] for one in behind})) or "none",
                "behind": dg.MetadataValue.md(markdown.records(behind))}  # fmt: skip
    return _result("archive_up_to_date", not behind, metadata, "Materialise the partitions named under days.",
        dg.AssetCheckSeverity.WARN)  # fmt: skip


def _result(
    name: str,
    passed: bool,
    metadata: Mapping[str, Any],
    next_step: str,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
    asset: dg.AssetKey = Monitoring.ARCHIVE_DAILY,
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=asset,
        passed=passed,
        severity=severity,
        metadata={**metadata, **({} if passed else {"next_step": next_step})},
    )
