"""The optimum of an IsoFLOP model: read off the frontier of its minima, for every draw."""

from __future__ import annotations

import numpy as np
import xarray as xr

_SEED = 20_220_329
"""Of the scatter of a new budget: the same fit gives the same answer."""


def frontier_optimum(
    posterior: xr.Dataset, constant: xr.Dataset, budgets: xr.DataArray, *, new_budget: bool, number: int = 0
) -> xr.Dataset:
    """Size, tokens and loss of the compute-optimal run by an IsoFLOP model of one recipe.

    Parameters
    ----------
    posterior : Dataset, dims chain, draw
        Draws of params_coefficient, a, E, loss_coefficient and gamma, and of the scatters.
    constant : Dataset, dims run
        params, tokens and flops of its runs.
    budgets : DataArray, dims compute
        Budgets in FLOPs.
    new_budget : bool
        Scatter the minima about the line, each draw by its own scatter.
    number : int
        Of the recipe, from 0 up: the new budgets of two recipes have nothing to do with each other.

    Returns
    -------
    Dataset
        params_opt, tokens_opt and loss_opt, dims chain, draw, compute; a and b, dims chain, draw; and
        flops_per_param_token, k in C = k N D at the typical best size.

    Notes
    -----
    A minimum is known by its size alone. Its tokens are what the rest of the budget buys, C / (k N), where k
    follows from the runs: it is a power of the size, fitted to theirs (`flops_rule`), since where embeddings
    or attention count, k drifts.
    """
    log_k, drift, middle = flops_rule(constant)
    params_opt = posterior["params_coefficient"] * budgets ** posterior["a"]
    loss_opt = posterior["E"] + posterior["loss_coefficient"] * budgets ** -posterior["gamma"]
    if new_budget:
        rng = np.random.default_rng([_SEED, number] if number else _SEED)
        # The same luck at every budget asked for, so that answers do not depend on what else was asked.
        luck = [posterior["a"].copy(data=rng.normal(size=posterior["a"].shape)) for _ in range(2)]
        params_opt = params_opt * np.exp(posterior["params_scatter"] * luck[0])
        loss_opt = loss_opt * np.exp(posterior["loss_scatter"] * luck[1])
    k = np.exp(log_k + drift * (np.log(params_opt) - middle))
    sizes = posterior["params_min"] if "params_min" in posterior else constant["params"]
    typical = float(np.exp(log_k + drift * (np.log(sizes).mean() - middle)))
    return xr.Dataset(
        {
            "params_opt": params_opt,
            "tokens_opt": budgets / (k * params_opt),
            "loss_opt": loss_opt,
            "a": posterior["a"],
            "b": 1 - posterior["a"] * (1 + drift),
            "flops_per_param_token": typical,
        }
    )


def flops_rule(constant: xr.Dataset) -> tuple[float, float, float]:
    """Fit k = flops / (params tokens) of the runs as a power of their size.

    Parameters
    ----------
    constant : Dataset, dims run
        params, tokens and flops.

    Returns
    -------
    log_k, drift, middle : float
        log k = log_k + drift (log N - middle), by least squares.
    """
    log_params, log_tokens, log_flops = (
        np.log(constant[name].to_numpy()) for name in ("params", "tokens", "flops")
    )
    log_k, middle = log_flops - log_params - log_tokens, log_params.mean()
    spread = ((log_params - middle) ** 2).sum()
    drift = ((log_params - middle) * log_k).sum() / spread if spread > 0 else 0.0
    return float(log_k.mean()), float(drift), float(middle)


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
