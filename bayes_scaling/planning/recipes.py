"""Of which recipe each run of a fit is, and names that tell estimators of several recipes apart."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import xarray as xr


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
