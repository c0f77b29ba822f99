"""Choosing a batch of runs within a compute: greedily, then by exchanging two at a time."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from bayes_scaling.planning.forecast import Moments

type Array = np.ndarray[Any, Any]

_DIGITS = 1e-9
"""By how much, of itself, a sum of computes may exceed what there is for rounding's sake."""

_GAIN = 1e-6
"""Exchanges that gain less, of what is explained, are not made."""

_ROUNDS = 20


def greedy(known: Moments, compute: Array, pilot: float, runs: int) -> list[int]:
    """Choose one run after the other, each time the one that explains the most per FLOP.

    Parameters
    ----------
    known : Moments
        Of the candidates.
    compute : ndarray, dims ("pilot",)
        Of each, in FLOPs.
    pilot : float
        Compute of the batch, in FLOPs; enough for `runs` of the cheapest candidate.
    runs : int
        How many.

    Returns
    -------
    list of int
        Their positions, none twice.
    """
    chosen: list[int] = []
    for place in range(runs):
        # With the cheapest that are left for the places after it, a run must remain affordable.
        cheapest = np.cumsum([0, *np.sort(np.delete(compute, chosen))])
        after = runs - place - 1
        least = np.maximum(compute + cheapest[after], cheapest[after + 1])
        now = known.given(chosen)
        gain = now.with_best**2 / (np.diag(now.covariance) + now.noise) / compute
        gain[compute[chosen].sum() + least > pilot * (1 + _DIGITS)] = -1
        gain[chosen] = -1
        chosen.append(int(np.argmax(gain)))
    return chosen


def exchange(known: Moments, compute: Array, pilot: float, chosen: list[int]) -> list[int]:
    """Replace two runs of a batch at a time by the best two for their places, until nothing is gained.

    Two at a time, because compute that one run sets free is spent by another.

    Parameters
    ----------
    known, compute, pilot
        As for `greedy`.
    chosen : list of int
        The batch to start from.

    Returns
    -------
    list of int
        A batch of as many, which explains as much or more.
    """
    best = known.explained(chosen)
    for _ in range(_ROUNDS):
        before = best
        for pair in combinations(range(len(chosen)), 2) if len(chosen) > 1 else ((0,),):
            rest = [run for place, run in enumerate(chosen) if place not in pair]
            left = (pilot - compute[rest].sum()) * (1 + _DIGITS)
            found, gain = _best_of(known.given(rest), compute, left, rest, len(pair))
            if known.explained(rest) + gain > best * (1 + _GAIN):
                chosen = [*rest, *found]
                best = known.explained(chosen)
        if best <= before:
            break
    return chosen


def _best_of(
    known: Moments, compute: Array, left: float, taken: list[int], places: int
) -> tuple[list[int], float]:
    """Find the one run, or the two, that explain the most; and how much."""
    total, with_best = np.diag(known.covariance) + known.noise, known.with_best
    if places == 1:
        gain = np.where(compute <= left, with_best**2 / total, -np.inf)
        gain[taken] = -np.inf
        return [int(np.argmax(gain))], float(gain.max())
    # Of every two runs at once: the inverse of a covariance of two is written out.
    both, product = known.covariance, np.outer(with_best, with_best)
    square = with_best[:, None] ** 2 * total
    gains = (square + square.T - 2 * product * both) / (np.outer(total, total) - both**2)
    gains[compute[:, None] + compute > left] = -np.inf
    np.fill_diagonal(gains, -np.inf)
    gains[taken], gains[:, taken] = -np.inf, -np.inf
    first, second = np.unravel_index(int(np.argmax(gains)), gains.shape)
    return [int(first), int(second)], float(gains[first, second])
