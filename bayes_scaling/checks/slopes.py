"""What slope the runs beyond a cut show: by how much a decade they leave what was predicted."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayes_scaling.planning.discrepancy import Seen

type Array = np.ndarray[Any, Any]

LEAST_RUNS, LEAST_DECADES = 3, 0.25
"""Runs beyond a cut, and decades to the farthest, without which no slope is seen."""


def seen_slope(
    cut: float, draws: Array, observed: Array, decades: Array, *, least: int = LEAST_RUNS
) -> Seen | None:
    """Measure the slope beyond a cut by least squares, each run weighed by how well it was predicted.

    Parameters
    ----------
    cut : float
        In FLOPs.
    draws : ndarray, dims ("run", "draw")
        Of what was predicted, each draw of all runs together.
    observed : ndarray, dims ("run",)
        What came.
    decades : ndarray, dims ("run",)
        From the cut to each run's compute.
    least : int
        Runs without which no slope is seen.

    Returns
    -------
    Seen or None
        The error is that of the slope in the predictive draws themselves, which hold what the posterior
        leaves open and the noise; or that by the scatter of the runs about the line, if it is larger. None if
        the runs are too few or too near.
    """
    if len(observed) < least or decades.max() < LEAST_DECADES:
        return None
    low, middle, high = np.quantile(draws, [0.16, 0.5, 0.84], axis=1)
    weight = decades / np.maximum(high - low, 1e-9) ** 2
    weight /= weight @ decades
    away = observed - middle
    slope = float(weight @ away)
    low, high = np.quantile(weight @ (draws - middle[:, None]), [0.16, 0.84])
    scatter = weight * (away - slope * decades)
    return Seen(cut, slope, float(max((high - low) / 2, np.sqrt(scatter @ scatter))))
