"""Signals that an application may be fraud: what is looked for, from which threshold on, and what it may do.

Kept apart from credit risk: a signal never enters a PD, never declines, and can only send an application that would
have been approved to a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

WINDOW_DAYS = 30
"""Applications of the last days that are looked at again: a ring shows only when its later members have applied."""
VELOCITY_DAYS = 7
MAD_TO_SD = 1.4826
"""A normal distribution's standard deviation over its median absolute deviation."""
ENOUGH_PEERS = 50
"""Applications for the same purpose below which nothing is called unusual."""

IDENTITY = (
    "annual_inc", "emp_length", "home_ownership", "earliest_cr_line", "revol_bal", "total_acc", "open_acc", "pub_rec",
)  # fmt: skip
"""What the same person's application says in the same words. Landed data holds no name, no address, no device: those
personal fields never leave the intake. So two people are taken for one when all of these agree exactly."""
KNOWN = ("annual_inc", "earliest_cr_line", "revol_bal", "total_acc")
"""Of `IDENTITY`, what must be there: without income, first credit line, balance and accounts, equality says nothing."""


class Signal(StrEnum):
    VELOCITY = "velocity"
    DUPLICATE_IDENTITY = "duplicate_identity"
    AMOUNT_ANOMALY = "amount_anomaly"


@dataclass(frozen=True)
class Rule:
    """A signal is raised from `threshold` on; `unit` says what the value counts."""

    signal: Signal
    threshold: float
    unit: str
    description: str


RULES = (
    Rule(
        Signal.VELOCITY,
        3,
        "applications",
        f"The same customer applied this often within {VELOCITY_DAYS} days.",
    ),
    Rule(
        Signal.DUPLICATE_IDENTITY,
        2,
        "customers",
        "So many different customers stated exactly the same " + ", ".join(IDENTITY) + ".",
    ),
    Rule(
        Signal.AMOUNT_ANOMALY,
        5.0,
        "robust standard deviations",
        "The amount asked for, against the stated income, lies this far above its peers of the same purpose "
        f"(logarithm of the ratio, median and MAD x {MAD_TO_SD}).",
    ),
)
BY_SIGNAL = {rule.signal: rule for rule in RULES}
