"""How sure a share is: confidence intervals."""

from __future__ import annotations

import numpy as np

Z95 = 1.959963984540054


def wilson(rate: np.ndarray, loans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) of the 95 % interval of a share (Wilson 1927): of no bad loans among many it says more than a point.

    NaN in, NaN out; `loans` above zero.
    """
    middle = (rate + Z95**2 / (2 * loans)) / (1 + Z95**2 / loans)
    half = Z95 / (1 + Z95**2 / loans) * np.sqrt(rate * (1 - rate) / loans + Z95**2 / (4 * loans**2))
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)
