"""Which events of a batch came before: in an earlier batch, or earlier in this one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from credit_risk_platform.adapters.streaming.judgement import EVENT_IDS
from credit_risk_platform.adapters.streaming.memory import Memory
from credit_risk_platform.adapters.warehouse.base import Warehouse


class Repeats:
    """Events of one table. A process that stays comes to remember them, and asks no more while it writes alone."""

    def __init__(self, warehouse: Warehouse, table: str) -> None:
        self.warehouse, self.table = warehouse, table
        self._memory = Memory()
        self._complete_at: str | None = None

    @property
    def asks(self) -> bool:
        """Whether a batch is looked up in the table now."""
        return not self._memory.ready

    def remembers(self, state: str | None) -> bool:
        """Whether `among` can tell, given that `state` is what this process last made of the warehouse."""
        if self._memory.due and state is not None and self.warehouse.snapshot() == state:
            with self.warehouse.stream(f"select event_id from {self.table}") as batches:
                self._memory.fill(batches)
            # Whoever came in between is not among them.
            self._complete_at = state if self.warehouse.snapshot() == state else None
        return self._memory.ready and state is not None and self._complete_at == state

    def among(self, accepted: pa.Table, records: pa.Table) -> pa.Array:
        """As `ask`, which it does only if an event of `accepted` looks familiar."""
        return self.ask(records) if self._memory.may_hold(accepted["event_id"]) else pa.nulls(0, pa.string())

    def ask(self, records: pa.Table) -> pa.Array:
        """`known_events`."""
        return known_events(self.warehouse, self.table, records)

    def moved(self, before: str, after: str) -> None:
        """This process made the state `after` of `before`, and changed no rows."""
        if self._complete_at == before:
            self._complete_at = after

    def wrote(self, accepted: pa.Table, state: str, *, undisturbed: bool) -> None:
        """`accepted` went in, which made `state`; `undisturbed`: nobody else has written since the batch before."""
        self._memory.wrote(accepted["event_id"], undisturbed=undisturbed)
        if undisturbed and self._complete_at is not None:
            self._complete_at = state


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
