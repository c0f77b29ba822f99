"""From a prior in a spec to a PyMC distribution, with nothing misspelt passed on."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import pymc as pm
import pytensor
from pymc.distributions.transforms import LogTransform

from bayes_scaling.errors import InputError, did_you_mean
from bayes_scaling.models.plain import PLAIN
from bayes_scaling.models.spec import Prior
from bayes_scaling.models.whitened import Bent, NearZero


def prior_variable(
    name: str,
    prior: Prior,
    dim: str | None = None,
    *,
    of: str | None = None,
    near_zero: bool = False,
    bent: bool = False,
    start: Any = None,
) -> Any:
    """Add a random variable with this prior to the model being built.

    Parameters
    ----------
    name : str
        Name of the variable.
    prior : Prior
        Its distribution.
    dim : str, optional
        Name of its dimension, if it is a vector.
    of : str, optional
        Parameter whose prior it is in the spec, if that has another name.
    near_zero : bool
        Sample it in coordinates for what may be nothing at all; see `NearZero`.
    bent : bool
        Sample it in coordinates that are bent at the prior's median; see `Bent`.
    start : TensorVariable, optional
        Where chains start, drawn anew for each; near the prior's centre unless given.

    Returns
    -------
    pytensor.tensor.TensorVariable

    Raises
    ------
    InputError
        If PyMC has no such distribution, the distribution no such parameter, or the parameters'
        values make no distribution of that length: PyMC itself swallows unknown keyword arguments, and
        values such as a negative sigma until its sampler crashes.
    """
    shape = () if dim is None else (len(pm.modelcontext(None).coords[dim]),)
    _check_prior(of or name, *_frozen(prior), shape)
    distribution = _distributions()[prior.dist]
    transform = _coordinate(*_frozen(prior), near_zero=near_zero) if near_zero or bent else None
    given = {} if transform is None else {"default_transform": transform}
    return distribution(name, **prior.parameters, dims=dim, initval=start, **given)


def prior_distribution(name: str, prior: Prior) -> Callable[..., Any]:
    """Check a prior by itself, and give what makes variables with it outside of any model.

    Parameters
    ----------
    name : str
        Of the parameter.
    prior : Prior
        Its distribution.

    Returns
    -------
    callable
        Takes `size`.

    Raises
    ------
    InputError
        As for `prior_variable`.
    """
    with pm.Model(model=None):
        prior_variable(name, prior)
    return partial(_distributions()[prior.dist].dist, **prior.parameters)


def prior_log_density(prior: Prior, values: np.ndarray, *, vector: bool = False) -> np.ndarray:
    """Evaluate the log density of a prior that has been checked.

    Parameters
    ----------
    prior : Prior
        The distribution.
    values : ndarray
        Where; any number of values, in any shape.
    vector : bool
        The last dimension of `values` is the distribution's own, as of a Dirichlet.

    Returns
    -------
    ndarray
        The shape of `values`, without the distribution's own dimension; in nats.
    """
    size = values.shape[:-1] if vector else values.shape
    distribution = _distributions()[prior.dist].dist(**prior.parameters, size=size)
    # Once and in plain Python: compiling would cost more.
    return np.asarray(pm.logp(distribution, values).eval(mode=PLAIN))


def prior_draws(name: str, prior: Prior) -> np.ndarray:
    """Draw from a prior by itself, always the same numbers: what they decide is decided for good.

    Parameters
    ----------
    name : str
        Of the parameter.
    prior : Prior
        Its distribution.

    Returns
    -------
    ndarray, shape (2000,) or, of a vector, (2000, n)

    Raises
    ------
    InputError
        As for `prior_variable`.
    """
    return np.asarray(pm.draw(prior_distribution(name, prior)(size=2000), random_seed=1, mode=PLAIN))


def check_positive(model: pm.Model, name: str, *, of: str | None = None) -> None:
    """Refuse a prior that reaches below zero, where a law and its optimum mean nothing.

    Parameters
    ----------
    model : pymc.Model
        The model that has this prior.
    name : str
        Variable that must be positive.
    of : str, optional
        Parameter whose prior it is in the spec, if that has another name.

    Raises
    ------
    InputError
        If it need not be.
    """
    variable = model[name]
    transform = model.rvs_to_transforms[variable]
    # The unconstrained values -40 and 40 map to the ends of the support, to within rounding.
    inputs = variable.owner.inputs
    ends = [] if transform is None else [transform.backward(x, *inputs) for x in (-40.0, 40.0)]
    if not ends or min(float(np.min(end.eval(mode=PLAIN))) for end in ends) < 0:
        raise InputError(
            f"prior of {of or name}: it reaches below zero, but {of or name} must be positive; "
            "choose for instance LogNormal, Gamma, HalfNormal or TruncatedNormal with lower = 0"
        )


type _Parameters = tuple[tuple[str, float | tuple[float, ...]], ...]


def _frozen(prior: Prior) -> tuple[str, _Parameters]:
    """Make of a prior what a cache can look up: a refit builds its model again, with the same priors."""
    parameters = prior.parameters.items()
    return prior.dist, tuple((key, tuple(x) if isinstance(x, list) else x) for key, x in parameters)


@cache
def _check_prior(name: str, dist: str, parameters: _Parameters, shape: tuple[int, ...]) -> None:
    """Refuse a prior that PyMC does not know, or that gives no finite numbers of this shape."""
    place, known, given = f"prior of {name}: ", _distributions(), dict(parameters)
    distribution = known.get(dist)
    if distribution is None:
        raise InputError(f"{place}PyMC has no distribution {dist!r}{did_you_mean(dist, known)}")
    names = _parameter_names(distribution)
    for parameter in given:
        if parameter not in names:
            raise InputError(f"{place}{dist} has no parameter {parameter!r}{did_you_mean(parameter, names)}")
    try:
        with pm.Model(coords={"element": range(*shape)} if shape else None, model=None):
            variable = distribution(name, **given, dims="element" if shape else None)
        value, density = pytensor.function([], [variable, pm.logp(variable, variable)], mode=PLAIN)()
    except (TypeError, ValueError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{place}{dist} does not take {given}: {reason}") from error
    if value.shape != shape or not np.all(np.isfinite(density)):
        wanted = f"{shape[0]} numbers that are" if shape else "one number that is"
        raise InputError(f"{place}{dist} with {given} does not give {wanted} finite")


@cache
def _coordinate(dist: str, parameters: _Parameters, *, near_zero: bool) -> NearZero | Bent | None:
    """Coordinate for a prior on all positive numbers; None for any other, which keeps its own."""
    prior = Prior(dist, dict(parameters))
    with pm.Model(model=None) as alone:
        variable = prior_variable("alone", prior)
    if not isinstance(alone.rvs_to_transforms[variable], LogTransform):
        return None
    median = float(np.median(prior_draws("alone", prior)))
    return NearZero(median / np.log(2)) if near_zero else Bent(median)


def _parameter_names(distribution: type[pm.Distribution]) -> list[str]:
    signature = inspect.signature(distribution.dist)
    return [
        name
        for name, parameter in signature.parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]


def _distributions() -> dict[str, type[pm.Distribution]]:
    return {
        name: value
        for name, value in vars(pm.distributions).items()
        if inspect.isclass(value) and issubclass(value, pm.Distribution)
    }
