"""Interventional Shapley values of one leaf, for every way a row can fail its conditions, averaged over a background.

Take a leaf with value v and d players, a row that fails the players S and a background loan that fails T. Of the mixed
rows, made of the row's features and the loan's, the leaf can be reached only if S and T are disjoint. With a = |T| and
b = |S|, the known closed form gives each player of T +v B(a, b + 1) and each player of S -v B(a + 1, b), where B is the
beta function. With f(b) = sum over loans of B(a, b + 1) and g(b) = f(b - 1), and loans with a = 0 counted as minus the
harmonic number H(b), so that f(b) - g(b) = -1 / b stands for them,

    contribution of player k = F[S] - G[S with k],

for players in S and outside it alike: two tables of 2^d numbers per leaf instead of d + 1. The beta functions are
integrals of polynomials over [0, 1], exact by Gauss-Legendre; the sums over disjoint T are subset sums.
"""

from __future__ import annotations

import numpy as np


def leaf_tables(counts: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """F and G, each (L, 2^d). `counts` (L, 2^d) is the share of background loans that fail each set; `values` is (L,).

    G of the empty set is 0 and never asked for.
    """
    leaves, size = counts.shape
    players = size.bit_length() - 1
    bits = popcount(np.arange(size))
    f, g = np.zeros((leaves, size)), np.zeros((leaves, size))
    for node, weight in _quadrature(players):
        disjoint = _subset_sums(counts * _failing(node, bits))[:, ::-1]
        f += weight * (1 - node) ** bits * disjoint
        g += weight * (1 - node) ** np.maximum(bits - 1, 0) * disjoint
    harmonic = np.concatenate([[0.0, 0.0], np.cumsum(1 / np.arange(1, players + 1))])
    f -= counts[:, :1] * harmonic[bits + 1]
    g -= counts[:, :1] * harmonic[bits]
    g[:, 0] = 0.0
    return f * values[:, None], g * values[:, None]


def weights(players: int) -> tuple[np.ndarray, np.ndarray]:
    """(gain, loss), each (d + 1, d + 1) by [a, b]: B(a, b + 1) of a player that only the loan fails, B(a + 1, b)."""
    a, b = np.meshgrid(np.arange(players + 1), np.arange(players + 1), indexing="ij")
    factorials = np.cumprod([1.0, *range(1, 2 * players + 2)])
    gain = factorials[np.maximum(a - 1, 0)] * factorials[b] / factorials[a + b] * (a > 0)
    loss = factorials[a] * factorials[np.maximum(b - 1, 0)] / factorials[a + b] * (b > 0)
    return gain, loss


def popcount(masks: np.ndarray) -> np.ndarray:
    """How many bits are set, int64."""
    return np.bitwise_count(masks).astype(np.int64)


def _quadrature(players: int) -> list[tuple[float, float]]:
    """Nodes and weights on [0, 1], exact up to degree d - 1."""
    if players == 0:
        return []
    nodes, shares = np.polynomial.legendre.leggauss((players + 1) // 2)
    return [((1 + float(x)) / 2, float(w) / 2) for x, w in zip(nodes, shares, strict=True)]


def _failing(node: float, bits: np.ndarray) -> np.ndarray:
    """node^(a - 1), and 0 for a = 0."""
    return np.where(bits > 0, node ** np.maximum(bits - 1, 0), 0.0)


def _subset_sums(counts: np.ndarray) -> np.ndarray:
    """For every set the sum over its subsets, in place, one player after the other."""
    leaves, size = counts.shape
    for k in range(size.bit_length() - 1):
        halves = counts.reshape(leaves, size >> (k + 1), 2, 1 << k)
        halves[:, :, 1] += halves[:, :, 0]
    return counts
