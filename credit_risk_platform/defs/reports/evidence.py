"""The event behind a number: looked up per asset and partition, and copied, since the event log may be pruned."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from credit_risk_platform.adapters.reports.shelf import Evidence
from credit_risk_platform.upstream import DATA_VERSION


def look_up(instance: dg.DagsterInstance, dagster_url: str) -> Callable[[Sequence[str]], Evidence]:
    """Sources such as `gold/loan_ecl@2026-06-30` to their latest events; `None` where there is no such event."""

    def found(sources: Sequence[str]) -> Evidence:
        return {source: _event(instance, dagster_url, source) for source in sources}

    return found


def _event(instance: dg.DagsterInstance, dagster_url: str, source: str) -> dict[str, Any] | None:
    asset, _, partition = source.partition("@")
    record = _latest(instance, dg.AssetKey(asset.split("/")), partition or None)
    if record is None or record.asset_materialization is None:
        return None
    tags = record.asset_materialization.tags or {}
    # The page of the asset opens at the event by its time in milliseconds.
    return {
        "storage_id": record.storage_id,
        "run_id": record.run_id,
        "data_version": tags.get(DATA_VERSION),
        "at": datetime.fromtimestamp(record.timestamp, UTC).isoformat(),
        "url": f"{dagster_url}/assets/{asset}?view=events&time={int(record.timestamp * 1000)}",
        "run_url": f"{dagster_url}/runs/{record.run_id}",
    }


def _latest(instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None) -> dg.EventLogRecord | None:
    """The latest event of that partition; of an asset without partitions its latest one, whatever was asked for."""
    for wanted in dict.fromkeys([partition, None]):
        keys = [wanted] if wanted is not None else None
        records = instance.fetch_materializations(dg.AssetRecordsFilter(key, asset_partitions=keys), limit=1).records
        if records and records[0].partition_key == wanted:
            return records[0]
    return None
