"""Where a slope bends: what a law gains from compute beyond the runs, and when a slope would take most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_scaling.planning.crossing import crossing
from bayes_scaling.planning.discrepancy import KEPT

if TYPE_CHECKING:
    from bayes_scaling.planning.surface import Surface

type Array = np.ndarray[Any, Any]

_FAR, _STEPS = 30.0, 40
"""Decades beyond the runs up to which a bend is sought, and steps to it."""

_STEP = 1e-4
"""In log tokens: of the slope of the loss."""

_LEAST = 1e-12
"""Of a rate over another; what is less is rounding."""


def frontier_rate(law: Surface, largest: float, decades: Array) -> tuple[Array, Array]:
    """Least log loss at decades beyond the largest run, and how fast it falls there, per decade.

    At the optimum a loss changes with compute as it does with tokens alone.
    """
    params, tokens, loss = law.optimum(largest * 10**decades)
    # Of a draw that is no law there is no rate.
    with np.errstate(all="ignore"):
        less, more = (law.loss(params, tokens * np.exp(step)) for step in (-_STEP, _STEP))
        return np.log(loss), np.log(10) * (less - more) / (2 * _STEP * loss)


def bends(law: Surface, largest: float, slope: Array) -> Array:
    """Find the decades up to which slopes hold: where they would leave less than is kept of the law's gain.

    Parameters
    ----------
    law : Surface
        The law's.
    largest : float
        Compute of the largest run, in FLOPs.
    slope : ndarray, dims ("draw",)
        Of the log loss, per decade.

    Returns
    -------
    ndarray, dims ("draw",)
        Infinite where a slope always holds.
    """
    most = slope / (1 - KEPT)
    bend = np.full(slope.shape, np.inf)
    rate = frontier_rate(law, largest, np.zeros(slope.shape))[1]
    bend[(slope > 0) & (rate <= most)] = 0.0
    where = np.flatnonzero((slope > 0) & (rate > most) & np.isfinite(rate))
    if not where.size:
        return bend
    law, most = law.at_draws(where), most[where]

    def gap(decades: Array) -> Array:
        rate = frontier_rate(law, largest, decades)[1]
        return np.log(np.maximum(rate / most, _LEAST))

    low, high = np.zeros(where.shape), np.full(where.shape, _FAR)
    at_low, at_high = gap(low), gap(high)
    found = crossing(gap, low, high, at_low, np.minimum(at_high, 0.0), steps=_STEPS)
    bend[where] = np.where(at_high > 0, np.inf, found)
    return bend
