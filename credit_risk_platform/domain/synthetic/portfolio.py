"""A synthetic portfolio, block by block: the one place that puts people, offers, risk and repayments together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from credit_risk_platform.domain.synthetic.applicants import Columns, draw_applicants
from credit_risk_platform.domain.synthetic.asof import Panel, panel_as_of, state_as_of
from credit_risk_platform.domain.synthetic.layout import loan_table, repayment_table
from credit_risk_platform.domain.synthetic.offers import (
    FIRST_VINTAGE,
    LAST_VINTAGE,
    draw_requests,
    installment_cents,
    price,
    schedule_cents,
)
from credit_risk_platform.domain.synthetic.repayments import live
from credit_risk_platform.domain.synthetic.risk import default_probability, visible_risk
from credit_risk_platform.domain.synthetic.vocabulary import SUB_GRADE_RATES

BLOCK_LOANS = 20_000
"""Loans simulated at once: a block's arrays stay near the processor's cache. Part of the seed's meaning."""


@dataclass(frozen=True)
class Block:
    """Consecutive loans of the portfolio."""

    loans: pa.Table
    repayments: pa.Table | None


def portfolio(loans: int, seed: int, as_of: date, *, with_repayments: bool = True) -> Iterator[Block]:
    """Yield the portfolio in blocks of at most `BLOCK_LOANS` loans, in bounded memory.

    Loan number i is the same whatever `loans`, so a short portfolio is a prefix of a long one. From the last vintage's
    month end on, a later `as_of` shows the same loans with more history.

    Args:
        loans: how many loans, at least one.
        seed: any non-negative integer.
        as_of: the last day the book knows of.
        with_repayments: build the panel as a table too (about 20 rows per loan).

    Raises:
        ValueError: no loans, a negative seed, or an `as_of` before the first vintage's month is over.
    """
    if loans < 1 or seed < 0:
        raise ValueError(f"A portfolio needs at least one loan and a seed of zero or more, not {loans} and {seed}.")
    last_vintage = min(_last_full_month(as_of), LAST_VINTAGE)
    if last_vintage < FIRST_VINTAGE:
        raise ValueError(f"The first loans are issued in {FIRST_VINTAGE}: choose an as_of after it, not {as_of}.")
    return (
        _block(number, min(BLOCK_LOANS, loans - number * BLOCK_LOANS), seed, last_vintage, as_of, with_repayments)
        for number in range(-(-loans // BLOCK_LOANS))
    )


def _last_full_month(as_of: date) -> np.datetime64:
    """The latest month that is over at the end of `as_of`."""
    tomorrow = np.datetime64(as_of, "D") + np.timedelta64(1, "D")
    return tomorrow.astype("datetime64[M]") - np.timedelta64(1, "M")


def _block(number: int, keep: int, seed: int, last_vintage: np.datetime64, as_of: date, panel_too: bool) -> Block:
    columns, panel = _simulate(number, seed, last_vintage, int(np.datetime64(as_of, "D").astype(int)))
    first = number * BLOCK_LOANS + 1
    # The block is always drawn whole and then cut: a shorter portfolio is a prefix of a longer one.
    loans = loan_table({name: values[:keep] for name, values in columns.items()}, first)
    kept = Panel(**{name: values[:, :keep] for name, values in vars(panel).items()})
    return Block(loans, repayment_table(kept, first) if panel_too else None)


def _simulate(number: int, seed: int, last_vintage: np.datetime64, as_of: int) -> tuple[Columns, Panel]:
    """Draw block `number` whole. Each stage has its own stream, so a change in one leaves the others' draws alone."""
    streams = np.random.SeedSequence(seed, spawn_key=(number,)).spawn(5)
    people, requests, risk, repayment, recovery = (np.random.default_rng(stream) for stream in streams)
    columns = draw_applicants(people, BLOCK_LOANS)
    columns |= draw_requests(requests, columns, last_vintage)
    visible = visible_risk(columns)
    columns["sub_grade"] = price(risk, visible, columns["term"])
    rate = np.array(SUB_GRADE_RATES)[columns["sub_grade"]]
    columns["installment_cents"] = installment_cents(columns["loan_amnt"], rate, columns["term"])
    lives = live(repayment, columns, default_probability(risk, visible, columns))
    principal, interest = schedule_cents(columns["loan_amnt"], rate, columns["term"])
    panel = panel_as_of(lives, principal, interest, as_of)
    return columns | state_as_of(recovery, panel, lives, columns["loan_amnt"], as_of), panel
