"""What a lender knows of its loans on one day: the repayment panel so far, and the status columns that follow from it.

Every column of a loan's state is computed from the panel, so the two can never disagree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from credit_risk_platform.domain.synthetic.applicants import Array, Columns
from credit_risk_platform.domain.synthetic.repayments import DEFAULT_DAYS, LONGEST, NEVER, Lives
from credit_risk_platform.domain.synthetic.vocabulary import STATUSES

_CHARGED_OFF, _FULLY_PAID = STATUSES.index("Charged Off"), STATUSES.index("Fully Paid")
RECOVERY_DAYS = 90
"""Recoveries on a charged-off loan are booked this long after the charge-off."""


@dataclass(frozen=True)
class Panel:
    """(LONGEST, n) arrays, money in int64 cents, days since 1970-01-01; only cells with `visible` are rows."""

    visible: Array
    due: Array
    paid: Array
    """NEVER where the payment is not known yet."""
    known: Array
    principal_due: Array
    interest_due: Array
    principal_paid: Array
    interest_paid: Array
    opening: Array
    closing: Array


def panel_as_of(lives: Lives, principal: Array, interest: Array, as_of: int) -> Panel:
    """Rows due before day `as_of`, with the payments that had become known by then.

    Args:
        lives: whole lives of n loans.
        principal, interest: (LONGEST, n) contractual cents.
        as_of: days since 1970-01-01.
    """
    number = np.arange(1, LONGEST + 1)[:, None]
    # A row reaches the platform the morning after its due day; after a charge-off nothing falls due.
    visible = (number <= lives.last) & (lives.due + 1 <= as_of)
    visible &= (lives.charged_off > as_of) | (lives.due <= lives.charged_off)
    settled = visible & (lives.known <= as_of)
    prepaid = settled & (number == lives.last)
    # The last instalment also carries every later one of the contract: nothing at full term, the rest on a prepayment.
    remaining = np.cumsum(principal[::-1], axis=0)[::-1]
    principal_paid = np.where(settled, np.where(prepaid, remaining, principal), 0)
    opening = principal.sum(axis=0) - np.cumsum(principal_paid, axis=0) + principal_paid
    return Panel(
        visible=visible,
        due=lives.due,
        paid=np.where(settled, lives.paid, NEVER),
        known=np.where(settled, lives.known, lives.due + 1),
        principal_due=principal,
        interest_due=interest,
        principal_paid=principal_paid,
        interest_paid=np.where(settled, interest, 0),
        opening=opening,
        closing=opening - principal_paid,
    )


def state_as_of(rng: np.random.Generator, panel: Panel, lives: Lives, amount: Array, as_of: int) -> Columns:
    """Post-origination columns of each loan, read off its panel; dates are days, NEVER for none."""
    n = len(amount)
    unpaid = panel.visible & (panel.paid == NEVER)
    oldest = np.where(unpaid, panel.due, NEVER).min(axis=0)
    written_off = lives.charged_off <= as_of
    owed = np.where(panel.visible.any(axis=0), _last_value(panel.closing, panel.visible), amount * 100)
    repaid = owed == 0
    last_paid = np.where(panel.paid == NEVER, -1, panel.paid).max(axis=0)
    received = panel.principal_paid + panel.interest_paid
    recovered = np.where(rng.random(n) < 0.6, owed * rng.beta(1.2, 7.0, n), 0).astype(np.int64)
    recovered = np.where(written_off & (lives.charged_off + RECOVERY_DAYS <= as_of), recovered, 0)
    closed = np.where(written_off, lives.charged_off, np.where(repaid, last_paid, NEVER))
    open_now = closed == NEVER
    to_come = ~panel.visible & (np.arange(1, LONGEST + 1)[:, None] <= lives.last)
    next_due = np.where(to_come, panel.due, NEVER).min(axis=0)
    return {
        "loan_status": _status(oldest, written_off, repaid, as_of),
        "out_prncp_cents": np.where(open_now, owed, 0),
        "total_rec_prncp_cents": panel.principal_paid.sum(axis=0),
        "total_rec_int_cents": panel.interest_paid.sum(axis=0),
        "recoveries_cents": recovered,
        "last_pymnt_day": np.where(last_paid < 0, NEVER, last_paid),
        "last_pymnt_cents": np.where((panel.paid == last_paid) & panel.visible, received, 0).sum(axis=0),
        "next_pymnt_day": np.where(open_now, next_due, NEVER),
        "last_credit_pull_day": np.where(open_now, as_of, closed),
        "default_day": _default_day(panel, as_of),
        "closed_day": closed,
    }


def _last_value(values: Array, visible: Array) -> Array:
    """The value of each loan's latest visible row."""
    rows = np.maximum(visible.sum(axis=0) - 1, 0)
    return values[rows, np.arange(values.shape[1])]


def _default_day(panel: Panel, as_of: int) -> Array:
    """First day on which an instalment was 90 days past due, NEVER if that has not happened by `as_of`."""
    reached = panel.due + DEFAULT_DAYS
    hit = panel.visible & (panel.paid >= reached) & (reached <= as_of)
    return np.where(hit, reached, NEVER).min(axis=0)


def _status(oldest_unpaid: Array, written_off: Array, repaid: Array, as_of: int) -> Array:
    """Index into STATUSES, from days past due as LendingClub's dictionary words it."""
    past_due = np.where(oldest_unpaid == NEVER, 0, as_of - oldest_unpaid)
    late = np.searchsorted([1, 16, 31, 121], past_due, side="right")  # STATUSES opens with these five, mildest first
    return np.where(written_off, _CHARGED_OFF, np.where(repaid, _FULLY_PAID, late))
