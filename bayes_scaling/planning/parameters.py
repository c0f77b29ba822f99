"""The parameters of a fit as a table: the law, its exponents in compute, and the noise."""

from __future__ import annotations

import xarray as xr

from bayes_scaling.intervals import PROB, interval
from bayes_scaling.laws import chinchilla
from bayes_scaling.planning.isoflop import typical_best_size
from bayes_scaling.planning.price import price_of
from bayes_scaling.planning.usable import check_fit
from bayes_scaling.sampling.by_recipe import constant_of_recipe, draws_of_recipe, recipe_names

_NAMES = (
    "E", "A", "B", "alpha", "beta", "gamma", "kappa", "kappa_slope",
    "params_scatter", "loss_scatter", "kappa_scatter", "a", "b", "sigma", "nu", "sigma_growth",
)  # fmt: skip
"""In the order of the table; a model has those that its law and its noise have."""


def parameters(fit: xr.DataTree, *, prob: float = PROB) -> xr.Dataset:
    """Summarise the posterior of every parameter that has a name in the field.

    Parameters
    ----------
    fit : DataTree
        From `fit` or `open_fit`; converged or not: its verdict stands beside this table.
    prob : float
        Probability inside the interval.

    Returns
    -------
    Dataset, dims statistic
        Of the Chinchilla law E, A, B, alpha and beta; of an IsoFLOP model E, gamma, kappa and its slope,
        the scatters and, if it is skewed, alpha and beta; the exponents a and b of N_opt and D_opt in
        compute; and the noise's sigma and, where the model has them, nu and sigma_growth. Of a model that
        tells recipes apart, those that differ have the dim recipe, and each parameter that is pooled is
        followed by its population's: the typical value, at the centre of all runs, and the spread, on the
        scale on which recipes scatter.

    Raises
    ------
    InputError
        If `prob` is not between 0 and 1.
    """
    check_fit(fit)
    posterior, constant = fit["posterior"].dataset, fit["constant_data"].dataset
    if "a" in posterior:
        a, b = posterior["a"], 1 - posterior["a"] * (1 + _drift(posterior, constant))
    else:
        a, b = chinchilla.exponents(posterior["alpha"], posterior["beta"])
    known = posterior.assign(a=a, b=b)
    pooled = [name.removesuffix("_typical") for name in map(str, known) if name.endswith("_typical")]
    extra = [name for name in pooled if name not in _NAMES]
    wanted = [
        each
        for name in (*_NAMES, *extra)
        for each in (*([name] if name in _NAMES else []), f"{name}_typical", f"{name}_spread")
        if each in known
    ]
    return interval(known[wanted], prob)


def _drift(posterior: xr.Dataset, constant: xr.Dataset) -> float | xr.DataArray:
    """Power with which k grows with the size at the typical best one, by recipe if told apart."""
    names = recipe_names(posterior)
    if not names:
        return float(price_of(constant).drift(typical_best_size(posterior, constant)))
    drifts = [
        _drift(draws_of_recipe(posterior, constant, name), constant_of_recipe(constant, name))
        for name in names
    ]
    return xr.DataArray(drifts, dims="recipe", coords={"recipe": names})
