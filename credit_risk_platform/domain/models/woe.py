"""Bins and their weight of evidence: which bin a value falls into, and what the bin tells of good and bad loans.

WOE = ln(share of all good loans / share of all bad loans): positive where loans are better than the book. Where the
cuts lie is decided in `woe_binning`; nothing here needs more than numpy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise
from typing import Any

import numpy as np

MIN_ROWS = 20
"""A bin of fewer training loans, or without good or without bad ones, is neutral: WOE 0, as the whole book."""
MISSING, OTHER = "missing", "rare or never seen"


@dataclass(frozen=True)
class NumberBins:
    """[-inf, e0), [e0, e1), ... [ek, inf); then a bin for each special code; the last bin is missing."""

    edges: tuple[float, ...]
    codes: tuple[float, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        if not self.edges:
            ordinary = ["any value"]
        else:
            inner = [f"{lower:.6g} to < {upper:.6g}" for lower, upper in pairwise(self.edges)]
            ordinary = [f"< {self.edges[0]:.6g}", *inner, f">= {self.edges[-1]:.6g}"]
        return (*ordinary, *(f"code {code:g}" for code in self.codes), MISSING)

    @property
    def neutral(self) -> tuple[int, ...]:
        """Bins that are neutral whatever they hold."""
        return ()

    def indices(self, values: np.ndarray) -> np.ndarray:
        """Bin of each value, int64 (n,); NaN is missing."""
        found = np.searchsorted(np.asarray(self.edges), values, side="right")
        first = len(self.edges) + 1
        for place, code in enumerate(self.codes, start=first):
            found[values == code] = place
        found[np.isnan(values)] = first + len(self.codes)
        return found

    def to_dict(self) -> dict[str, Any]:
        return {"edges": list(self.edges), "codes": list(self.codes)}


@dataclass(frozen=True)
class LevelBins:
    """Groups of levels, then `other`, then missing. `levels` are those of the preprocessor, in its order."""

    groups: tuple[tuple[str, ...], ...]
    levels: tuple[str, ...]

    def __post_init__(self) -> None:
        if sorted(chain(*self.groups)) != sorted(self.levels):
            raise ValueError(f"groups {self.groups} must hold each of the levels {self.levels} once")

    @property
    def labels(self) -> tuple[str, ...]:
        return (*(", ".join(group) for group in self.groups), OTHER, MISSING)

    @property
    def neutral(self) -> tuple[int, ...]:
        """`other`: what was too rare to learn from, or never seen, must neither help nor harm an applicant."""
        return (len(self.groups),)

    def indices(self, values: np.ndarray) -> np.ndarray:
        """Bin of each level position (n,), as `CategoricalRule.positions` gives them."""
        return self._bin_of_position[values.astype(np.int64)]

    @cached_property
    def _bin_of_position(self) -> np.ndarray:
        home = {level: place for place, group in enumerate(self.groups) for level in group}
        kept = [home[level] for level in self.levels]
        return np.asarray([*kept, len(self.groups), len(self.groups) + 1], dtype=np.int64)

    def to_dict(self) -> dict[str, Any]:
        return {"groups": [list(group) for group in self.groups], "levels": list(self.levels)}


Bins = NumberBins | LevelBins


def bins_from(content: Mapping[str, Any]) -> Bins:
    """The inverse of `to_dict`."""
    if "edges" in content:
        return NumberBins(tuple(content["edges"]), tuple(content["codes"]))
    return LevelBins(tuple(tuple(group) for group in content["groups"]), tuple(content["levels"]))


@dataclass(frozen=True)
class Binned:
    """A feature with its bins and what training showed in them; one entry per bin in `rows`, `bads` and `woe`."""

    feature: str
    bins: Bins
    rows: tuple[int, ...]
    bads: tuple[int, ...]
    woe: tuple[float, ...]
    iv: float

    @classmethod
    def count(cls, feature: str, bins: Bins, values: np.ndarray, y: np.ndarray) -> Binned:
        """Count `values` (n,) with labels `y` (n,), 1 = bad, into `bins`."""
        where, size = bins.indices(values), len(bins.labels)
        rows = np.bincount(where, minlength=size)
        bads = np.bincount(where, weights=y, minlength=size).astype(np.int64)
        woe, iv = weight_of_evidence(rows, bads, bins.neutral)
        return cls(feature, bins, tuple(rows.tolist()), tuple(bads.tolist()), tuple(woe.tolist()), iv)


def weight_of_evidence(rows: np.ndarray, bads: np.ndarray, neutral: tuple[int, ...] = ()) -> tuple[np.ndarray, float]:
    """(WOE of each bin float64 (k,), information value) from loans and bad loans per bin.

    Neutral bins and those that tell nothing (see `MIN_ROWS`) have WOE 0 and add nothing to the information value.
    """
    goods = rows - bads
    share_good, share_bad = goods / goods.sum(), bads / bads.sum()
    telling = (rows >= MIN_ROWS) & (goods > 0) & (bads > 0)
    telling[list(neutral)] = False
    woe = np.zeros(rows.size)
    woe[telling] = np.log(share_good[telling] / share_bad[telling])
    return woe, float(np.sum((share_good - share_bad) * woe))
