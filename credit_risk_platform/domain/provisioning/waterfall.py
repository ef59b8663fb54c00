"""Why the allowance moved since the month before: one cause after the other, loan by loan, by computing it again.

Sequential substitution, in this order: what was booked, with the data known now (data restatement); loans that left;
loans that stayed, measured on the new day (stage moves, remeasurement); loans that came; then the PD models, the LGD
model and the scenarios of today take the place of those of then. Each bar is the difference of two computed figures,
so the bars sum to the change whatever the causes are; another order would share them out differently.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

OPENING, CLOSING = "opening", "closing"
NEW, LEFT, MOVES, REMEASURED = "new business", "derecognised", "stage moves", "remeasurement"
PD, LGD, SCENARIO, RESTATED = "PD model", "LGD model", "scenario", "data restatement"
BARS = (NEW, LEFT, MOVES, REMEASURED, PD, LGD, SCENARIO, RESTATED)
STEPS = (OPENING, *BARS, CLOSING)
"""In the order in which they are shown."""


@dataclass(frozen=True)
class Measured:
    """The allowance per loan (n,) in money, NaN where the loan was not on the book; n is every loan of either day.

    Attributes:
        booked: as it was booked the month before.
        then: the month before, with the data known now and the models and scenarios of then.
        stage_then: its stage in `then`, 0 where it was not on the book.
        now: on the day, with the models and scenarios of then.
        stage_now: its stage in `now`.
        pd: as `now`, with the PD models of the day.
        lgd: as `pd`, with the LGD model of the day.
        closing: as `lgd`, with the scenarios of the day.
    """

    booked: Floats
    then: Floats
    stage_then: npt.NDArray[np.int64]
    now: Floats
    stage_now: npt.NDArray[np.int64]
    pd: Floats
    lgd: Floats
    closing: Floats


def movements(of: Measured) -> dict[str, Floats]:
    """Bar -> what it moved per loan (n,), in money."""
    booked, then, now, pd, lgd, closing = (
        np.nan_to_num(one) for one in (of.booked, of.then, of.now, of.pd, of.lgd, of.closing)
    )
    was, is_on = ~np.isnan(of.then), ~np.isnan(of.now)
    stayed, change = was & is_on, now - then
    moved = of.stage_then != of.stage_now
    return {
        NEW: np.where(is_on & ~was, now, 0.0),
        LEFT: np.where(was & ~is_on, -then, 0.0),
        MOVES: np.where(stayed & moved, change, 0.0),
        REMEASURED: np.where(stayed & ~moved, change, 0.0),
        PD: pd - now,
        LGD: lgd - pd,
        SCENARIO: closing - lgd,
        RESTATED: then - booked,
    }


def steps(of: Measured, moved: Mapping[str, Floats]) -> dict[str, float]:
    """Step -> amount in money, in the order of `STEPS`."""
    return {
        OPENING: float(np.nansum(of.booked)),
        **{bar: float(moved[bar].sum()) for bar in BARS},
        CLOSING: float(np.nansum(of.closing)),
    }
