"""Where a study's own IsoFLOP profiles have their minima: what a predicted optimum is held against."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from bayes_scaling.approaches.isoflop import STATUSES, USABLE, approach_2
from bayes_scaling.runs.budgets import isoflop_profiles

WITHIN = 8.0
"""Factor about the size with the least loss within which a parabola is fitted: its bias is small there."""

_RESAMPLES, _FOUND = 200, 0.9
"""Resamples of a profile, and the share of them that must have a minimum: others have none to speak of."""


class Minimum(NamedTuple):
    """The minimum of one profile."""

    budget: float
    """In FLOPs."""
    log_params: float
    """Log of the size there."""
    error: np.ndarray
    """Log of the size in each resample of the profile's runs, less that; dims ("resample",)."""
    steepness: float
    """Curvature of the loss in log N over the slope of the least loss in log C: (log N - log N_min)^2 times
    it is the log compute that is wasted."""


def minima(runs: pd.DataFrame, seed: int = 0) -> list[Minimum]:
    """Find the minima of the IsoFLOP profiles of one recipe.

    Parameters
    ----------
    runs : DataFrame
        A checked table of runs of one recipe, of all budgets.
    seed : int
        Of the resamples of each profile.

    Returns
    -------
    list of Minimum
        By rising budget. Profiles without a minimum inside their sizes are left out, and so are those of
        which a tenth of the resamples have none; all are, where fewer than three budgets have one.
    """
    profiles = isoflop_profiles(runs)
    number = profiles["profile"].to_numpy()
    one = approach_2(profiles, np.ones((1, len(runs))), within=WITHIN).isel(resample=0)
    if np.isnan(one["gamma"].item()):
        return []
    if "budget" not in runs and one["usable"].item() < profiles.sizes["budget"] / 2:
        # Runs with like FLOPs by chance are no IsoFLOP design.
        return []
    rng = np.random.default_rng(seed)
    weights = np.zeros((_RESAMPLES, len(runs)))
    for i in range(profiles.sizes["budget"]):
        own = np.flatnonzero(number == i)
        weights[:, own] = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), size=_RESAMPLES)
    several = approach_2(profiles, weights, within=WITHIN)
    found = []
    for i in range(profiles.sizes["budget"]):
        if one["status"].values[i] != STATUSES[USABLE]:
            continue
        log_params, flops = (float(np.log(one[name].values[i])) for name in ("params_min", "flops"))
        error = np.log(several["params_min"].values[:, i]) - log_params
        error = error[np.isfinite(error)]
        slope = float(one["loss_coefficient"] * one["gamma"] * np.exp(-one["gamma"] * flops))
        if len(error) >= _FOUND * _RESAMPLES and slope > 0:
            found.append(
                Minimum(float(np.exp(flops)), log_params, error, float(one["curvature"].values[i]) / slope)
            )
    return found
