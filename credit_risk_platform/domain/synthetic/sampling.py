"""Stratified sampling: which rows of a loan file stand for the whole."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from credit_risk_platform.domain.synthetic.applicants import Array


def stratified_rows(
    ids: pa.ChunkedArray, vintages: pa.ChunkedArray, outcomes: pa.ChunkedArray, rows: int, seed: int
) -> Array:
    """Positions of a sample with the file's own mix of vintages and, within each vintage, of outcomes.

    Each vintage, then each outcome in it, gets its exact share rounded by largest remainder, so no share is off by
    more than one row. Loans are drawn in the order of their ids: the same loans come out however the file is sorted.

    Args:
        ids, vintages, outcomes: (n,) columns; ids are unique, the other two may hold nulls (a stratum of their own).
        rows: sample size; a file that is no larger is taken whole.
        seed: any non-negative integer.

    Returns:
        (min(rows, n),) ascending positions.

    Raises:
        ValueError: fewer than one row asked for.
    """
    if rows < 1:
        raise ValueError(f"A sample needs at least one row, not {rows}.")
    if rows >= len(ids):
        return np.arange(len(ids))
    vintage, outcome = _codes(vintages), _codes(outcomes)
    counts = np.zeros((vintage.max() + 1, outcome.max() + 1), np.int64)
    np.add.at(counts, (vintage, outcome), 1)
    per_vintage = _largest_remainder(counts.sum(axis=1), rows)
    quota = np.stack([_largest_remainder(*pair) for pair in zip(counts, per_vintage, strict=True)]).ravel()
    stratum = vintage * counts.shape[1] + outcome
    luck = np.empty(len(ids))
    luck[np.asarray(pc.sort_indices(ids))] = np.random.default_rng(seed).random(len(ids))
    order = np.lexsort((luck, stratum))
    place = np.arange(len(ids)) - (np.cumsum(counts.ravel()) - counts.ravel())[stratum[order]]
    return np.sort(order[place < quota[stratum[order]]])


def _codes(column: pa.ChunkedArray) -> Array:
    """Dense codes in the order of the values, nulls last: independent of the order of rows."""
    ranks = pc.rank(column, sort_keys="ascending", tiebreaker="dense")
    return np.asarray(ranks).astype(np.int64) - 1


def _largest_remainder(counts: Array, total: int) -> Array:
    """Share `total` out in proportion to `counts`: floors first, then one each to the largest fractions."""
    exact = counts * (int(total) / max(int(counts.sum()), 1))
    share = np.floor(exact).astype(np.int64)
    rest = np.argsort(share - exact, kind="stable")[: int(total) - int(share.sum())]
    share[rest] += 1
    return share
