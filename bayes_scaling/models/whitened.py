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
from pymc.distributions.dist_math import normal_lcdf
from pymc.distributions.transforms import Transform

UNKNOWN = 1e3
"""Error of an estimate that a group's data do not give, in units far beyond any spread of groups."""


def whitened_normal(
    name: str,
    mean: Any,
    sd: Any,
    *,
    estimate: Any,
    error: np.ndarray,
    dim: str,
    bent: float | None = None,
) -> Any:
    """Add a vector with a Normal prior to the model being built, sampled in coordinates without a funnel.

    Parameters
    ----------
    name : str
        Name of the variable.
    mean, sd : TensorVariable
        Of its prior.
    estimate : ndarray or TensorVariable, dims (dim,)
        Of each element by its own data alone; may depend on other variables of the model.
    error : ndarray, dims (dim,)
        Of the estimates; `UNKNOWN` where the data say nothing.
    dim : str
        Name of its dimension.
    bent : float, optional
        Of the logarithm of a positive parameter: the scale at which its coordinate bends; see `Bent`.

    Returns
    -------
    TensorVariable
    """
    if isinstance(estimate, np.ndarray):
        estimate = pm.Data(f"{name}_estimate", estimate, dims=dim)

    # A transform sees its variable's inputs and nothing else: hence the two that the distribution ignores.
    def normal(mu: Any, sigma: Any, _estimate: Any, _error: Any, size: Any) -> Any:
        return pm.Normal.dist(mu, sigma, size=size)

    def density(value: Any, mu: Any, sigma: Any, _estimate: Any, _error: Any) -> Any:
        return pm.logp(pm.Normal.dist(mu, sigma), value)

    return pm.CustomDist(
        name,
        mean,
        sd,
        estimate,
        pm.Data(f"{name}_error", error, dims=dim),
        dist=normal,
        logp=density,
        signature="(),(),(),()->()",
        # Chains start about the middle of the coordinates. At the prior's, which is PyMC's way, a well known
        # element would be thousands of its errors away.
        support_point=lambda _variable, _size, *inputs: _together(*inputs)[0],
        default_transform=Whitened(bent),
        dims=dim,
    )


def _together(mu: Any, sigma: Any, estimate: Any, error: Any) -> tuple[Any, Any]:
    """Mean and standard deviation of two Normal sources together."""
    own, prior = error**2, sigma**2
    return (estimate * prior + mu * own) / (prior + own), pt.sqrt(prior * own / (prior + own))


class Bent(Transform):
    """Transform of a positive parameter: its logarithm far below a scale, a straight line far above it.

    What runs tell of an exponent is how large it is, not what power of ten: on the logarithm alone a
    posterior that reaches towards zero has an endless tail.

    Parameters
    ----------
    scale : float
        Where it bends.
    """

    name = "bent"

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def forward(self, value: Any, *_: Any) -> Any:
        """From the parameter to the sampler's coordinate."""
        return pt.log(pt.expm1(value / self.scale))

    def backward(self, value: Any, *_: Any) -> Any:
        """From the sampler's coordinate to the parameter."""
        return self.scale * pt.softplus(value)

    def log_jac_det(self, value: Any, *_: Any) -> Any:
        """Logarithm of the slope of `backward`."""
        return np.log(self.scale) - pt.softplus(-value)


class Whitened(Transform):
    """Transform of a vector with a Normal prior, one element a group; given what `whitened_normal` is."""

    name = "whitened"

    def __init__(self, bent: float | None = None) -> None:
        self.bent = None if bent is None else Bent(bent)

    def forward(self, value: Any, *inputs: Any) -> Any:
        """From the parameter to the sampler's coordinate."""
        middle, sd = self._middle(inputs)
        return ((value if self.bent is None else self.bent.forward(pt.exp(value))) - middle) / sd

    def backward(self, value: Any, *inputs: Any) -> Any:
        """From the sampler's coordinate to the parameter."""
        middle, sd = self._middle(inputs)
        at = middle + sd * value
        return at if self.bent is None else pt.log(self.bent.backward(at))

    def log_jac_det(self, value: Any, *inputs: Any) -> Any:
        """Logarithm of the slope of `backward`."""
        middle, sd = self._middle(inputs)
        if self.bent is None:
            return pt.log(sd) + pt.zeros_like(value)
        at = middle + sd * value
        return pt.log(sd) + self.bent.log_jac_det(at) - pt.log(self.bent.backward(at))

    def _middle(self, inputs: tuple[Any, ...]) -> tuple[Any, Any]:
        """Mean and standard deviation of both sources together, on the scale that is straight."""
        # After the size.
        mean, sd = _together(*inputs[1:5])
        if self.bent is None:
            return mean, sd
        at = self.bent.forward(pt.exp(mean))
        return at, sd * pt.exp(mean - self.bent.log_jac_det(at))


class NearZero(Transform):
    """Transform of a standard deviation that the data may not tell from zero.

    On the logarithm, the sampler's usual coordinate, all that is as good as zero is an endless slope. Here
    the coordinate is the standard normal that has the same quantile as an exponential distribution: zero lies
    as far out as a normal distribution's tail does.

    Parameters
    ----------
    scale : float
        Of the exponential distribution: the prior's own, roughly.
    """

    name = "near_zero"

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def forward(self, value: Any, *_: Any) -> Any:
        """From the parameter to the sampler's coordinate."""
        return -np.sqrt(2) * pt.erfcinv(-2 * pt.expm1(-value / self.scale))

    def backward(self, value: Any, *_: Any) -> Any:
        """From the sampler's coordinate to the parameter."""
        return -self.scale * normal_lcdf(0.0, 1.0, -value)

    def log_jac_det(self, value: Any, *_: Any) -> Any:
        """Logarithm of the slope of `backward`."""
        log_density = -(value**2) / 2 - np.log(2 * np.pi) / 2
        return np.log(self.scale) + log_density - normal_lcdf(0.0, 1.0, -value)


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
        return self.middle(*inputs[1:4])

    def middle(self, spread: Any, estimate: Any, error: Any) -> tuple[Any, Any]:
        """Mean and standard deviation that the coordinate is relative to."""
        weight = 1 / (spread**2 + error**2)
        total = self.sd**-2 + weight.sum()
        return (self.mean * self.sd**-2 + (weight * estimate).sum()) / total, 1 / pt.sqrt(total)
