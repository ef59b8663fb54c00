"""Trees of any library in one shape, and what each leaf asks of each source feature.

A feature is one player, however many design columns it has: a number and its missing indicator, or all one-hot columns
of a category. On the way to a leaf it must lie in an interval (or be missing), or be of certain levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from credit_risk_platform.domain.models.preprocessing import Preprocessor, Style

LEAF = -1


@dataclass(frozen=True)
class Forest:
    """Nodes of all trees in arrays (m,), `roots` (t,). A node's row goes left if its float32 `column` <= `threshold`.

    NaN goes left where `missing_left`. `left` and `right` are node numbers, `LEAF` at a leaf. The margin of a row is
    `bias` plus the `value` of its leaf in every tree.
    """

    roots: np.ndarray
    column: np.ndarray
    threshold: np.ndarray
    missing_left: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    bias: float

    @classmethod
    def join(cls, trees: Sequence[Forest], bias: float) -> Forest:
        """One forest of several, each numbered from 0."""
        sizes = np.array([tree.column.size for tree in trees])
        starts = np.cumsum(sizes) - sizes

        def linked(name: str) -> np.ndarray:
            parts = [getattr(tree, name) for tree in trees]
            return np.concatenate([np.where(a == LEAF, LEAF, a + k) for a, k in zip(parts, starts, strict=True)])

        def plain(name: str) -> np.ndarray:
            return np.concatenate([getattr(tree, name) for tree in trees])

        return cls(
            linked("roots"), plain("column"), plain("threshold"), plain("missing_left"),
            linked("left"), linked("right"), plain("value"), bias,
        )  # fmt: skip

    @classmethod
    def tree(
        cls, column: np.ndarray, threshold: np.ndarray, missing_left: np.ndarray,
        left: np.ndarray, right: np.ndarray, value: np.ndarray,
    ) -> Forest:  # fmt: skip
        """One tree whose root is node 0."""
        return cls(np.zeros(1, dtype=np.int64), column, threshold, missing_left, left, right, value, 0.0)


@dataclass(frozen=True)
class Leaves:
    """What L leaves ask of `numbers` (P) and of the levels of all categories together (W positions).

    A number must be in (`low`, `high`], float32 (L, P), or missing where `missing` (L, P); a category must have one of
    the positions `levels`, bool (L, W).
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    missing: np.ndarray
    levels: np.ndarray

    def take(self, rows: np.ndarray) -> Leaves:
        return Leaves(self.value[rows], self.low[rows], self.high[rows], self.missing[rows], self.levels[rows])


def leaves_of(forest: Forest, rules: Preprocessor, absent: float) -> Leaves:
    """Walk down all trees a level at a time. `absent` is what one-hot columns hold for 'not this level'."""
    walk = _Walk(forest, rules, absent)
    nodes, asked = forest.roots, walk.nothing(forest.roots.size)
    found = []
    while nodes.size:
        ends = forest.left[nodes] == LEAF
        found.append(asked.take(ends))
        inner, before = nodes[~ends], asked.take(~ends)
        lefts, rights = walk.step(inner, before, True), walk.step(inner, before, False)
        nodes = np.concatenate([forest.left[inner], forest.right[inner]])
        asked = _joined([lefts, rights], forest.value[nodes])
    every = _joined(found, np.concatenate([part.value for part in found]))
    return every.take(_possible(every, rules))


class _Walk:
    def __init__(self, forest: Forest, rules: Preprocessor, absent: float) -> None:
        self.forest, self.rules, self.absent = forest, rules, absent
        names = [rule.name for rule in rules.numbers]
        indicated = [names.index(rule.name) for rule in rules.numeric if rule.indicator]
        self.number = np.array([*range(len(names)), *indicated], dtype=np.int64)
        """Number behind each of the first design columns; what follows are one-hot columns."""
        self.plain = len(names)
        self.fills = np.array([rule.fill for rule in rules.numbers], dtype=np.float32)
        self.group = np.repeat(np.arange(len(rules.categorical)), [rule.width for rule in rules.categorical])

    def nothing(self, rows: int) -> Leaves:
        shape = (rows, self.plain)
        low, high = np.full(shape, -np.inf, np.float32), np.full(shape, np.inf, np.float32)
        value = self.forest.value[self.forest.roots]
        return Leaves(value, low, high, np.ones(shape, bool), np.ones((rows, self.group.size), bool))

    def step(self, nodes: np.ndarray, before: Leaves, left: bool) -> Leaves:
        """What is asked after taking the left or the right branch at each of `nodes`."""
        asked = before.take(np.arange(nodes.size))
        column, limit = self.forest.column[nodes], self.forest.threshold[nodes]
        nan_passes = self.forest.missing_left[nodes] == left
        numbers = np.flatnonzero(column < self.plain)
        indicators = np.flatnonzero((column >= self.plain) & (column < self.number.size))
        one_hot = np.flatnonzero(column >= self.number.size)
        self._number(asked, numbers, column[numbers], limit[numbers], nan_passes[numbers], left)
        self._indicator(asked, indicators, self.number[column[indicators]], limit[indicators], left)
        position = column[one_hot] - self.number.size
        self._one_hot(asked, one_hot, position, limit[one_hot], nan_passes[one_hot], left)
        return asked

    def _number(
        self, asked: Leaves, rows: np.ndarray, place: np.ndarray, limit: np.ndarray, nan: np.ndarray, left: bool
    ) -> None:
        edge = down(limit)
        if left:
            asked.high[rows, place] = np.minimum(asked.high[rows, place], edge)
        else:
            asked.low[rows, place] = np.maximum(asked.low[rows, place], edge)
        passes = nan if self.rules.style is Style.NATIVE else (self.fills[place] <= edge) == left
        asked.missing[rows, place] &= passes

    def _indicator(self, asked: Leaves, rows: np.ndarray, place: np.ndarray, limit: np.ndarray, left: bool) -> None:
        known = (limit >= 0.0) == left
        asked.low[rows, place] = np.where(known, asked.low[rows, place], np.inf)
        asked.missing[rows, place] &= (limit >= 1.0) == left

    def _one_hot(
        self, asked: Leaves, rows: np.ndarray, position: np.ndarray, limit: np.ndarray, nan: np.ndarray, left: bool
    ) -> None:
        others = nan if np.isnan(self.absent) else (limit >= self.absent) == left
        of_same = self.group[position][:, None] == self.group
        of_same[np.arange(rows.size), position] = False
        asked.levels[rows] &= ~of_same | others[:, None]
        asked.levels[rows, position] &= (limit >= 1.0) == left


def down(limit: np.ndarray) -> np.ndarray:
    """The largest float32 not above each float64: a float32 is <= one exactly when it is <= the other."""
    with np.errstate(over="ignore"):
        near = limit.astype(np.float32)
    return np.where(near > limit, np.nextafter(near, np.float32(-np.inf)), near)


def below(limit: np.ndarray) -> np.ndarray:
    """The float32 next under each float32: a float32 is < one exactly when it is <= the other."""
    return np.nextafter(limit.astype(np.float32), np.float32(-np.inf)).astype(np.float64)


def _joined(parts: Sequence[Leaves], value: np.ndarray) -> Leaves:
    names = ("low", "high", "missing", "levels")
    return Leaves(value, *(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _possible(leaves: Leaves, rules: Preprocessor) -> np.ndarray:
    """Leaves that some row could reach: splits on several columns of one feature can contradict each other."""
    numbers = ((leaves.low < leaves.high) | leaves.missing).all(axis=1)
    ends = np.cumsum([rule.width for rule in rules.categorical])
    for rule, end in zip(rules.categorical, ends, strict=True):
        numbers &= leaves.levels[:, end - rule.width : end].any(axis=1)
    return numbers
