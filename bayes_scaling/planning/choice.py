"""Choosing a size at a budget: least expected regret, and the sizes whose regret stays small.

Every quantity is an average over draws of the answer, never the answer at an average draw.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bayes_scaling.planning.constraints import Allowed
from bayes_scaling.planning.problem import Problem, blocks

type Array = np.ndarray[Any, Any]

SIZES = 400
"""Of the grid."""

_BEYOND = 10.0
"""How far the grid reaches beyond the optima of the draws."""

_GOLDEN, _HALVINGS = 60, 26
"""Steps that end within 1e-9 of a size, and of the ends of a region."""


def size_grid(problem: Problem, cost: float, allowed: Allowed, best: Array) -> Array:
    """Sizes to look at: the ones that can be built, or a fine grid over all that could be right.

    Parameters
    ----------
    problem : Problem
        What a plan is judged by.
    cost : float
        The budget in FLOPs.
    allowed : Allowed
        The sizes within all limits.
    best : ndarray, dims ("draw",)
        Best size by each draw.

    Returns
    -------
    ndarray, dims ("size",)
        Rising, in parameters.
    """
    if allowed.sizes is not None:
        return allowed.sizes
    # Of thousands of draws the last few may lie anywhere; the grid need not be stretched for them.
    low, high = np.quantile(best, [0.001, 0.999]) * [1 / _BEYOND, _BEYOND]
    low, high = np.clip([low, min(high, float(problem.largest(cost)))], allowed.low, allowed.high)
    grid = np.geomspace(low, high, SIZES) if low < high else np.array([low])
    grid[0], grid[-1] = low, high
    return grid


def best_size(
    problem: Problem, cost: float, allowed: Allowed, sizes: Array, expected: Array
) -> tuple[float, float]:
    """Size of least expected regret at a budget.

    Parameters
    ----------
    problem, cost, allowed
        As for `size_grid`.
    sizes, expected : ndarray, dims ("size",)
        The grid, and the expected regret there.

    Returns
    -------
    params, expected_regret : float
        To some eight digits, unless the sizes are a list.
    """
    i = int(np.argmin(expected))
    if allowed.sizes is not None or len(sizes) == 1:
        return float(sizes[i]), float(expected[i])

    def regret(log_params: float) -> float:
        params = np.exp(log_params)
        return float(problem.regret(params, problem.tokens(params, cost)).mean())

    low, high = np.log(sizes[max(i - 1, 0)]), np.log(sizes[min(i + 1, len(sizes) - 1)])
    found, value = golden_section(regret, float(low), float(high))
    # A limit that binds is met to the digit, not approached.
    return (float(np.exp(found)), value) if value < expected[i] else (float(sizes[i]), float(expected[i]))


def choose(problem: Problem, cost: float, allowed: Allowed) -> tuple[float, float]:
    """Size of least expected regret at a budget, and that regret.

    Parameters
    ----------
    problem, cost, allowed
        As for `size_grid`.

    Returns
    -------
    params, expected_regret : float
        As from `best_size`.
    """
    best = problem.best(cost)[0]
    grid = size_grid(problem, cost, allowed, best)
    expected = np.empty(len(grid))
    for cut, column in blocks(grid, len(best)):
        expected[cut] = problem.regret(column, problem.tokens(column, cost)).mean(axis=-1)
    return best_size(problem, cost, allowed, grid, expected)


def golden_section(
    function: Callable[[float], float], low: float, high: float, *, width: float = 1e-10
) -> tuple[float, float]:
    """Find the minimum of a function with one, between two points, to within a width.

    Returns
    -------
    at, value : float
    """
    share = (np.sqrt(5) - 1) / 2
    inner, outer = high - share * (high - low), low + share * (high - low)
    at_inner, at_outer = function(inner), function(outer)
    for _ in range(_GOLDEN):
        if at_inner < at_outer:
            high, outer, at_outer = outer, inner, at_inner
            inner = high - share * (high - low)
            at_inner = function(inner)
        else:
            low, inner, at_inner = inner, outer, at_outer
            outer = low + share * (high - low)
            at_outer = function(outer)
        if high - low < width:
            break
    return (inner, at_inner) if at_inner < at_outer else (outer, at_outer)


def region(
    problem: Problem,
    cost: float,
    allowed: Allowed,
    sizes: Array,
    inside: Array,
    regrets: Array,
    probabilities: Array,
) -> Array:
    """Find the sizes whose regret stays within a bound with a probability.

    Parameters
    ----------
    problem, cost, allowed
        As for `size_grid`.
    sizes : ndarray, dims ("size",)
        The grid.
    inside : ndarray, dims ("regret_bound", "size")
        Probability that the regret of each size is within each bound.
    regrets : ndarray, dims ("regret_bound",)
        The bounds.
    probabilities : ndarray, dims ("probability",)
        Probabilities that are asked for.

    Returns
    -------
    ndarray, dims ("regret_bound", "probability", "side")
        Smallest and largest size of the stretch about the most probable one; NaN where no size of the grid is
        that sure. At a limit of the grid the region may go on beyond.
    """
    found = np.full((len(regrets), len(probabilities), 2), np.nan)
    # All ends are sought at once: each lies between a size within the region and the next one outside.
    ends: list[tuple[int, int, int, float, float]] = []
    for r in range(len(regrets)):
        top = int(np.argmax(inside[r]))
        for p, probability in enumerate(probabilities):
            if inside[r, top] < probability:
                continue
            for side, step in enumerate((-1, 1)):
                i = top
                while 0 <= i + step < len(sizes) and inside[r, i + step] >= probability:
                    i += step
                found[r, p, side] = sizes[i]
                if allowed.sizes is None and 0 <= i + step < len(sizes):
                    ends.append((r, p, side, np.log(sizes[i]), np.log(sizes[i + step])))
    if not ends:
        return found
    rows, columns, sides = (np.array([end[axis] for end in ends]) for axis in range(3))
    within, outside = (np.array([end[axis] for end in ends]) for axis in (3, 4))
    for _ in range(_HALVINGS):
        middle = (within + outside) / 2
        good = chances(problem, cost, np.exp(middle), regrets[rows]) >= probabilities[columns]
        within, outside = np.where(good, middle, within), np.where(good, outside, middle)
    found[rows, columns, sides] = np.exp(within)
    return found


def chances(problem: Problem, cost: float, sizes: Array, bounds: Array) -> Array:
    """Probability that the regret of each size is within its bound."""
    found = np.empty(len(sizes))
    draws = len(problem.surface.optimum(cost)[0])
    for cut, column in blocks(sizes, draws):
        regret = problem.regret(column, problem.tokens(column, cost))
        found[cut] = (regret <= bounds[cut, None]).mean(axis=-1)
    return found
