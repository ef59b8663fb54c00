"""The scale of scorecard points: 600 stand for odds of 50 good to 1 bad, 20 more double the odds (Siddiqi)."""

from __future__ import annotations

import numpy as np

POINTS_FACTOR = 28.85390081777927
"""PDO / ln 2 with PDO = 20."""
POINTS_OFFSET = 487.1228762045055
"""600 - factor * ln 50."""


def points(pd: np.ndarray) -> np.ndarray:
    """Scorecard points of a PD: 600 at 50:1, 20 more when the odds double. PD 2 % -> 599.417073."""
    return POINTS_OFFSET + POINTS_FACTOR * np.log((1.0 - pd) / pd)
