"""Which upstream events a score was made from, looked up per partition.

Dagster's own input pointer is wrong for partitions: it names the *latest* upstream event whatever partition it belongs
to (feature map 4.1; dagster#18971). So the pointers are looked up here, and copied: the event log may be pruned.
"""

import json
from collections.abc import Sequence
from typing import Any

import dagster as dg

from credit_risk_platform.adapters.code_version import code_hash, git_commit
from credit_risk_platform.adapters.ledger_writer import Stamp

DATA_VERSION = "dagster/data_version"
CODE_VERSION = "dagster/code_version"


def upstream_provenance(
    context: dg.AssetExecutionContext, deps: Sequence[dg.AssetKey] | None = None
) -> list[dict[str, Any]]:
    """The latest materialisation of every upstream asset, of exactly the partitions this run depends on.

    One entry per asset and partition (`None` when unpartitioned), sorted; fields are `None` where Dagster has no
    record, as for an asset that was never materialised. `deps` limits it to some keys.
    """
    found = []
    for input_name, key in context.assets_def.keys_by_input_name.items():
        if key in context.assets_def.keys or (deps is not None and key not in deps):
            continue
        found += [_pointer(context.instance, key, partition) for partition in _partitions(context, input_name, key)]
    return sorted(found, key=lambda pointer: (pointer["asset"], pointer["partition"] or ""))


def stamp_of(context: dg.AssetExecutionContext, upstream: Sequence[dict[str, Any]]) -> Stamp:
    """What every ledger row of this run carries. `known_at` is when the run began, in UTC without a zone."""
    record = context.instance.get_run_record_by_id(context.run.run_id)
    created = record.create_timestamp if record else None
    if created is None:
        raise dg.Failure(f"run {context.run.run_id} has no record in this instance", allow_retries=False)
    return Stamp(
        known_at=created.replace(tzinfo=None),
        run_id=context.run.run_id,
        upstream=json.dumps(list(upstream), sort_keys=True, separators=(",", ":")),
        git_commit=git_commit(),
        code_hash=code_hash(),
    )


def _partitions(context: dg.AssetExecutionContext, input_name: str, key: dg.AssetKey) -> Sequence[str | None]:
    if context.job_def.asset_layer.get(key).partitions_def is None:
        return [None]
    return context.asset_partition_keys_for_input(input_name)


def _pointer(instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None) -> dict[str, Any]:
    wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[partition] if partition is not None else None)
    records = instance.fetch_materializations(wanted, limit=1).records
    event = records[0] if records else None
    tags = event.asset_materialization.tags or {} if event and event.asset_materialization else {}
    return {
        "asset": key.to_user_string(),
        "partition": partition,
        "storage_id": event.storage_id if event else None,
        "run_id": event.run_id if event else None,
        "data_version": tags.get(DATA_VERSION),
        "code_version": tags.get(CODE_VERSION),
    }
