"""Exact interventional TreeSHAP, compiled once: explaining rows is comparing, looking up and adding.

Leaves with few features on their path have tables of every case (`tables`). The rest, so that memory stays bounded, is
worked out against the background loan by loan. Nothing of the library that grew the trees is needed.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from credit_risk_platform.domain.explanation.conditions import Conditions, Reader
from credit_risk_platform.domain.explanation.explainer import Explainer
from credit_risk_platform.domain.explanation.forest import Forest, leaves_of
from credit_risk_platform.domain.explanation.tables import leaf_tables, popcount, weights
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.models.preprocessing import Preprocessor

TABLE_PLAYERS = 12
TABLE_CASES = 1 << 23
"""At 16 bytes a case, 128 MB of tables at most; leaves with the fewest players come first."""
PART_LEAVES = 4_096
"""Every leaf of a part has as many slots as its largest one: parts of like leaves waste fewer."""
CELLS = 1 << 18
"""Numbers worked on at once: two megabytes, which the cache holds."""
BLOCK_ROWS = 4_096
CELL_COPIES = 4
"""Numbers in work per case while a table is made."""


class TreeExplainer(Explainer):
    """Of a forest on rows prepared by `rules`; `absent` is what its one-hot columns hold for 'not this level'."""

    def __init__(self, forest: Forest, rules: Preprocessor, absent: float, background: FeatureTable) -> None:
        self.features = rules.features
        leaves = leaves_of(forest, rules, absent)
        self._reader = Reader(leaves, rules)
        self._bias = forest.bias
        everywhere, sizes = self._reader.conditions, self._reader.conditions.sizes
        order = np.argsort(sizes, kind="stable")
        tabled = (sizes[order] <= TABLE_PLAYERS) & (np.cumsum(2.0 ** sizes[order]) <= TABLE_CASES)
        # Most players first: each table then starts at a multiple of its own size, and bits can be set in its address.
        few, many = order[tabled][::-1], order[~tabled]
        known = self._reader.values(background)
        runs: list[tuple[type[_Tabled | _Direct], np.ndarray]] = [
            *((_Tabled, run) for run in np.array_split(few, few.size // PART_LEAVES + 1)), (_Direct, many)
        ]  # fmt: skip
        self._parts = [
            kind(everywhere.take(run), leaves.value[run], known, self.features) for kind, run in runs if run.size
        ]
        self.base = float(self.margin(background).mean())

    def contributions(self, frame: FeatureTable) -> np.ndarray:
        found = np.zeros((frame.rows, len(self.features)))
        for start, values in self._blocks(frame):
            for part in self._parts:
                for rows in _chunks(len(values), part.cells):
                    found[start:][rows] += part.contributions(values[rows])
        return found

    def margin(self, frame: FeatureTable) -> np.ndarray:
        found = np.full(frame.rows, self._bias)
        for start, values in self._blocks(frame):
            for part in self._parts:
                for rows in _chunks(len(values), part.conditions.source.size):
                    reached = part.conditions.failed(values[rows]) == 0
                    found[start:][rows] += np.where(reached, part.value, 0.0).sum(axis=1)
        return found

    def _blocks(self, frame: FeatureTable) -> Iterator[tuple[int, np.ndarray]]:
        """(first row, values) of a few thousand rows at a time: there may be a thousand values to a row."""
        for k, block in enumerate(frame.chunks(BLOCK_ROWS)):
            yield k * BLOCK_ROWS, self._reader.values(block)


class _Tabled:
    """Leaves in order of falling size, each with its two tables."""

    def __init__(self, conditions: Conditions, value: np.ndarray, known: np.ndarray, features: tuple[str, ...]) -> None:
        self.conditions, self.value, self.cells = conditions, value, conditions.source.size
        cases = 1 << conditions.sizes
        self._start = np.cumsum(cases) - cases
        self._bits = (conditions.player >= 0) * (1 << np.arange(conditions.player.shape[0]))[:, None]
        self._sum = _PerPlayer(conditions.player, len(features))
        self._f, self._g = self._compiled(cases, known)

    def contributions(self, values: np.ndarray) -> np.ndarray:
        """(n, p)."""
        case = self.conditions.failed(values) + self._start
        without = self._f.take(case)
        found = np.empty((case.shape[0], *self._bits.shape))
        for k, bit in enumerate(self._bits):
            np.subtract(without, self._g.take(case | bit), out=found[:, k])
        return self._sum(found)

    def _compiled(self, cases: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        met = (self.conditions.failed(known) + self._start).reshape(-1)
        counts = np.bincount(met, minlength=int(cases.sum())) / known.shape[0]
        f, g = np.empty(counts.size), np.empty(counts.size)
        for size in np.unique(cases):
            alike = np.flatnonzero(cases == size)
            for block in _chunks(alike.size, CELL_COPIES * int(size)):
                leaves = alike[block]
                cut = slice(int(self._start[leaves[0]]), int(self._start[leaves[-1]] + size))
                tables = leaf_tables(counts[cut].reshape(-1, size), self.value[leaves])
                f[cut], g[cut] = (table.reshape(-1) for table in tables)
        return f, g


class _Direct:
    """Leaves with more players than a table can hold, against every background loan."""

    def __init__(self, conditions: Conditions, value: np.ndarray, known: np.ndarray, features: tuple[str, ...]) -> None:
        self.conditions, self.value = conditions, value
        self._loans = conditions.failed(known).T
        self.cells = self._loans.size
        self._gain, self._loss = weights(conditions.source.shape[0])
        self._sum = _PerPlayer(conditions.player, len(features))

    def contributions(self, values: np.ndarray) -> np.ndarray:
        """(n, p)."""
        failed = self.conditions.failed(values)
        apart = (failed[:, :, None] & self._loans) == 0
        a, b = popcount(self._loans), popcount(failed)[:, :, None]
        gain = np.where(apart, self._gain[a, b], 0.0)
        loss = np.where(apart, self._loss[a, b], 0.0).sum(axis=2)
        scale = self.value / self._loans.shape[1]
        found = np.empty((failed.shape[0], *self.conditions.source.shape))
        for k in range(found.shape[1]):
            gained = np.where(self._loans >> k & 1, gain, 0.0).sum(axis=2)
            found[:, k] = scale * (gained - (failed >> k & 1) * loss)
        return self._sum(found)


class _PerPlayer:
    """Adds up (n, D, L) per player, unused slots left out."""

    def __init__(self, player: np.ndarray, players: int) -> None:
        flat = player.reshape(-1)
        self._slots = np.argsort(flat, kind="stable")[int((flat < 0).sum()) :]
        self._named, self._starts = np.unique(flat[self._slots], return_index=True)
        self._players = players

    def __call__(self, slots: np.ndarray) -> np.ndarray:
        found = np.zeros((slots.shape[0], self._players))
        if self._named.size:
            ordered = slots.reshape(slots.shape[0], -1).take(self._slots, axis=1)
            found[:, self._named] = np.add.reduceat(ordered, self._starts, axis=1)
        return found


def _chunks(rows: int, cells_per_row: int) -> Iterator[slice]:
    step = max(1, CELLS // max(1, cells_per_row))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
