"""Where the cuts of a scorecard's bins lie: found by optbinning, in training only. Predicting never comes here."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from credit_risk_platform.domain.models.base import ModelError
from credit_risk_platform.domain.models.woe import LevelBins, NumberBins

MAX_PREBINS = 20
TREND = {1: "ascending", -1: "descending", 0: "auto"}
"""optbinning's words for a bad rate that rises with the number, falls with it, or goes as the data say."""
NEVER = 3_600.0
"""Seconds for one feature, which takes some 0.05: a limit that a busy machine could reach would change the bins."""
NOTICE = "Encountered unexpected exception importing solver HIGHS"


def number_bins(
    feature: str,
    values: np.ndarray,
    y: np.ndarray,
    *,
    monotone: int,
    max_bins: int,
    min_bin_share: float,
    codes: Sequence[float] = (),
) -> NumberBins:
    """The cuts with the highest information value under the expected direction of the bad rate.

    `values` float64 (n,), NaN = missing; `min_bin_share` is of all n rows. Special codes and missing values get bins
    of their own and take no part. The same rows give the same cuts.
    """
    special = tuple(float(code) for code in codes)
    ordinary = ~(np.isnan(values) | np.isin(values, special))
    if np.unique(values[ordinary]).size < 2:
        return NumberBins((), special)
    options = {"dtype": "numerical", "monotonic_trend": TREND[monotone], "special_codes": list(special) or None}
    found = _optimal(feature, values, y, max_bins, min_bin_share, **options)
    return NumberBins(tuple(float(edge) for edge in found.splits), special)


def level_bins(
    feature: str, positions: np.ndarray, y: np.ndarray, levels: tuple[str, ...], *, max_bins: int, min_bin_share: float
) -> LevelBins:
    """Levels of like bad rates, together. `positions` (n,) as `CategoricalRule.positions` gives them."""
    known = positions < len(levels)
    # optbinning takes the smallest bin as a share of the rows it sees: here, those that have a level.
    share = min_bin_share * positions.size / max(int(np.count_nonzero(known)), 1)
    if len(levels) < 2 or share > 0.5:
        return LevelBins((levels,) if levels else (), levels)
    options = {"dtype": "categorical", "monotonic_trend": "ascending"}
    found = _optimal(feature, positions[known].astype(np.int64), y[known], max_bins, share, **options)
    groups = [tuple(sorted(levels[int(position)] for position in group)) for group in found.splits]
    return LevelBins(tuple(groups), levels)


def _optimal(feature: str, x: np.ndarray, y: np.ndarray, max_bins: int, share: float, **options: Any) -> Any:
    with _without_highs_notice():
        from optbinning import OptimalBinning

    binning = OptimalBinning(
        name=feature, max_n_prebins=MAX_PREBINS, max_n_bins=max_bins, min_prebin_size=share, min_bin_size=share,
        time_limit=NEVER, random_state=0, **options,
    ).fit(x, y.astype(np.int64))  # fmt: skip
    # Infeasible: fewer ordinary values than the smallest bin may hold, so they all share one.
    if binning.status not in ("OPTIMAL", "INFEASIBLE"):
        raise ModelError(f"binning of {feature} ended as {binning.status}: the bins would differ from run to run")
    return binning


@contextlib.contextmanager
def _without_highs_notice() -> Iterator[None]:
    """Drop one line of a library that nobody here uses.

    optbinning loads cvxpy, whose HIGHS solver clashes with the one inside OR-tools; cvxpy logs that and goes on.
    """
    logger = logging.getLogger("__cvxpy__")
    logger.addFilter(_is_not_the_notice)
    try:
        yield
    finally:
        logger.removeFilter(_is_not_the_notice)


def _is_not_the_notice(record: logging.LogRecord) -> bool:
    return NOTICE not in record.getMessage()
