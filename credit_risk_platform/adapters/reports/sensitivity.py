"""How far the PD moves when one input is moved: on the development loans that travel nameless in the bundle."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from credit_risk_platform.domain.bundle import ModelBundle
from credit_risk_platform.domain.models.frame import FeatureTable

STEP = 0.1
"""Each number is raised by a tenth of itself; where it is zero or missing it stays."""


@dataclass(frozen=True)
class Moved:
    """Mean PD before and after one input was raised by a tenth, and the largest change of a single loan."""

    feature: str
    loans: int
    change: float
    largest: float


def sensitivity(bundle: ModelBundle) -> list[Moved]:
    """One line per numeric input, the strongest first; empty for a bundle without background loans."""
    kept = bundle.background
    if kept is None or not kept.rows:
        return []
    before = _pd(bundle, kept)
    moved = [_moved(bundle, kept, before, place) for place in range(len(kept.numeric_names))]
    return sorted(moved, key=lambda one: (-abs(one.change), one.feature))


def _moved(bundle: ModelBundle, frame: FeatureTable, before: np.ndarray, place: int) -> Moved:
    numbers = frame.numeric.copy()
    numbers[:, place] *= 1 + STEP
    change = _pd(bundle, replace(frame, numeric=numbers)) - before
    return Moved(frame.numeric_names[place], frame.rows, float(change.mean()), float(np.abs(change).max(initial=0.0)))


def _pd(bundle: ModelBundle, frame: FeatureTable) -> np.ndarray:
    """PDs (n,)."""
    return np.asarray(bundle.calibrator.apply(bundle.model.predict(frame)))
