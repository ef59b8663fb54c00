"""Whole lives of loans, month by month: who pays when, who falls behind, who catches up, who stops for good.

Arrays are (instalment, loan): the loop runs over months, numpy runs over loans. Payments settle the oldest unpaid
instalment first, so unpaid instalments are always the latest ones. A life is simulated to its end; what is known on a
given day is cut out of it by `asof`, so an earlier day shows the same history, only less of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from credit_risk_platform.domain.synthetic.applicants import Array, Columns
from credit_risk_platform.domain.synthetic.vocabulary import TERMS

LONGEST = max(TERMS)
NEVER = np.iinfo(np.int32).max
"""Stands for "no such day" or "no such month"."""
CHARGE_OFF_DAYS = 120
DEFAULT_DAYS = 90
CURED_SHARE = 0.04
"""Share of defaulters who pay all arrears after 90 days and go on paying."""


@dataclass(frozen=True)
class Lives:
    """How n loans are repaid; days count from 1970-01-01."""

    due: Array
    """(LONGEST, n) int32 due day of each instalment."""
    paid: Array
    """(LONGEST, n) int32 day on which it was paid, NEVER for never."""
    known: Array
    """(LONGEST, n) int32 day on which the payment reached the platform."""
    last: Array
    """(n,) number of the last instalment that can be due: the term, or the one prepaid with everything after it."""
    charged_off: Array
    """(n,) int32 day of the charge-off, NEVER for none."""


@dataclass
class _Fate:
    """What is decided at the start: the month payments stop, the month of prepayment, how careless the payer is."""

    stop: Array
    prepay: Array
    cures: Array
    miss: Array
    slow: Array


def live(rng: np.random.Generator, c: Columns, default_probability: Array) -> Lives:
    """Simulate the lives of loans with columns `c` (issue_month, issue_day, term) and their default probability."""
    n = len(default_probability)
    fate = _draw_fate(rng, c["term"], default_probability)
    due = _due_days(c["issue_month"], c["issue_day"])
    paid, known = np.full((LONGEST, n), NEVER, np.int32), np.full((LONGEST, n), NEVER, np.int32)
    last, settled = c["term"].astype(np.int64), np.zeros(n, np.int64)
    for month in range(1, LONGEST + 2):
        count, delay, prepays = _month(rng, month, settled, last, fate)
        when = (_event_day(due, month) + delay).astype(np.int32)
        learnt = when + _feed_lag(rng, n)
        for step in range(int(count.max(initial=0))):
            who = np.flatnonzero(count > step)
            paid[settled[who] + step, who], known[settled[who] + step, who] = when[who], learnt[who]
        settled = settled + count
        last = np.where(prepays, month, last)
    return Lives(due, paid, known, last, _charge_off_day(rng, due, settled, last))


def _draw_fate(rng: np.random.Generator, term: Array, probability: Array) -> _Fate:
    n = len(term)
    defaults = rng.random(n) < probability
    cures = defaults & (rng.random(n) < CURED_SHARE)
    # The last four months are spared: 90 days past due must fall inside the contractual term, the label's window.
    stop = 1 + np.floor((term - 4) * rng.beta(1.5, 1.9, n)).astype(np.int64)
    temper = 0.75 * (np.log(probability / (1 - probability)) + 2.4) + rng.normal(0, 0.7, n)
    return _Fate(
        stop=np.where(defaults, stop, NEVER),
        prepay=np.where(defaults, NEVER, 3 + rng.geometric(0.014, n)),
        cures=cures,
        miss=1 / (1 + np.exp(4.3 - 0.8 * temper)),
        slow=1 / (1 + np.exp(2.6 - 0.6 * temper)),
    )


def _month(
    rng: np.random.Generator, month: int, settled: Array, last: Array, fate: _Fate
) -> tuple[Array, Array, Array]:
    """Instalments settled by each loan around this month's due day, the delay in days, and who prepays the rest."""
    n = len(settled)
    owed = np.maximum(np.minimum(month, last) - settled, 0)
    behind = owed - (month <= last)
    draw, spread = rng.random(n, np.float32), rng.random(n, np.float32)
    # Trouble shows before it breaks: misses are three times as likely in the half-year before the last payment.
    miss = fate.miss * np.where((month < fate.stop) & (month >= fate.stop - 6), 3.0, 1.0)
    one_behind = np.where(draw < 0.12, 0, np.where(draw < 0.45, 1, 2))
    count = np.where(behind <= 0, draw >= miss, np.where(behind == 1, one_behind, np.where(draw < 0.35, 1, 3)))
    count = np.where(month > last, owed, np.minimum(count, owed))
    stopped = month >= fate.stop
    back = stopped & fate.cures & (month - settled >= 4)
    count = np.where(stopped, np.where(back, owed, 0), count)
    fate.stop = np.where(back, NEVER, fate.stop)
    late = (behind > 0) | (spread < fate.slow)
    delay = np.where(late, 4 + np.floor(17 * draw), -np.floor(4 * np.maximum(spread - 0.75, 0) / 0.25))
    prepays = (month >= fate.prepay) & (month < last) & (behind == 0) & (count == 1)
    return count.astype(np.int64), delay, prepays


def _due_days(issue_month: Array, issue_day: Array) -> Array:
    """(LONGEST, n) due days: the issue day of each following month. Days beyond the 28th do not occur."""
    starts = np.arange(issue_month.min(initial=0), issue_month.max(initial=0) + LONGEST + 1)
    first_days = starts.astype("datetime64[M]").astype("datetime64[D]").astype(np.int32)
    offset = issue_month - issue_month.min(initial=0)
    return first_days[offset + np.arange(1, LONGEST + 1)[:, None]] + (issue_day - 1).astype(np.int32)


def _event_day(due: Array, month: int) -> Array:
    """Due day of `month`; one month past the longest schedule, 31 days after its last due day."""
    return due[month - 1] if month <= LONGEST else due[-1] + 31


def _feed_lag(rng: np.random.Generator, n: int) -> Array:
    """Days until a payment is known: next morning, for one in twenty up to four days later."""
    draw = rng.random(n, np.float32)
    return (1 + np.where(draw < 0.05, 1 + np.floor(draw * 60), 0)).astype(np.int32)


def _charge_off_day(rng: np.random.Generator, due: Array, settled: Array, last: Array) -> Array:
    """120 to 149 days after the oldest due day that is never paid."""
    n = len(settled)
    oldest = due[np.minimum(settled, LONGEST - 1), np.arange(n)]
    return np.where(settled < last, oldest + CHARGE_OFF_DAYS + rng.integers(0, 30, n), NEVER).astype(np.int32)
