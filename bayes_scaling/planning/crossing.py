"""Where a function of every draw crosses zero, or is least: first on a ladder, then closer and closer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

type Array = np.ndarray[Any, Any]

SECANTS = 14
"""Steps after which a search from one rung to the next has its answer to some ten digits."""

_RUNG, _GROWTH = 0.4, 1.15
"""Length of the first rung, and by what factor each is longer than the last."""


def first_crossing(gap: Callable[[Array], Array], start: Array, *, rungs: int) -> tuple[Array, Array]:
    """Climb from where a gap is above 0 to where it first is not.

    Parameters
    ----------
    gap : callable
        Of an array like `start`, elementwise.
    start : ndarray
        Where the climb begins.
    rungs : int
        How many are tried, the first 0.4 long and each 1.15 times as long as the last.

    Returns
    -------
    at : ndarray
        Of the crossing; any number where there is none.
    found : ndarray of bool
        Whether there is one.
    """
    shape = start.shape
    low = np.array(start)
    at_low, at_high, width = gap(low), np.zeros(shape), np.zeros(shape)
    found = np.zeros(shape, dtype=bool)
    for step in _RUNG * _GROWTH ** np.arange(rungs):
        ahead = gap(low + step)
        new = ~found & (ahead <= 0)
        at_high, width = np.where(new, ahead, at_high), np.where(new, step, width)
        found |= new
        low, at_low = np.where(found, low, low + step), np.where(found, at_low, ahead)
        if found.all():
            break
    # Where there is no crossing the search runs on zeros, and its end is thrown away.
    at_low = np.where(found, at_low, 0.0)
    return crossing(lambda x: np.where(found, gap(x), 0.0), low, low + width, at_low, at_high), found


def crossing(
    gap: Callable[[Array], Array],
    low: Array,
    high: Array,
    at_low: Array,
    at_high: Array,
    *,
    steps: int = SECANTS,
) -> Array:
    """Find where a gap that is above 0 at `low` and not at `high` vanishes, by the Illinois rule.

    Parameters
    ----------
    gap : callable
        Of an array like the others, elementwise.
    low, high, at_low, at_high : ndarray
        The ends, and the gaps there.
    steps : int
        Of the search.

    Returns
    -------
    ndarray
    """
    last = np.zeros(low.shape)
    middle = high
    for _ in range(steps):
        slope = at_low - at_high
        middle = np.where(slope > 0, low + (high - low) * at_low / np.where(slope > 0, slope, 1.0), high)
        value = gap(middle)
        side = np.where(value <= 0, 1.0, -1.0)
        # An end that stays a second time is given half its weight, so that it moves too.
        kept = np.where(side == last, 0.5, 1.0)
        at_low, at_high = (
            np.where(side > 0, at_low * kept, value),
            np.where(side > 0, value, at_high * kept),
        )
        low, high = np.where(side > 0, low, middle), np.where(side > 0, middle, high)
        last = side
    return middle


def valley(function: Callable[[Array], Array], start: Array, *, rungs: int) -> tuple[Array, Array, Array]:
    """Find on a ladder about where a function that falls and then rises is least, from a start on.

    Parameters
    ----------
    function : callable
        Of an array like `start`, elementwise.
    start : ndarray
        Before the least value, or at it.
    rungs : int
        Of a ladder as for `first_crossing`.

    Returns
    -------
    low, high : ndarray
        The rungs about it.
    least : ndarray
        The least value of a rung.
    """
    at = np.concatenate([[0.0], np.cumsum(_RUNG * _GROWTH ** np.arange(rungs))])
    best, least = np.zeros(start.shape, dtype=int), function(start)
    for rung in range(1, len(at)):
        here = function(start + at[rung])
        best, least = np.where(here < least, rung, best), np.minimum(here, least)
    return start + at[np.maximum(best - 1, 0)], start + at[np.minimum(best + 1, rungs)], least


def golden_section(function: Callable[[Array], Array], low: Array, high: Array, *, steps: int) -> Array:
    """Find where a function with one least value between two ends has it, elementwise."""
    share = (np.sqrt(5) - 1) / 2
    inner, outer = high - share * (high - low), low + share * (high - low)
    at_inner, at_outer = function(inner), function(outer)
    for _ in range(steps):
        left = at_inner < at_outer
        low, high = np.where(left, low, inner), np.where(left, outer, high)
        fresh = np.where(left, high - share * (high - low), low + share * (high - low))
        at_fresh = function(fresh)
        inner, outer = np.where(left, fresh, outer), np.where(left, inner, fresh)
        at_inner, at_outer = np.where(left, at_fresh, at_outer), np.where(left, at_inner, at_fresh)
    return np.where(at_inner < at_outer, inner, outer)
