"""What draws say run by run: log likelihood and predicted losses, straight from the law.

Computed in NumPy from the draws: compiling PyMC's own functions for the two takes longer than
sampling. Tests hold both against PyMC's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from bayes_scaling.laws import chinchilla, isoflop
from bayes_scaling.models.noise import (
    draw_losses,
    log_density,
    noise_reference,
    noise_scale,
    relative_se,
)
from bayes_scaling.models.spec import Spec
from bayes_scaling.sampling.by_recipe import constant_of_recipe, draws_of_recipe, recipe_names

MAX_VALUES = 25_000_000
"""Largest draws times runs in one group (200 MB): beyond it, evenly spaced draws are used."""

LAW_PARAMETERS = ("E", "A", "B", "alpha", "beta")


def log_likelihood(draws: xr.Dataset, constant: xr.Dataset, spec: Spec) -> xr.Dataset:
    """Log density of every observed loss under every draw.

    Parameters
    ----------
    draws : Dataset, dims chain, draw
        Draws of the law's and the noise's parameters.
    constant : Dataset, dims run
        `params`, `tokens`, `flops`, `loss` and, if known, `loss_se`, as from `constant_data`; and
        `centre_loss` if the model was built with one.
    spec : Spec
        The model.

    Returns
    -------
    Dataset, dims chain, draw, run
        `loss`: log density of the loss itself, in nats, whichever scale its noise has.
    """
    mu, scale, nu = likelihood_parameters(draws, constant, spec)
    density = log_density(spec.noise, constant["loss"], mu, scale, nu)
    return density.transpose("chain", "draw", "run").to_dataset(name="loss")


def predictive(draws: xr.Dataset, constant: xr.Dataset, spec: Spec, *, seed: int) -> xr.Dataset:
    """Draw a loss for every run under every draw: posterior or prior predictive, as the draws are.

    Parameters
    ----------
    draws, constant, spec
        As for `log_likelihood`.
    seed : int
        Seed of the predicted losses.

    Returns
    -------
    Dataset, dims chain, draw, run
        `loss`: replicated losses, in the loss's unit.
    """
    mu, scale, nu = likelihood_parameters(draws, constant, spec)
    return draw_losses(spec.noise, mu, scale, nu, rng=np.random.default_rng([seed, 1])).to_dataset(
        name="loss"
    )


def likelihood_parameters(
    draws: xr.Dataset, constant: xr.Dataset, spec: Spec
) -> tuple[xr.DataArray, Any, Any]:
    """Give the distribution of each run's loss under each draw.

    Parameters
    ----------
    draws, constant, spec
        As for `log_likelihood`.

    Returns
    -------
    mu : DataArray, dims chain, draw, run
        Loss that the law predicts. Of too many draws evenly spaced ones are used.
    scale : array
        Of the noise, in units of the log loss or, on the raw scale, of the loss.
    nu : array or None
        Degrees of freedom of Student-t noise.
    """
    draws = _thin(draws, constant.sizes["run"])
    names = recipe_names(draws)
    of_run = constant["recipe"].to_numpy() if names else None
    ratio, typical = noise_reference(_middle(constant), constant["flops"].to_numpy(), of_run)
    constant = constant.assign(compute_ratio=("run", ratio), typical_loss=("run", typical))
    if not names:
        mu, scale, nu = _of_one_recipe(draws, constant, spec)
    else:
        # Recipe by recipe: by run, every parameter would need as much memory as the losses.
        parts = [
            _of_one_recipe(
                draws_of_recipe(draws, constant, name), constant_of_recipe(constant, name), spec, by_run=True
            )
            for name in names
        ]
        mu, scale, nu = (
            None if part[0] is None else xr.concat(part, "run").reindex(run=constant["run"])
            for part in zip(*parts, strict=True)
        )
    return mu.transpose("chain", "draw", "run"), scale, nu


def _of_one_recipe(
    draws: xr.Dataset, constant: xr.Dataset, spec: Spec, *, by_run: bool = False
) -> tuple[Any, Any, Any]:
    mu = (_law_loss if spec.law == "chinchilla" else _profile_loss)(draws, constant)
    mu = mu.assign_coords(run=constant["run"])
    typical = constant["typical_loss"]
    known_se = constant.get("loss_se")
    scale = noise_scale(
        spec.noise,
        sigma=draws["sigma"],
        sigma_growth=draws.get("sigma_growth"),
        compute_ratio=constant["compute_ratio"],
        loss_ratio=mu / typical,
        relative_se=None
        if known_se is None
        else relative_se(spec.noise, constant.get("centre_loss", constant["loss"]), known_se, typical),
    )
    if spec.noise.scale == "raw":
        scale = scale * typical
    nu = draws.get("nu")
    if by_run:
        scale, nu = (None if each is None else each.broadcast_like(mu) for each in (scale, nu))
    return mu, scale, nu


def _law_loss(draws: xr.Dataset, constant: xr.Dataset) -> xr.DataArray:
    law = {name: draws[name] for name in LAW_PARAMETERS}
    return chinchilla.loss(constant["params"], constant["tokens"], **law)


def _profile_loss(draws: xr.Dataset, constant: xr.Dataset) -> xr.DataArray:
    """Loss of each run on its budget's own profile, moved along the frontier by its own compute."""
    data = {name: constant[name].to_numpy() for name in ("params", "flops", "budget")}
    centre = isoflop.reference(**data, loss=_middle(constant))
    log_params, log_compute, profile = (
        xr.DataArray(values, dims="run") for values in (centre.log_params, centre.log_compute, centre.profile)
    )
    at_budget = xr.DataArray(centre.log_compute_budget[centre.profile], dims="run")
    own = draws[["log_params_min", "log_loss_min", "log_kappa"]].isel(budget=profile)
    own = own.drop_vars("budget", errors="ignore")
    beyond = log_compute - at_budget
    frontier: dict[str, Any] = {name: draws[name] for name in ("irreducible", "gamma")}
    log_least = (
        own["log_loss_min"]
        + isoflop.log_frontier(log_compute, **frontier)
        - isoflop.log_frontier(at_budget, **frontier)
    )
    log_ratio = log_params - own["log_params_min"] - draws["a"] * beyond
    kappa = np.exp(own["log_kappa"] + draws["kappa_slope"] * beyond)
    skew: dict[str, Any] = {name: draws[name] for name in ("alpha", "beta") if name in draws}
    return float(centre.loss[0]) * np.exp(log_least) * (1 + kappa * isoflop.rise(log_ratio, **skew))


def _middle(constant: xr.Dataset) -> np.ndarray:
    """Losses that the model's priors are centred at: the runs' own, unless it was built with others."""
    return constant.get("centre_loss", constant["loss"]).to_numpy()


def _thin(draws: xr.Dataset, runs: int) -> xr.Dataset:
    values = draws.sizes["chain"] * draws.sizes["draw"] * runs
    return draws.isel(draw=slice(None, None, -(-values // MAX_VALUES)))
