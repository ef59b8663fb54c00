"""Which events of a batch came before: in an earlier batch, or earlier in this one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from credit_risk_platform.adapters.streaming.judgement import EVENT_IDS
from credit_risk_platform.adapters.warehouse.base import Warehouse


def known_events(warehouse: Warehouse, table: str, records: pa.Table) -> pa.Array:
    """Ids of events in `records`, messages as read, that `table` holds: of sound ones and of others alike.

    It needs no judgement, so it is asked beside it: each takes as long as the other.
    """
    with warehouse.workspace() as workspace:
        workspace.stage("messages", records.select(["value"]))
        asked = EVENT_IDS.format(messages="messages")
        found = workspace.query(f"select distinct event_id from {table} semi join ({asked}) using (event_id)")
    return found["event_id"].combine_chunks()


def without_repeats(accepted: pa.Table, known: pa.Array) -> tuple[pa.Table, pa.Table]:
    """(events seen for the first time, those that are `known` or that an earlier message of the batch brought)."""
    by_age = pc.sort_indices(
        accepted.select(["kafka_time", "partition", "offset"]),
        sort_keys=[(name, "ascending") for name in ("kafka_time", "partition", "offset")],
    )
    events = accepted["event_id"].combine_chunks()
    _, oldest = np.unique(events.take(by_age).dictionary_encode().indices.to_numpy(), return_index=True)
    first = np.zeros(len(events), dtype=bool)
    first[by_age.to_numpy()[oldest]] = True
    fresh = pc.and_(pa.array(first), pc.invert(pc.is_in(events, value_set=known.cast(events.type))))
    if pc.all(fresh).as_py():
        return accepted, accepted.slice(0, 0)
    return accepted.filter(fresh), accepted.filter(pc.invert(fresh))
