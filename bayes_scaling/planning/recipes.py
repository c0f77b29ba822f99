"""Of which recipe the runs of a fit are, one recipe's part of it, and names that tell estimators apart."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import xarray as xr

from bayes_scaling.errors import InputError, did_you_mean
from bayes_scaling.planning.usable import check_fit
from bayes_scaling.sampling.artefact import fit_facts
from bayes_scaling.sampling.by_recipe import constant_of_recipe, draws_of_recipe, recipe_names


def recipes_of_runs(fit: xr.DataTree) -> np.ndarray:
    """Read of which recipe each run of a fit is.

    Parameters
    ----------
    fit : DataTree
        From `fit` or `open_fit`.

    Returns
    -------
    ndarray of str, dims ("run",)
        "" throughout where the runs had no recipe.
    """
    constant = fit["constant_data"].dataset
    if "recipe" not in constant:
        return np.full(constant.sizes["run"], "")
    return constant["recipe"].to_numpy().astype(str)


def one_recipe(fit: xr.DataTree, recipe: str) -> xr.DataTree:
    """Take one recipe out of a fit of several: what it would look like had that recipe been fitted alone.

    Parameters
    ----------
    fit : DataTree
        From `fit` or `open_fit`, of a model that tells recipes apart.
    recipe : str
        Name of the recipe.

    Returns
    -------
    DataTree
        The same draws, of this recipe's parameters and runs, with the fit's facts; every function that takes
        a fit of one recipe takes it. What the recipe has learned from the others stays learned.

    Raises
    ------
    InputError
        If the fit tells no recipes apart, or none of that name.
    """
    posterior, constant = fit["posterior"].dataset, fit["constant_data"].dataset
    names = recipe_names(posterior)
    if not names:
        raise InputError(
            f"the fit of {fit_facts(fit)['model']} is of one law and tells no recipes apart: leave recipe out"
        )
    if recipe not in names:
        raise InputError(f"the fit has no recipe {recipe!r}{did_you_mean(recipe, names)}")
    rows = np.flatnonzero(constant["recipe"].to_numpy().astype(str) == recipe)
    groups = {name: node.to_dataset() for name, node in fit.children.items()}
    own = {name: group.isel(run=rows) if "run" in group.dims else group for name, group in groups.items()}
    own |= {
        "posterior": draws_of_recipe(posterior, constant, recipe),
        "constant_data": constant_of_recipe(constant, recipe),
    }
    tree = xr.DataTree.from_dict(own)
    tree.attrs = dict(fit.attrs)
    return tree


def law_of_fit(fit: xr.DataTree, recipe: str | None) -> xr.DataTree:
    """Take what is of one law: the fit, or of a fit of several recipes the one asked for.

    Parameters
    ----------
    fit : DataTree
        From `fit` or `open_fit`.
    recipe : str, optional
        Name of the recipe.

    Returns
    -------
    DataTree

    Raises
    ------
    InputError
        If it is no fit; it tells recipes apart and none, or an unknown one, is named; or one is named and it
        does not.
    """
    check_fit(fit)
    if recipe is not None:
        return one_recipe(fit, recipe)
    if names := recipe_names(fit["posterior"].dataset):
        raise InputError(
            f"the fit is of {len(names)} recipes, and this is for one of them: name it (recipe); "
            f"known: {', '.join(map(repr, names))}"
        )
    return fit


def distinct_names(names: Sequence[str], recipes: Sequence[Collection[str]]) -> list[str]:
    """Tell names apart that are there more than once for the same recipe.

    Parameters
    ----------
    names : sequence of str
        Of estimators.
    recipes : sequence of collection of str
        Which recipes each is of.

    Returns
    -------
    list of str
        The second "parametric" is "parametric (2)"; estimators without a common recipe may share a name.
    """
    taken: dict[str, set[str]] = {}
    found = []
    for name, own in zip(names, recipes, strict=True):
        number, chosen = 1, name
        while taken.get(chosen, set()) & set(own):
            number += 1
            chosen = f"{name} ({number})"
        taken.setdefault(chosen, set()).update(own)
        found.append(chosen)
    return found
