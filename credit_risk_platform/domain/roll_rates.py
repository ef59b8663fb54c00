"""From one month's moves between delinquency states to a year's: the cohort estimator and powers of its matrix.

Default (90 days past due or charged off) and closed are absorbing: a loan that has defaulted has defaulted, whatever
it does later. The power assumes that the next month depends on the state alone, not on how a loan came there. Books
break that rule, so a power is shown beside what came true and never alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PERFORMING = ("Current", "1-29", "30-59", "60-89")
IN_DEFAULT = ("90-119", "120+")
OPEN = (*PERFORMING, *IN_DEFAULT)
CHARGED_OFF, CLOSED = "Charged Off", "Prepaid/Closed"
REACHED = (*OPEN, CHARGED_OFF, CLOSED)
"""States of `gold.loan_transitions`: a month starts in one of `OPEN` and ends in one of `REACHED`."""
DEFAULT = len(PERFORMING)
"""Index of default in the reduced matrix, after the performing states; closed is the next and last."""
REDUCED = DEFAULT + 2


def counts_of(from_states: Sequence[str], to_states: Sequence[str], loans: Sequence[int]) -> np.ndarray:
    """(6, 8) loans that moved from each of `OPEN` to each of `REACHED`; repeated pairs add up.

    Raises `ValueError` on a state that is none.
    """
    if unknown := sorted({*from_states} - {*OPEN} | {*to_states} - {*REACHED}):
        raise ValueError(f"{', '.join(unknown)}: no such move; one goes from {', '.join(OPEN)} to one of {REACHED}")
    counts = np.zeros((len(OPEN), len(REACHED)))
    rows = [OPEN.index(state) for state in from_states]
    columns = [REACHED.index(state) for state in to_states]
    np.add.at(counts, (rows, columns), loans)
    return counts


def shares(counts: np.ndarray) -> np.ndarray:
    """Each row of `counts` by its sum: the cohort estimator. NaN where nobody started."""
    totals = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)


def absorbing_matrix(counts: np.ndarray) -> np.ndarray:
    """(6, 6) one-month matrix over the performing states, default and closed; rows sum to 1.

    `counts` is that of `counts_of`. A state in which nobody started is taken to stay as it is.
    """
    groups = [[REACHED.index(name)] for name in PERFORMING]
    groups += [[REACHED.index(name) for name in (*IN_DEFAULT, CHARGED_OFF)], [REACHED.index(CLOSED)]]
    reduced = np.stack([counts[: len(PERFORMING), group].sum(axis=1) for group in groups], axis=1)
    matrix = np.eye(REDUCED)
    seen = reduced.sum(axis=1) > 0
    matrix[: len(PERFORMING)][seen] = shares(reduced[seen])
    return matrix


def default_within(counts: np.ndarray, months: int) -> np.ndarray:
    """(4,) probability of default within `months` of a loan in each performing state, by the power of its matrix.

    NaN where a loan can come, within them, to a performing state in which nobody started: nothing is known from there.
    """
    power = np.linalg.matrix_power(absorbing_matrix(counts), months)[: len(PERFORMING)]
    unknown = counts[: len(PERFORMING)].sum(axis=1) == 0
    guessed = power[:, : len(PERFORMING)][:, unknown].sum(axis=1) > 0
    return np.where(guessed, np.nan, power[:, DEFAULT])
