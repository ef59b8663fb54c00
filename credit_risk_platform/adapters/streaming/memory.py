"""Keys of a table, kept by a process that stays: to ask itself takes no time, to ask the table opens its files.

Complete as of this process's last commit and no longer: who uses it must look whether somebody else has written since.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import duckdb
import numpy as np
import pyarrow as pa

QUIET_BATCHES = 16
"""Batches in a row between which nobody else wrote, before the table is read into memory."""
LONGEST_QUIET = 4_096
"""Each time somebody does write twice as many are waited for, up to these."""
MOST_KEYS = 20_000_000
"""Eight bytes each. A table that holds more is asked every time."""
_LOOSE, NEVER = 50_000, 2**62


class Memory:
    """Hashes of the keys. It may take a new key for a known one, once in 10^11 for a million keys; never otherwise."""

    def __init__(self) -> None:
        self._wanted, self._quiet = QUIET_BATCHES, 0
        self._sorted: np.ndarray | None = None
        self._loose: set[int] = set()

    @property
    def ready(self) -> bool:
        return self._sorted is not None

    @property
    def due(self) -> bool:
        """Whether `fill` is worth its time now."""
        return self._sorted is None and self._quiet >= self._wanted

    def fill(self, keys: Iterable[pa.RecordBatch]) -> None:
        """All keys there are: the first column of each batch. Of too many it keeps none, and asks no more."""
        found, count = [np.empty(0, dtype=np.uint64)], 0
        for batch in keys:
            count += batch.num_rows
            if count > MOST_KEYS:
                self._quiet, self._wanted = 0, NEVER
                return
            found.append(self._hashes(batch.column(0)))
        self._sorted, self._loose = np.unique(np.concatenate(found)), set()

    def may_hold(self, keys: pa.ChunkedArray) -> bool:
        """Whether any of `keys` may be among them; False is certain. Only when `ready`."""
        assert self._sorted is not None
        hashes = self._hashes(keys)
        places = np.searchsorted(self._sorted, hashes).clip(max=max(self._sorted.size - 1, 0))
        among = self._sorted.size > 0 and bool((self._sorted[places] == hashes).any())
        return among or not self._loose.isdisjoint(hashes.tolist())

    def wrote(self, keys: pa.ChunkedArray, *, undisturbed: bool) -> None:
        """A batch with these keys went in; `undisturbed`: nobody else has written since the one before."""
        if not undisturbed:
            self.forget()
            return
        self._quiet += 1
        if self._sorted is not None:
            self._loose.update(self._hashes(keys).tolist())
            if len(self._loose) > _LOOSE:
                loose = np.fromiter(self._loose, dtype=np.uint64)
                self._sorted, self._loose = np.union1d(self._sorted, loose), set()

    def forget(self) -> None:
        """Somebody else wrote: what is remembered may not be all."""
        if self._sorted is not None:
            self._wanted = min(self._wanted * 2, LONGEST_QUIET)
        self._sorted, self._loose, self._quiet = None, set(), 0

    def _hashes(self, keys: pa.Array | pa.ChunkedArray) -> np.ndarray:
        self._engine.register("given", pa.table({"key": keys}))
        return self._engine.execute("select hash(key) as h from given").to_arrow_table()["h"].to_numpy()

    @cached_property
    def _engine(self) -> duckdb.DuckDBPyConnection:
        engine = duckdb.connect()
        engine.execute("set threads = 1")
        return engine
