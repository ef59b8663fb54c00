"""IFRS 9 stages: how much of a loan's life the allowance covers, by one rule, with the reason in words."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

DEFAULT_DAYS = 90
"""Default no later than 90 days past due (IFRS 9 B5.5.37)."""

BACKSTOP_DAYS = 30
"""More than 30 days past due is a significant increase in credit risk (IFRS 9 5.5.11); 30 is not more than 30."""

SICR_RATIO, SICR_INCREASE = 2.0, 0.02
"""Significant increase: the lifetime PD has at least doubled since origination, and is up by 2 percentage points.

The second condition keeps a loan whose PD went from 0.2 to 0.4 % in stage 1. Both are compared with what was expected
*at origination for the same remaining life* (IFRS 9 5.5.9), never with last month."""


class Reason(IntEnum):
    """Why a loan is in its stage. The order is that of the rule: the first that holds is told."""

    PAST_DUE_90 = 0
    IN_DEFAULT = 1
    PAST_DUE_30 = 2
    CURED = 3
    PD_RISEN = 4
    NO_INCREASE = 5


STAGE_OF = np.array([3, 3, 2, 2, 2, 1], dtype=np.int8)
WORDS = (
    "90 days or more past due",
    "in default on record, arrears not cleared",
    "more than 30 days past due",
    "paid up again after a default",
    "lifetime PD at least doubled since origination and up by 2 points or more",
    "no significant increase in credit risk since origination",
)
"""By reason code."""


def reasons(
    days_past_due: npt.NDArray[np.int64],
    in_default: npt.NDArray[np.bool_],
    pd_lifetime: npt.NDArray[np.float64],
    pd_at_origination: npt.NDArray[np.float64],
) -> npt.NDArray[np.int8]:
    """Reason codes (n,), each of which has one stage (`STAGE_OF`).

    `days_past_due` is -1 where the source does not tell; `in_default` says that the loan has a default on record. Both
    PDs are of the remaining life. A loan in default on record that is paid up to date is cured, and stays in stage 2.
    """
    risen = (pd_lifetime >= SICR_RATIO * pd_at_origination) & (pd_lifetime - pd_at_origination >= SICR_INCREASE)
    conditions = [
        days_past_due >= DEFAULT_DAYS,
        in_default & (days_past_due != 0),
        days_past_due > BACKSTOP_DAYS,
        in_default,
        risen,
    ]
    return np.select(conditions, list(Reason)[:-1], Reason.NO_INCREASE).astype(np.int8)


def stage_of(reason: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Stages 1 to 3 of reason codes."""
    return np.asarray(STAGE_OF[reason])
