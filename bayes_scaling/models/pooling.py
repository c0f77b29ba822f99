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

from bayes_scaling.models.priors import check_positive, prior_variable
from bayes_scaling.models.spec import LINKS, SHIFTED, Spec
from bayes_scaling.models.whitened import UNKNOWN, whitened_normal


class _Link(NamedTuple):
    suffix: str
    forward: Callable[[Any], Any]
    backward: Callable[[Any], Any]


_LINKS = {
    "identity": _Link("", lambda x: x, lambda x: x),
    "log": _Link("_log", pt.log, pt.exp),
    "logit": _Link("_logit", lambda x: pt.log(x) - pt.log1p(-x), pt.sigmoid),
}

type Estimates = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""By parameter: estimates of each recipe by its own runs and their errors, on the link scale."""


def population(name: str, spec: Spec, *, several: bool) -> Any:
    """Add a parameter of the population to the model being built.

    Parameters
    ----------
    name : str
        The parameter, which has a prior in the spec.
    spec : Spec
        Priors and pooling.
    several : bool
        Whether recipes are told apart.

    Returns
    -------
    TensorVariable
        A scalar, or dims ("recipe",) where nothing is pooled: each recipe's own.
    """
    prior = spec.priors[name]
    if not several:
        return prior_variable(name, prior)
    how = spec.pooling[name]
    if how == "none":
        return prior_variable(name, prior, dim="recipe")
    typical = f"{name}_typical" if how == "partial" or name in SHIFTED else name
    return prior_variable(typical, prior, of=name)


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
        Priors and pooling.
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
    recipes = len(pm.modelcontext(None).coords["recipe"])
    location = link.forward(typical) + shift + pt.zeros(recipes)
    if spec.pooling[name] == "full":
        if name not in SHIFTED:
            return typical
        return pm.Deterministic(name, link.backward(location), dims="recipe")
    nothing = np.zeros(recipes), np.full(recipes, UNKNOWN)
    estimate, error = (estimates or {}).get(name, nothing)
    spread = prior_variable(f"{name}_spread", spec.priors[f"{name}_spread"])
    own = whitened_normal(
        f"{name}{link.suffix}", location, spread, estimate=estimate, error=error, dim="recipe"
    )
    return own if not link.suffix else pm.Deterministic(name, link.backward(own), dims="recipe")


def check_supports(model: pm.Model, spec: Spec) -> None:
    """Refuse priors that reach where their parameter has no meaning.

    Parameters
    ----------
    model : pymc.Model
        Built from the spec.
    spec : Spec
        Its priors.

    Raises
    ------
    InputError
        With the first such prior.
    """
    free = {variable.name for variable in model.free_RVs}
    for name in spec.priors:
        base = name.removesuffix("_spread")
        if (base != name and base in spec.pooling) or LINKS.get(name, "log") == "log":
            found = next((each for each in (name, f"{name}_typical") if each in free), None)
            if found is not None:
                check_positive(model, found, of=name)


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
