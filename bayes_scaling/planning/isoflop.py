"""The optimum of an IsoFLOP model: read off the frontier of its minima, for every draw."""

from __future__ import annotations

import zlib

import numpy as np
import xarray as xr

from bayes_scaling.planning.price import price_of

_SEED = 20_220_329
"""Of the scatter of a new budget: the same fit gives the same answer."""


def frontier_optimum(
    posterior: xr.Dataset, constant: xr.Dataset, budgets: xr.DataArray, *, new_budget: bool
) -> xr.Dataset:
    """Size, tokens and loss of the compute-optimal run by an IsoFLOP model of one recipe.

    Parameters
    ----------
    posterior : Dataset, dims chain, draw
        Draws of params_coefficient, a, E, loss_coefficient and gamma, and of the scatters.
    constant : Dataset, dims run
        As from `constant_data` of its runs.
    budgets : DataArray, dims compute
        Budgets in FLOPs.
    new_budget : bool
        Scatter the minima about the line, each draw by its own scatter.

    Returns
    -------
    Dataset
        params_opt, tokens_opt and loss_opt, dims chain, draw, compute; a and b, dims chain, draw; and
        flops_per_param_token, k in C = k N D at the typical best size, where b is that of the answers too.

    Notes
    -----
    A minimum is known by its size alone. Its tokens are what the rest of the budget buys, C / (k N), where k
    follows from the runs (see `planning.price`).
    """
    price = price_of(constant)
    params_opt = posterior["params_coefficient"] * budgets ** posterior["a"]
    loss_opt = posterior["E"] + posterior["loss_coefficient"] * budgets ** -posterior["gamma"]
    if new_budget:
        off = one_more_budget(posterior, constant)
        params_opt, loss_opt = params_opt * np.exp(off["params"]), loss_opt * np.exp(off["loss"])
    typical = typical_best_size(posterior, constant)
    return xr.Dataset(
        {
            "params_opt": params_opt,
            "tokens_opt": budgets / price.compute(params_opt, 1.0),
            "loss_opt": loss_opt,
            "a": posterior["a"],
            "b": 1 - posterior["a"] * (1 + price.drift(typical)),
            "flops_per_param_token": float(price.k(typical)),
        }
    )


def one_more_budget(posterior: xr.Dataset, constant: xr.Dataset) -> xr.Dataset:
    """Draw how far one more budget lies off the line, as those of the runs do.

    Parameters
    ----------
    posterior : Dataset, dims chain, draw
        Draws of one recipe, with the scatters params_scatter, loss_scatter and kappa_scatter.
    constant : Dataset, dims run
        As from `constant_data` of its runs.

    Returns
    -------
    Dataset, dims chain, draw
        params, loss and kappa: logarithms of a minimum's size, its loss and its curvature over those of the
        line; 0 where the draws have no such scatter. It is the same at every budget, so that answers do not
        depend on what else was asked; those of two recipes have nothing to do with each other.
    """
    recipes = set(constant["recipe"].to_numpy().astype(str).tolist()) if "recipe" in constant else set()
    # Of one recipe by its name: taken out of a fit of several it has the same luck.
    own = [zlib.crc32(recipes.pop().encode())] if len(recipes) == 1 else []
    rng = np.random.default_rng([_SEED, *own])
    none = xr.zeros_like(posterior["a"])
    return xr.Dataset(
        {
            name: posterior.get(f"{name}_scatter", none) * none.copy(data=rng.normal(size=none.shape))
            for name in ("params", "loss", "kappa")
        }
    )


def typical_best_size(posterior: xr.Dataset, constant: xr.Dataset) -> float:
    """Geometric mean of the best sizes at the budgets of the runs, or where they are unknown of the sizes.

    Parameters
    ----------
    posterior : Dataset, dims chain, draw
        With params_min, if it has the minima.
    constant : Dataset, dims run
        As from `constant_data`.

    Returns
    -------
    float
        In parameters.
    """
    sizes = posterior["params_min"] if "params_min" in posterior else constant["params"]
    return float(np.exp(np.log(sizes).mean()))


def local_exponents(posterior: xr.Dataset) -> xr.Dataset:
    """Find the exponents of the Chinchilla law whose frontier and profiles are those of a fit.

    Parameters
    ----------
    posterior : Dataset, dims chain, draw
        Draws of any model.

    Returns
    -------
    Dataset, dims chain, draw
        alpha and beta. Of an IsoFLOP model they follow from how steep its profiles and its frontier are:
        alpha + beta is twice kappa over loss_slope, and a is beta / (alpha + beta).
    """
    if "loss_slope" not in posterior:
        return posterior[["alpha", "beta"]]
    both = 2 * posterior["kappa"] / posterior["loss_slope"]
    return xr.Dataset({"alpha": (1 - posterior["a"]) * both, "beta": posterior["a"] * both})
