"""Are numbers between 0 and 1 uniform: a test, and the band in which their whole distribution then stays.

Each of n uniform numbers in order has a beta distribution: the k-th, Beta(k, n - k + 1). The statistic is the
smallest two-sided probability of any of them, and is compared with what it is in sets of uniform numbers:
equal local levels, Aldor-Noiman et al. 2013 (The American Statistician 67). The band is that of Säilynoja et
al. 2022 (arXiv 2103.10522), with every number in order at the same level; the test fails where the numbers
leave it.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import special

SETS = 4000
"""Of uniform numbers, which the statistic is compared with."""

EVERY, SPACED = 30, 140
"""Of many numbers in order, as many at each end and between are looked at: neighbours tell the same."""


def uniformity_p_value(values: np.ndarray) -> float:
    """Test whether numbers are uniform.

    Parameters
    ----------
    values : ndarray, dims ("run",)
        Independent, between 0 and 1.

    Returns
    -------
    float
        Probability of a set of uniform numbers, one of which in order lies as far out.
    """
    place = _places(len(values))
    least = _two_sided(np.sort(values)[place - 1], place, len(values)).min()
    by_sets = (1 + np.searchsorted(_least_of_uniform(len(values)), least, side="right")) / (1 + SETS)
    # Farther out than sets can tell: no more than the probabilities of all numbers together.
    return float(min(by_sets, len(place) * least))


def uniform_band(count: int, prob: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the simultaneous band of the empirical distribution of uniform numbers.

    Parameters
    ----------
    count : int
        How many numbers.
    prob : float
        With this probability the whole distribution stays inside.

    Returns
    -------
    share, low, high : ndarray
        The number at which the share of all is reached lies between low and high.
    """
    place = _places(count)
    # The sets that a p-value of 1 - prob allows below, or what all numbers together allow: as in the test.
    fewer = int(np.ceil((1 - prob) * (1 + SETS) - 1))
    by_sets = _least_of_uniform(count)[fewer - 1] if fewer > 0 else 0.0
    level = max(by_sets, (1 - prob) / len(place))
    ends = (special.betaincinv(place, count - place + 1, tail) for tail in (level / 2, 1 - level / 2))
    return place / count, *ends


def _places(count: int) -> np.ndarray:
    places = np.arange(1, count + 1)
    if count <= 2 * EVERY + SPACED:
        return places
    middle = np.linspace(EVERY + 1, count - EVERY, SPACED).round().astype(int)
    return np.concatenate([places[:EVERY], middle, places[-EVERY:]])


def _two_sided(ordered: np.ndarray, place: np.ndarray, count: int) -> np.ndarray:
    below = special.betainc(place, count - place + 1, ordered)
    above = special.betainc(count - place + 1, place, 1 - ordered)
    return 2 * np.minimum(below, above)


@lru_cache(maxsize=8)
def _least_of_uniform(count: int) -> np.ndarray:
    """Statistics of sets of uniform numbers, in order."""
    rng, place = np.random.default_rng(20_220_330), _places(count)
    found = []
    # A few sets at a time: of many runs all of them would fill the memory.
    for sets in np.array_split(np.arange(SETS), max(1, SETS * count // 4_000_000)):
        ordered = np.sort(rng.uniform(size=(len(sets), count)), axis=1)[:, place - 1]
        found.append(_two_sided(ordered, place, count).min(axis=1))
    return np.sort(np.concatenate(found))
