"""Coordinates in which a hierarchical model has no funnel: what the data say of each group is built in.

A group's parameter has a prior Normal(mu, sigma) whose sigma is sampled too, and data that by themselves put
it at an estimate, give or take an error. Sampled as it is (centred), or as its distance from mu in units of
sigma (non-centred), it makes a funnel with sigma wherever groups differ in how much their data say. Here it
is sampled as its distance from the mean of both sources together, in units of their common standard
deviation, which is nearly a standard normal whatever sigma is. The model, its prior and its posterior are the
same: the estimates only choose the sampler's coordinates. Where they are useless their error is large, and
the coordinates are the non-centred ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.transforms import Transform

UNKNOWN = 1e3
"""Error of an estimate that a group's data do not give, in units far beyond any spread of groups."""


def whitened_normal(
    name: str, mean: Any, sd: Any, *, estimate: np.ndarray, error: np.ndarray, dim: str
) -> Any:
    """Add a vector with a Normal prior to the model being built, sampled in coordinates without a funnel.

    Parameters
    ----------
    name : str
        Name of the variable.
    mean, sd : TensorVariable
        Of its prior.
    estimate, error : ndarray, dims (dim,)
        Of each element by its own data alone; the error is `UNKNOWN` where they say nothing.
    dim : str
        Name of its dimension.

    Returns
    -------
    TensorVariable
    """
    estimates = pm.Data(f"{name}_estimate", estimate, dims=dim)
    errors = pm.Data(f"{name}_error", error, dims=dim)
    # PyMC can use data in a transform only if the model's own graph holds them: hence the zero.
    return pm.Normal(
        name, mean + 0 * (estimates + errors), sd, dims=dim, default_transform=Whitened(estimates, errors)
    )


class Whitened(Transform):
    """Transform of a vector with a Normal prior, one element a group.

    Parameters
    ----------
    estimate, error : TensorVariable
        Of each group by its own data alone; an error far above any sigma where they say nothing.
    """

    name = "whitened"

    def __init__(self, estimate: Any, error: Any) -> None:
        self.estimate, self.error = estimate, error

    def forward(self, value: Any, *inputs: Any) -> Any:
        """From the parameter to the sampler's coordinate."""
        mean, sd = self._together(inputs)
        return (value - mean) / sd

    def backward(self, value: Any, *inputs: Any) -> Any:
        """From the sampler's coordinate to the parameter."""
        mean, sd = self._together(inputs)
        return mean + sd * value

    def log_jac_det(self, value: Any, *inputs: Any) -> Any:
        """Logarithm of the slope of `backward`."""
        _, sd = self._together(inputs)
        return pt.log(sd) + pt.zeros_like(value)

    def _together(self, inputs: tuple[Any, ...]) -> tuple[Any, Any]:
        # A Normal's inputs end with its mu and its sigma.
        mu, sigma = inputs[-2:]
        own, prior = self.error**2, sigma**2
        return (self.estimate * prior + mu * own) / (prior + own), pt.sqrt(prior * own / (prior + own))


class Anchored(Transform):
    """Transform of the centre of a population of groups, sampled with its spread.

    Groups that are well known hold the centre the tighter the smaller their spread is: a funnel of its own.
    Here the centre is sampled as its distance from the mean of its prior and the groups' estimates together,
    in units of their common standard deviation at the spread in hand.

    Parameters
    ----------
    mean, sd : float
        Of the centre's prior, roughly; they choose the coordinate and nothing else.
    """

    name = "anchored"

    def __init__(self, mean: float, sd: float) -> None:
        self.mean, self.sd = mean, sd

    def forward(self, value: Any, *inputs: Any) -> Any:
        """From the parameter to the sampler's coordinate."""
        mean, sd = self._together(inputs)
        return (value - mean) / sd

    def backward(self, value: Any, *inputs: Any) -> Any:
        """From the sampler's coordinate to the parameter."""
        mean, sd = self._together(inputs)
        return mean + sd * value

    def log_jac_det(self, value: Any, *inputs: Any) -> Any:
        """Logarithm of the slope of `backward`."""
        return pt.log(self._together(inputs)[1]) + pt.zeros_like(value)

    def _together(self, inputs: tuple[Any, ...]) -> tuple[Any, Any]:
        # After the size come the spread, and the groups' estimates and errors.
        spread, estimate, error = inputs[1:4]
        weight = 1 / (spread**2 + error**2)
        total = self.sd**-2 + weight.sum()
        return (self.mean * self.sd**-2 + (weight * estimate).sum()) / total, 1 / pt.sqrt(total)
