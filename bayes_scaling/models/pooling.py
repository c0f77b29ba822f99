"""How the parameters of several recipes hang together: apart, partially pooled, or one value for all.

A recipe's parameters are those at its own centre: the typical compute, size and loss of its runs. The
population's are those at the centre of all runs. Where a parameter depends on where it is read (the best
size, say, grows with compute), the population's is first carried along the population's own law to the
recipe's centre, and the recipe's value scatters about that:

    none      theta_r ~ prior
    partial   link(theta_r) ~ Normal(link(theta_typical) + shift_r, theta_spread)
    full      link(theta_r) = link(theta_typical) + shift_r

With one recipe all three are theta ~ prior.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from bayes_scaling.models.plain import PLAIN
from bayes_scaling.models.priors import check_positive, prior_distribution, prior_draws, prior_variable
from bayes_scaling.models.spec import LINKS, SHIFTED, Spec
from bayes_scaling.models.whitened import UNKNOWN, Anchored, whitened_normal


class _Link(NamedTuple):
    suffix: str
    forward: Callable[[Any], Any]
    backward: Callable[[Any], Any]
    log_slope: Callable[[Any], Any]
    """Of `backward`."""


_LINKS = {
    "identity": _Link("", lambda x: x, lambda x: x, pt.zeros_like),
    "log": _Link("_log", pt.log, pt.exp, lambda x: x),
    "logit": _Link(
        "_logit", lambda x: pt.log(x) - pt.log1p(-x), pt.sigmoid, lambda x: -pt.softplus(x) - pt.softplus(-x)
    ),
}

BENT = ("alpha", "beta")
"""Parameters that runs may tell to be small without telling how small: see `whitened.Bent`."""

type Estimates = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""By parameter: estimates of each recipe by its own runs and their errors, on the link scale."""


def population(
    name: str,
    spec: Spec,
    *,
    several: bool,
    estimates: Estimates | None = None,
    offset: np.ndarray | float = 0.0,
) -> Any:
    """Add a parameter of the population, and its spread over recipes, to the model being built.

    Parameters
    ----------
    name : str
        The parameter, which has a prior in the spec.
    spec : Spec
        Priors and pooling.
    several : bool
        Whether recipes are told apart.
    estimates : Estimates, optional
        They choose the sampler's coordinates and where chains start, and nothing else.
    offset : ndarray, dims ("recipe",)
        About what `shift` will be in `own_values`: likewise.

    Returns
    -------
    TensorVariable
        A scalar, or dims ("recipe",) where nothing is pooled: each recipe's own.
    """
    prior = spec.priors[name]
    near_zero, bent = name.endswith("_scatter"), name in BENT
    how = spec.pooling[name] if several else "none"
    if how == "none":
        start = _start(name, estimates)
        dim = "recipe" if several else None
        return prior_variable(name, prior, dim=dim, near_zero=near_zero, bent=bent, start=start)
    if how == "full":
        own_name = f"{name}_typical" if name in SHIFTED else name
        return prior_variable(own_name, prior, of=name, near_zero=near_zero, bent=bent)
    link = _LINKS[LINKS.get(name, "log")]
    spread = prior_variable(f"{name}_spread", spec.priors[f"{name}_spread"], near_zero=True)
    estimate, error = _estimates_of(name, estimates)
    distribution = prior_distribution(name, prior)
    draws = link.forward(pt.as_tensor(prior_draws(name, prior))).eval(mode=PLAIN)

    def random(*inputs: Any) -> Any:
        # What is not the prior's is there for the transform alone.
        return link.forward(distribution(size=inputs[-1]))

    def density(value: Any, *_: Any) -> Any:
        return pm.logp(distribution(), link.backward(value)) + link.log_slope(value)

    anchored = Anchored(float(draws.mean()), float(draws.std()))
    typical = pm.CustomDist(
        f"{name}_typical{link.suffix}",
        spread,
        pm.Data(f"{name}_typical_estimate", estimate - offset, dims="recipe"),
        pm.Data(f"{name}_typical_error", error, dims="recipe"),
        dist=random,
        logp=density,
        signature="(),(r),(r)->()",
        support_point=lambda _variable, _size, *inputs: anchored.middle(*inputs)[0],
        default_transform=anchored,
    )
    return typical if not link.suffix else pm.Deterministic(f"{name}_typical", link.backward(typical))


def own_values(
    name: str,
    spec: Spec,
    typical: Any,
    *,
    several: bool,
    shift: Any = 0.0,
    estimates: Estimates | None = None,
) -> Any:
    """Add each recipe's own value of a parameter to the model being built.

    Parameters
    ----------
    name : str
        The parameter.
    spec : Spec
        Pooling.
    typical : TensorVariable
        From `population`.
    several : bool
        Whether recipes are told apart.
    shift : TensorVariable, dims ("recipe",)
        By what the population's value moves, on the link scale, from the centre of all runs to the recipe's.
    estimates : Estimates, optional
        They choose the sampler's coordinates, and nothing else.

    Returns
    -------
    TensorVariable
        A scalar, or dims ("recipe",).
    """
    if not several or spec.pooling[name] == "none":
        return typical
    link = _LINKS[LINKS.get(name, "log")]
    model = pm.modelcontext(None)
    location = link.forward(typical) + shift + pt.zeros(len(model.coords["recipe"]))
    if spec.pooling[name] == "full":
        if name not in SHIFTED:
            return typical
        return pm.Deterministic(name, link.backward(location), dims="recipe")
    estimate, error = _estimates_of(name, estimates)
    own = whitened_normal(
        f"{name}{link.suffix}",
        location,
        model[f"{name}_spread"],
        estimate=estimate,
        error=error,
        dim="recipe",
        bent=float(np.median(prior_draws(name, spec.priors[name]))) if name in BENT else None,
    )
    return own if not link.suffix else pm.Deterministic(name, link.backward(own), dims="recipe")


def _start(name: str, estimates: Estimates | None) -> Any:
    """Draw about what the runs say of each recipe's parameter, twice as far as they can be wrong.

    From the priors alone a chain may find a mode without mass, such as minima on the wrong side of every run,
    and stay there. They are left where the runs of any recipe say nothing: a start is of all or of none.
    """
    estimate, error = (estimates or {}).get(name, (np.zeros(1), np.full(1, UNKNOWN)))
    if (error >= UNKNOWN).any():
        return None
    dims = "recipe" if len(error) > 1 else None
    middle, width = (
        pm.Data(f"{name}_start{suffix}", values if dims else values[0], dims=dims)
        for suffix, values in (("", estimate), ("_sd", 2 * np.minimum(error, 0.25)))
    )
    return _LINKS[LINKS.get(name, "log")].backward(pm.Normal.dist(middle, width))


def _estimates_of(name: str, estimates: Estimates | None) -> tuple[np.ndarray, np.ndarray]:
    recipes = len(pm.modelcontext(None).coords["recipe"])
    return (estimates or {}).get(name, (np.zeros(recipes), np.full(recipes, UNKNOWN)))


def check_supports(spec: Spec) -> None:
    """Refuse priors that reach where their parameter has no meaning.

    Parameters
    ----------
    spec : Spec
        Of any model.

    Raises
    ------
    InputError
        With the first such prior.
    """
    positive = [name for name in spec.priors if LINKS.get(name.removesuffix("_spread"), "log") == "log"]
    spreads = [f"{name}_spread" for name in spec.pooling if f"{name}_spread" in spec.priors]
    with pm.Model() as priors:
        for name in dict.fromkeys([*positive, *spreads]):
            prior_variable(name, spec.priors[name])
            check_positive(priors, name)


def membership(name: str, recipe: np.ndarray, recipes: int, dim: str) -> Callable[[Any], Any]:
    """Add to the model being built which runs, or profiles, are of which recipe.

    Parameters
    ----------
    name : str
        Of the data.
    recipe : ndarray of int, dims (dim,)
        From 0 up.
    recipes : int
        How many there are.
    dim : str
        What is of the recipes, such as "profile".

    Returns
    -------
    callable
        From each recipe's value to that of each member; a scalar is everyone's.

    Notes
    -----
    A product with a matrix of zeros and ones: an index, which would be less work, makes PyTensor copy what is
    indexed to wherever it is used, and graphs as deep as these outgrow the memory.
    """
    members = pm.Data(name, np.eye(recipes)[checked_index(recipe, recipes)], dims=(dim, "recipe"))
    return lambda values: pt.dot(members, values) if values.ndim else values


def checked_index(index: np.ndarray, size: int) -> np.ndarray:
    """Refuse an index beyond what it points into: machine code would read whatever lies there.

    Raises
    ------
    ValueError
        If an index is below 0 or not below `size`.
    """
    if len(index) and (index.min() < 0 or index.max() >= size):
        raise ValueError(f"indices run from {index.min()} to {index.max()}, but there are {size} to point at")
    return index
