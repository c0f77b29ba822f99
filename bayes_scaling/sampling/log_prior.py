"""Log density of a spec's priors at draws: what power scaling of the prior needs to know of each draw."""

from __future__ import annotations

import xarray as xr

from bayes_scaling.models.spec import SHIFTED, Spec
from bayes_scaling.sampling.by_recipe import recipe_names


def log_prior(draws: xr.Dataset, spec: Spec) -> xr.DataArray:
    """Add up the log densities of the priors that a spec names, at each draw.

    Of a population of recipes or of profiles these are the priors of its centre and its spread. That its
    members scatter about the centre is the model: nobody wrote it down as a prior, and it is not scaled with
    the prior.

    Parameters
    ----------
    draws : Dataset, dims chain, draw and the parameters' own
        Posterior or prior draws of a model of this spec.
    spec : Spec
        The model.

    Returns
    -------
    DataArray, dims chain, draw
        In nats; of each parameter as the spec writes it.
    """
    from bayes_scaling.models.priors import prior_log_density

    total = xr.zeros_like(
        draws["sigma"].isel({d: 0 for d in draws["sigma"].dims if d == "recipe"}, drop=True)
    )
    for name, variable in _variables(draws, spec).items():
        values = draws[variable].transpose("chain", "draw", ...)
        density = prior_log_density(spec.priors[name], values.to_numpy(), vector="term" in values.dims)
        total = total + density.reshape(*density.shape[:2], -1).sum(axis=2)
    return total


def _variables(draws: xr.Dataset, spec: Spec) -> dict[str, str]:
    """Name the variable that has each prior of the spec; of one recipe, a spread over recipes has none."""
    several = bool(recipe_names(draws))
    found = {}
    for name in spec.priors:
        parameter = name.removesuffix("_spread")
        if name not in spec.pooling and parameter in spec.pooling:
            if several:
                found[name] = name
            continue
        pooling = spec.pooling.get(name) if several else None
        typical = pooling == "partial" or (pooling == "full" and name in SHIFTED)
        found[name] = f"{name}_typical" if typical else name
    return found
