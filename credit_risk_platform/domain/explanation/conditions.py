"""Which of its features' conditions a row fails, for every leaf at once: one bit per feature on the leaf's path."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from credit_risk_platform.domain.explanation.forest import Leaves
from credit_risk_platform.domain.models.frame import FeatureTable
from credit_risk_platform.domain.models.preprocessing import Preprocessor

FAILS = np.float32(-np.inf)
"""Below every interval, even an open one. NaN is the opposite: no comparison with it holds, so it fails nowhere."""


@dataclass(frozen=True)
class Conditions:
    """For L leaves with up to D players each, arrays (D, L): a row fails where value `source` is not in (low, high].

    `player` is the place of the feature in the model's list, -1 in slots that a leaf does not use.
    """

    source: np.ndarray
    low: np.ndarray
    high: np.ndarray
    player: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        """Players of each leaf (L,)."""
        return np.asarray((self.player >= 0).sum(axis=0))

    def take(self, leaves: np.ndarray) -> Conditions:
        """The conditions of some leaves, as narrow as they can be."""
        width = int(self.sizes[leaves].max(initial=0))
        parts = (self.source, self.low, self.high, self.player)
        return Conditions(*(np.ascontiguousarray(part[:width, leaves]) for part in parts))

    def failed(self, values: np.ndarray) -> np.ndarray:
        """Bit k of (n, L) int64 is set where the row of `values` (n, v) fails the leaf's condition k."""
        width, leaves = self.source.shape
        narrow = np.uint16 if width <= 16 else np.int64
        masks = np.zeros((values.shape[0], leaves), dtype=narrow)
        for k in range(width):
            found = values.take(self.source[k], axis=1)
            masks |= ((found <= self.low[k]) | (found > self.high[k])).astype(narrow) << narrow(k)
        return masks.astype(np.int64)


class Reader:
    """Rows as the values that conditions look at: each number twice, then one value per condition on a category.

    A missing number is `FAILS` in its first column and NaN, which passes, in its second; a category's value is 0 where
    the level is allowed and `FAILS` where it is not. A last column of zeros serves the unused slots.
    """

    def __init__(self, leaves: Leaves, rules: Preprocessor) -> None:
        self._rules = rules
        self._numbers = [j for j, rule in enumerate(rules.numeric) if not rule.empty]
        self._lookups: list[np.ndarray] = []
        asked = [self._of_numbers(leaves), *self._of_categories(leaves)]
        active, source, player = (np.concatenate(parts, axis=1) for parts in zip(*asked, strict=True))
        self.width = 2 * len(self._numbers) + sum(lookup.shape[1] for lookup in self._lookups)
        self.conditions = self._packed(leaves, active, source, player)

    def values(self, frame: FeatureTable) -> np.ndarray:
        """Float32 (n, width + 1)."""
        found = np.zeros((frame.rows, self.width + 1), dtype=np.float32)
        place = len(self._numbers)
        numbers = frame.numeric[:, self._numbers].astype(np.float32)
        found[:, place : 2 * place] = numbers
        found[:, :place] = np.where(np.isnan(numbers), FAILS, numbers)
        place *= 2
        for rule, column, lookup in zip(self._rules.categorical, frame.categorical, self._lookups, strict=True):
            found[:, place : place + lookup.shape[1]] = lookup[rule.positions(column)]
            place += lookup.shape[1]
        return found

    def _of_numbers(self, leaves: Leaves) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(asks for something, value it looks at, player), each (L, numbers)."""
        active = (leaves.low > -np.inf) | (leaves.high < np.inf) | ~leaves.missing
        count = len(self._numbers)
        source = np.arange(count) + count * leaves.missing
        return active, source, np.broadcast_to(self._numbers, active.shape)

    def _of_categories(self, leaves: Leaves) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        start, place = 0, 2 * len(self._numbers)
        for k, rule in enumerate(self._rules.categorical):
            allowed = leaves.levels[:, start : start + rule.width]
            sets, which = np.unique(allowed, axis=0, return_inverse=True)
            self._lookups.append(np.where(sets.T, np.float32(0), FAILS))
            player = np.full((allowed.shape[0], 1), len(self._rules.numeric) + k)
            found.append((np.asarray(~allowed.all(axis=1, keepdims=True)), place + which.reshape(-1, 1), player))
            start, place = start + rule.width, place + len(sets)
        return found

    def _packed(self, leaves: Leaves, active: np.ndarray, source: np.ndarray, player: np.ndarray) -> Conditions:
        """Only what is asked, moved to the first slots of each leaf."""
        categories = active.shape[1] - leaves.low.shape[1]
        low = np.pad(leaves.low, ((0, 0), (0, categories)), constant_values=-np.inf)
        high = np.pad(leaves.high, ((0, 0), (0, categories)), constant_values=np.inf)
        order = np.argsort(~active, axis=1, kind="stable")[:, : int(active.sum(axis=1).max(initial=0))]
        used = np.take_along_axis(active, order, axis=1)

        def packed(part: np.ndarray, unused: float) -> np.ndarray:
            return np.where(used, np.take_along_axis(part, order, axis=1), part.dtype.type(unused)).T

        return Conditions(packed(source, self.width), packed(low, -np.inf), packed(high, np.inf), packed(player, -1))
