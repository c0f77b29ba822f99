"""How good predictions by draws were, once it is known what came: proper scores and coverage.

Source: Gneiting and Raftery 2007, Journal of the American Statistical Association 102, 359.
"""

from __future__ import annotations

from typing import Any

import numpy as np

type Array = np.ndarray[Any, Any]

PROBS = (0.5, 0.8, 0.9)
"""Probabilities inside the intervals whose coverage is told."""

SCORED = 0.9
"""Of the interval that the interval score is of."""


def ends(draws: Array, prob: float) -> tuple[Array, Array]:
    """Find the ends of equal-tailed intervals.

    Parameters
    ----------
    draws : ndarray, dims ("item", "draw")
    prob : float
        Probability inside.

    Returns
    -------
    low, high : ndarray, dims ("item",)
    """
    low, high = np.quantile(draws, [(1 - prob) / 2, (1 + prob) / 2], axis=1)
    return low, high


def interval_score(low: Array, high: Array, observed: Array, prob: float = SCORED) -> Array:
    """Score intervals: their width, and 2 / (1 - prob) times by how much they miss; the less, the better.

    Parameters
    ----------
    low, high, observed : ndarray, dims ("item",)
        In one unit, which the score has too.
    prob : float
        Probability inside.

    Returns
    -------
    ndarray, dims ("item",)
    """
    missed = np.maximum(low - observed, 0) + np.maximum(observed - high, 0)
    return high - low + 2 / (1 - prob) * missed


def log_score(draws: Array, observed: Array) -> Array:
    """Log density of what came, by draws smoothed by a Normal kernel; the more, the better.

    Parameters
    ----------
    draws : ndarray, dims ("item", "draw")
    observed : ndarray, dims ("item",)

    Returns
    -------
    ndarray, dims ("item",)
        In nats. Far outside the draws it falls with the square of the distance: a score of some thousands
        below zero says that the draws exclude what came, and no more.

    Notes
    -----
    The kernel's width is Silverman's, 0.9 min(sd, IQR / 1.34) n^(-1/5).
    """
    from scipy.special import logsumexp

    width = kernel_width(draws)[:, None]
    z = (observed[:, None] - draws) / width
    density = logsumexp(-0.5 * z**2, axis=1) - np.log(draws.shape[1])
    return density - np.log(width[:, 0]) - 0.5 * np.log(2 * np.pi)


def kernel_width(draws: Array) -> Array:
    """Silverman's width of a kernel, dims ("item",)."""
    quarter, three_quarters = np.quantile(draws, [0.25, 0.75], axis=1)
    spread = np.minimum(draws.std(axis=1), (three_quarters - quarter) / 1.34)
    return 0.9 * np.maximum(spread, 1e-12) * draws.shape[1] ** -0.2


def pit(draws: Array, observed: Array) -> Array:
    """Share of the draws below what came: uniform over many independent predictions, if they are right.

    Parameters
    ----------
    draws : ndarray, dims ("item", "draw")
    observed : ndarray, dims ("item",)

    Returns
    -------
    ndarray, dims ("item",)
        From 0 to 1; a draw equal to what came counts half.
    """
    at = observed[:, None]
    return ((draws < at) + 0.5 * (draws == at)).mean(axis=1)
