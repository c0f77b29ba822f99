"""What an observed loss says of the noise about it: its place in the distribution, and which way it pulls."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from bayes_scaling.models.noise import noise_deviation
from bayes_scaling.models.spec import Noise


class Score(NamedTuple):
    """How much more probable an observed loss would be if one logarithm in its distribution were greater."""

    value: xr.DataArray
    """Derivative of the log density of each loss by that logarithm; dims chain, draw, run."""
    information: Any
    """Expected square of it, if the model is right; the dims of `value` or fewer."""
    at: Any
    """The logarithm itself; the dims of `value` or fewer."""


class Scores(NamedTuple):
    """Derivatives by the two logarithms that every noise has."""

    location: Score
    """By that of the loss that the law predicts."""
    scale: Score
    """By that of the scale of the noise."""


def tail_probabilities(
    noise: Noise, loss: xr.DataArray, mu: xr.DataArray, scale: Any, nu: Any = None
) -> tuple[xr.DataArray, xr.DataArray]:
    """Give the probability of a loss below, and of one above, the observed one.

    Parameters
    ----------
    noise, loss, mu, scale, nu
        As for `log_density`.

    Returns
    -------
    below, above : DataArray, dims ("chain", "draw", "run")
        Both, since one less a number near to one says nothing of a far tail.
    """
    z = noise_deviation(noise, loss, mu, scale)
    return _below(noise.family, z, nu), _below(noise.family, -z, nu)


def scores(noise: Noise, loss: xr.DataArray, mu: xr.DataArray, scale: Any, nu: Any = None) -> Scores:
    """Differentiate the log density of each observed loss by the law's loss and by the noise's scale.

    Parameters
    ----------
    noise, loss, mu, scale, nu
        As for `log_density`.

    Returns
    -------
    Scores
    """
    z = noise_deviation(noise, loss, mu, scale)
    pull: Any
    if noise.family == "Normal":
        pull, location_information, scale_information = z, 1.0, 2.0
    elif noise.family == "Laplace":
        pull, location_information, scale_information = np.sign(z), 1.0, 1.0
    else:
        pull = (nu + 1) * z / (nu + z**2)
        location_information, scale_information = (nu + 1) / (nu + 3), 2 * nu / (nu + 3)
    # The raw loss's deviation is in units of the loss: what is relative to it grows with it.
    per_unit = (1.0 if noise.scale == "log" else mu) / scale
    return Scores(
        Score(pull * per_unit, location_information * per_unit**2, np.log(mu)),
        Score(z * pull - 1.0, scale_information, np.log(scale)),
    )


def _below(family: str, z: xr.DataArray, nu: Any) -> xr.DataArray:
    from scipy import special

    if family == "Normal":
        return xr.apply_ufunc(special.ndtr, z)
    if family == "Laplace":
        half = 0.5 * np.exp(-abs(z))
        return xr.where(z < 0, half, 1.0 - half)
    return xr.apply_ufunc(special.stdtr, nu, z)
