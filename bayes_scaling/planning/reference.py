"""What regret is measured against: the least cost of a loss, had one known the law, within the same limits.

A plan that has to serve, to repeat its tokens or to keep limits is compared with the best plan that has to do
so too. What the limits themselves cost is said apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from bayes_scaling.laws.lifetime import INFERENCE_SHARE
from bayes_scaling.planning.constraints import NO_LIMITS, Limits
from bayes_scaling.planning.problem import Problem

type Array = np.ndarray[Any, Any]

_SAVING = 1e-7
"""Share of a cost down to which the best plans are worked out; a plan as bad as that wastes everything."""

_NODES, _NODES_OF_LIST, _GRADING = 32, 120, 2.0
"""Costs at which they are, of any size and of a list; closer together where little is wasted."""

_HALVINGS = 26
"""Steps to a size whose loss has all its digits, being flat there."""


def prepared(problem: Problem, cost: float, within: Limits = NO_LIMITS) -> Problem:
    """Prepare to judge plans of at most one cost by the best that could have been done instead.

    Parameters
    ----------
    problem : Problem
        What plans cost and reach.
    cost : float
        In FLOPs, of training and of serving.
    within : Limits
        What the plan that they are compared with has to keep.

    Returns
    -------
    Problem
        The same, where fresh tokens for training are all that is paid for: the law's own regret holds then.
    """
    problem = replace(problem, least=None)
    if problem.plain and not within.any():
        return problem
    return replace(problem, least=_least_cost(problem, cost, within))


def best_loss(problem: Problem, cost: Any, within: Limits) -> Array:
    """Least loss at a cost within limits, for every draw; infinite where no size is within them."""
    surface = problem.surface
    low = np.full(np.shape(cost), within.min_params)
    if np.isfinite(within.max_tokens):
        # Whoever may not buy more tokens can spend the rest on size alone.
        low = np.maximum(low, surface.params(within.max_tokens + problem.served * INFERENCE_SHARE, cost))
    high = np.minimum(within.max_params, problem.largest(cost))
    if within.sizes is None:
        params = np.clip(problem.best(cost, _HALVINGS)[0], low, high)
        return problem.loss(params, problem.tokens(params, cost))
    found = np.array(np.inf)
    for size in within.sizes:
        allowed = within.near(size, low, high)
        tokens = np.where(allowed, problem.tokens(size, cost), 1.0)
        found = np.minimum(found, np.where(allowed, problem.loss(size, tokens), np.inf))
    return found


def price_of_limits(problem: Problem, cost: float, within: Limits) -> Array:
    """Share of a cost that the best plan within limits would save without them, and with fresh tokens only.

    Parameters
    ----------
    problem, cost, within
        As for `prepared`.

    Returns
    -------
    ndarray, dims ("draw",)
        At equal loss; serving is paid for either way.
    """
    loss = best_loss(problem, cost, within)
    return np.maximum(1 - problem.surface.least_lifetime_compute(loss, problem.served) / cost, 0.0)


def _least_cost(problem: Problem, cost: float, within: Limits) -> Callable[[Array], Array]:
    """Give the least cost to a loss as a function, ready to be asked of many losses.

    What it is over the least training compute to the loss, which the law knows, changes slowly: it is worked
    out at some costs, and between them follows cubics in the logarithm of that compute.
    """
    steps = np.linspace(0, 1, _NODES if within.sizes is None else _NODES_OF_LIST) ** _GRADING
    costs = cost * (_cheapest(problem, cost, within) / cost) ** steps[:, None]
    loss = best_loss(problem, costs, within)
    # Nobody has to spend all of a budget; it matters where a size of a list may not have the tokens.
    loss = np.minimum.accumulate(loss[::-1])[::-1]
    # A loss as low as the irreducible one, to rounding, or infinite, has no compute to compare with.
    with np.errstate(divide="ignore"):
        log_compute = np.log(problem.surface.least_compute(loss))
    log_compute = np.where(np.isfinite(log_compute), log_compute, np.log(costs))
    log_compute = np.minimum.accumulate(log_compute)
    excess = np.log(costs) - log_compute
    width = log_compute[:-1] - log_compute[1:]
    slope = _slopes(np.log(costs), log_compute) - 1
    draw = np.arange(loss.shape[-1])

    def least(loss: Array) -> Array:
        with np.errstate(divide="ignore"):
            at = np.log(problem.surface.least_compute(loss))
        # No plan within the limits is better than the best of them, but for rounding.
        at = np.clip(at, log_compute[-1], log_compute[0])
        node = np.zeros(at.shape, dtype=int)
        for inside in log_compute[1:-1]:
            node += at <= inside
        span = width[node, draw]
        share = (log_compute[node, draw] - at) / np.where(span > 0, span, 1.0)
        rest = 1 - share
        log_over = rest**2 * (1 + 2 * share) * excess[node, draw]
        log_over += share**2 * (1 + 2 * rest) * excess[node + 1, draw]
        log_over += share * rest * span * (share * slope[node + 1, draw] - rest * slope[node, draw])
        return np.exp(at + log_over)

    return least


def _slopes(log_cost: Array, log_compute: Array) -> Array:
    """Slope of the logarithm of the cost in that of the compute at the nodes, falling along the first axis.

    Turned round it is smooth even where more of the cost hardly buys anything: that slope is a parabola's
    through three nodes. It is kept where cubics through nodes rise all the way (Fritsch and Carlson 1980).
    """
    step = log_cost[:-1] - log_cost[1:]
    bought = (log_compute[:-1] - log_compute[1:]) / step
    weight = step[1:] / (step[1:] + step[:-1])
    inner = weight * bought[:-1] + (1 - weight) * bought[1:]
    ends = [2 * bought[i] - inner[i] for i in (0, -1)]
    rate = np.maximum(np.concatenate([ends[:1], inner, ends[1:]]), 1e-12)
    least = 1 / np.maximum(bought, 1e-12)
    most = 3 * np.minimum(np.concatenate([least[:1], least]), np.concatenate([least, least[-1:]]))
    return np.minimum(1 / rate, most)


def _cheapest(problem: Problem, cost: float, within: Limits) -> float:
    """Find a cost that is next to nothing, at which there still is a plan within the limits."""
    smallest = within.min_params
    if within.sizes is not None:
        smallest = max(smallest, float(within.sizes[within.sizes >= smallest * (1 - 1e-9)].min()))
    served = float(problem.cost(smallest, 0.0)) if smallest else 0.0
    return max(cost * _SAVING, min(1.0011 * served, np.sqrt(served * cost)))
