"""One recipe out of a fit of several: its draws and its runs, in the shape of a fit of that recipe alone."""

from __future__ import annotations

import numpy as np
import xarray as xr


def recipe_names(draws: xr.Dataset) -> list[str]:
    """Names of the recipes that draws tell apart; empty if they are of one law.

    Parameters
    ----------
    draws : Dataset, dims chain, draw and the parameters' own
        Posterior or prior.

    Returns
    -------
    list of str
    """
    return [str(name) for name in draws["recipe"].values] if "recipe" in draws.dims else []


def draws_of_recipe(draws: xr.Dataset, constant: xr.Dataset, name: str) -> xr.Dataset:
    """Keep one recipe's parameters.

    Parameters
    ----------
    draws : Dataset, dims chain, draw and the parameters' own
        Of a model that tells recipes apart.
    constant : Dataset
        As from `constant_data`.
    name : str
        Of the recipe.

    Returns
    -------
    Dataset
        Without the dim recipe; in place of profile it has budget, as draws of this recipe alone would.
        What is the population's stays.
    """
    own = draws.sel(recipe=name, drop=True)
    if "profile" not in own.dims:
        return own
    kept = np.flatnonzero(constant["profile_recipe"].to_numpy() == name)
    own = own.isel(profile=kept).drop_vars("profile", errors="ignore").rename(profile="budget")
    return own.assign_coords(budget=constant["profile_budget"].to_numpy()[kept])


def constant_of_recipe(constant: xr.Dataset, name: str) -> xr.Dataset:
    """Keep one recipe's runs.

    Parameters
    ----------
    constant : Dataset
        As from `constant_data`.
    name : str
        Of the recipe.

    Returns
    -------
    Dataset
        As from `constant_data` of these runs alone.
    """
    own = constant.isel(run=np.flatnonzero(constant["recipe"].to_numpy() == name))
    own = own.drop_dims("profile", errors="ignore")
    if "recipe_flops_per_param_token" not in own:
        return own
    k = own["recipe_flops_per_param_token"].to_numpy()[0]
    return own.drop_vars("recipe_flops_per_param_token").assign(flops_per_param_token=k)
