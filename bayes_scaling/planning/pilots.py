"""Pilot runs to choose from: a ladder of computes, and on every rung sizes about the best one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bayes_scaling.errors import InputError
from bayes_scaling.planning.problem import Problem
from bayes_scaling.quantities import format_quantity

type Array = np.ndarray[Any, Any]

RUNG = 2**0.5
"""By what factor the computes of the ladder differ."""

_SMALLEST = 10.0
"""How many times cheaper than an equal share of the compute the cheapest pilot run is."""

_SIZES = 13
"""Sizes on every rung, unless they are a list of the caller's."""


@dataclass(frozen=True)
class Pilots:
    """Runs that are not trained yet; arrays have the dims ("pilot",)."""

    params: Array
    tokens: Array
    compute: Array
    """In FLOPs."""

    def some(self, which: list[int]) -> Pilots:
        """Take some of them, in that order."""
        return Pilots(self.params[which], self.tokens[which], self.compute[which])


def candidates(
    problem: Problem,
    pilot: float,
    runs: int,
    *,
    spread: float,
    max_run: float | None = None,
    sizes: Array | None = None,
) -> Pilots:
    """List the pilot runs that may be proposed.

    Parameters
    ----------
    problem : Problem
        What a run costs, and which size is best at a compute by each draw.
    pilot : float
        Compute of all pilot runs together, in FLOPs.
    runs : int
        How many are to be chosen.
    spread : float
        By what factor a size may lie from the median best size at its compute, on either side.
    max_run : float, optional
        Most compute of one run, in FLOPs.
    sizes : ndarray, optional
        The sizes that can be built, in parameters; any size unless given.

    Returns
    -------
    Pilots
        The dearest first.

    Raises
    ------
    InputError
        If the sizes leave fewer candidates than runs are to be chosen, or too few that are cheap.
    """
    most = min(pilot, pilot if max_run is None else max_run)
    least = min(pilot / runs / _SMALLEST, most)
    ladder = most / RUNG ** np.arange(1 + np.ceil(np.log(most / least) / np.log(RUNG)))
    rungs = []
    for compute in ladder:
        middle = typical_size(problem, compute)
        if sizes is None:
            rungs.append(middle * np.geomspace(1 / spread, spread, _SIZES))
        else:
            rungs.append(sizes[(sizes >= middle / spread) & (sizes <= middle * spread)])
    found = bought(problem, np.concatenate(rungs), np.repeat(ladder, [len(rung) for rung in rungs]))
    if len(found.params) < runs or np.sort(found.compute)[:runs].sum() > pilot:
        low, high = (format_quantity(typical_size(problem, end)) for end in (ladder[-1], ladder[0]))
        raise InputError(
            f"the sizes do not allow {runs} different pilot runs within the compute: pilot runs lie within a "
            f"factor of {spread:g} of the best sizes at their computes, {low} to {high} parameters; give "
            "more sizes there or a wider spread, or ask for fewer runs"
        )
    return found


def isoflop_grid(
    problem: Problem,
    pilot: float,
    runs: int,
    spread: float,
    *,
    max_run: float | None = None,
    sizes: Array | None = None,
) -> Pilots:
    """Spend a compute as one IsoFLOP profile: equal runs, sizes even in log N about the best one.

    Parameters
    ----------
    problem, pilot, runs, spread, max_run, sizes
        As for `candidates`. Of sizes that can be built the nearest ones are taken, some of them twice where
        there are few.

    Returns
    -------
    Pilots
    """
    each = min(pilot / runs, np.inf if max_run is None else max_run)
    wanted = typical_size(problem, each) * np.geomspace(1 / spread, spread, runs)
    if sizes is not None:
        wanted = sizes[np.abs(np.log(sizes / wanted[:, None])).argmin(axis=1)]
    return bought(problem, wanted, np.full(runs, each))


def bought(problem: Problem, params: Array, compute: Array) -> Pilots:
    """Give sizes the tokens that their computes buy."""
    return Pilots(params, np.asarray(problem.tokens(params, compute)), compute)


def typical_size(problem: Problem, compute: float) -> float:
    """Median over the draws of the best size at a compute."""
    return float(np.median(problem.best(compute)[0]))
