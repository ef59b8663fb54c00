"""What a cut-off earns: profit of approving every loan below a PD, and where it is highest.

One loan earns its margin when it is repaid and loses its LGD when it defaults, both as shares of the amount lent. So
the last loan worth approving has PD margin / (margin + LGD), if PDs are true; the curve shows what really came back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

GRID = np.round(np.arange(0.005, 0.6001, 0.005), 3)
"""Cut-offs of the curve: every half per cent of PD, up to where no lender lends."""
LGD_BAND = 0.10
"""LGD is the guess of the two: the curve is also drawn with a tenth more and a tenth less of it."""
FLAT = 0.01
"""Cut-offs within one per cent of the best profit count as equally good: the curve is flat at its top."""


class EconomicsError(ValueError):
    """Assumptions or loans no profit can be computed from; the message says which."""


@dataclass(frozen=True)
class Economics:
    """`margin`: share of the amount earned on a loan that is repaid; `lgd`: share lost on one that defaults.

    The defaults are assumptions of ours, stated on every page that shows a profit: a margin net of funding and cost,
    and the LGD of the feature map's expected-loss example.
    """

    margin: float = 0.12
    lgd: float = 0.65

    def __post_init__(self) -> None:
        if not (0 < self.margin < 1 and 0 < self.lgd <= 1):
            raise EconomicsError(
                f"margin {self.margin} and lgd {self.lgd} must be shares of the amount lent, above 0 and at most 1"
            )

    @property
    def break_even(self) -> float:
        """PD at which a loan earns nothing on average: margin / (margin + LGD). 0.12 and 0.65 -> 0.1558."""
        return self.margin / (self.margin + self.lgd)

    def with_lgd(self, factor: float) -> Economics:
        return replace(self, lgd=min(1.0, self.lgd * factor))

    def profit(self, is_bad: np.ndarray, amount: np.ndarray) -> np.ndarray:
        """Profit of each loan (n,), in the unit of `amount`."""
        return np.asarray(amount * np.where(is_bad, -self.lgd, self.margin))


@dataclass(frozen=True)
class Judged:
    """Loans with a known end: predicted PD, whether they went bad, amount lent; all (n,)."""

    pd: np.ndarray
    is_bad: np.ndarray
    amount: np.ndarray

    def __post_init__(self) -> None:
        if not len(self.pd):
            raise EconomicsError("there are no loans with a known end to compute a profit from")
        if not (np.isfinite(self.amount).all() and (self.amount > 0).all()):
            raise EconomicsError("every loan needs an amount above 0")

    @property
    def rows(self) -> int:
        return len(self.pd)

    def by_risk(self) -> Judged:
        """The same, safest first."""
        order = np.argsort(self.pd, kind="stable")
        return Judged(self.pd[order], self.is_bad[order].astype(bool), self.amount[order].astype(np.float64))


@dataclass(frozen=True)
class Approved:
    """What approving every loan with PD below `cutoff` would have brought."""

    cutoff: float
    loans: int
    approval_rate: float
    bad_rate: float | None
    profit: float


@dataclass(frozen=True)
class Finding:
    """The best cut-off of these loans beside the one in force. `flat` spans the cut-offs that are as good as the best.

    The best one was chosen on the very loans it is measured on, so `forgone` is at the most what a change would bring.
    """

    break_even: float
    best: Approved
    best_by_count: Approved
    in_force: Approved
    flat: tuple[float, float]
    best_with_low_lgd: float
    best_with_high_lgd: float

    @property
    def forgone(self) -> float:
        """Profit left on the table by the cut-off in force, in money."""
        return self.best.profit - self.in_force.profit


def cutoff_curve(loans: Judged, economics: Economics, cutoffs: np.ndarray = GRID) -> pa.Table:
    """One row per cut-off: loans approved, rates, profit in money (and with LGD a tenth lower and higher).

    `profit_per_loan` weighs every loan alike, per unit lent and loan applied for. `marginal_profit` is what the loans
    between the cut-off before and this one earn per unit lent: it falls through 0 where the profit is highest.
    """
    ranked = loans.by_risk()
    taken = np.searchsorted(ranked.pd, cutoffs, side="left")
    bads = _running(ranked.is_bad)[taken]
    money = _running(economics.profit(ranked.is_bad, ranked.amount))[taken]
    lent = _running(ranked.amount)[taken]
    by_count = _running(economics.profit(ranked.is_bad, np.ones(ranked.rows)))[taken]
    with np.errstate(invalid="ignore", divide="ignore"):
        bad_rate = np.where(taken > 0, bads / taken, np.nan)
        added = np.diff(lent, prepend=0.0)
        marginal = np.where(added > 0, np.diff(money, prepend=0.0) / added, np.nan)
    band = {
        name: _running(economics.with_lgd(factor).profit(ranked.is_bad, ranked.amount))[taken]
        for name, factor in (("profit_low_lgd", 1 - LGD_BAND), ("profit_high_lgd", 1 + LGD_BAND))
    }
    columns = {
        "cutoff": cutoffs,
        "approved": taken,
        "approval_rate": taken / ranked.rows,
        "bad_rate": pa.array(bad_rate, from_pandas=True),
        "amount": lent,
        "profit": money,
        **band,
        "profit_per_loan": by_count / ranked.rows,
        "marginal_profit": pa.array(marginal, from_pandas=True),
    }
    return pa.table(columns)


def best_cutoff(loans: Judged, economics: Economics) -> Approved:
    """The cut-off of highest profit among all that tell these loans apart; the strictest of equally good ones."""
    ranked = loans.by_risk()
    total = _running(economics.profit(ranked.is_bad, ranked.amount))
    apart = np.flatnonzero(np.concatenate([[True], np.diff(ranked.pd) > 0, [True]]))
    return _approved(ranked, total, int(apart[np.argmax(total[apart])]))


def at_cutoff(loans: Judged, economics: Economics, cutoff: float) -> Approved:
    """What a given cut-off would have brought."""
    ranked = loans.by_risk()
    total = _running(economics.profit(ranked.is_bad, ranked.amount))
    found = _approved(ranked, total, int(np.searchsorted(ranked.pd, cutoff, side="left")))
    return replace(found, cutoff=float(cutoff))


def assess(loans: Judged, economics: Economics, approve_below: float) -> Finding:
    """Compare the cut-off in force with the best one. Changes no policy: that is for people to publish."""
    best = best_cutoff(loans, economics)
    return Finding(
        break_even=economics.break_even,
        best=best,
        best_by_count=best_cutoff(replace(loans, amount=np.ones(loans.rows)), economics),
        in_force=at_cutoff(loans, economics, approve_below),
        flat=_as_good(loans, economics, best),
        best_with_low_lgd=best_cutoff(loans, economics.with_lgd(1 - LGD_BAND)).cutoff,
        best_with_high_lgd=best_cutoff(loans, economics.with_lgd(1 + LGD_BAND)).cutoff,
    )


def _as_good(loans: Judged, economics: Economics, best: Approved) -> tuple[float, float]:
    curve = cutoff_curve(loans, economics)
    good = curve["profit"].to_numpy() >= best.profit - FLAT * abs(best.profit)
    cutoffs = [*curve["cutoff"].to_numpy()[good], best.cutoff]
    return float(min(cutoffs)), float(max(cutoffs))


def _approved(ranked: Judged, total: np.ndarray, count: int) -> Approved:
    """The `count` safest loans. Their cut-off is the PD of the first one declined; 1 when none is."""
    return Approved(
        cutoff=float(ranked.pd[count]) if count < ranked.rows else 1.0,
        loans=count,
        approval_rate=count / ranked.rows,
        bad_rate=float(ranked.is_bad[:count].mean()) if count else None,
        profit=float(total[count]),
    )


def _running(values: np.ndarray) -> np.ndarray:
    """Sums over the first k values, k = 0 .. n."""
    return np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
