"""What a fit says run by run: log likelihood and posterior predictive draws, straight from the law.

Computed in NumPy from the posterior draws: compiling PyMC's own functions for the two takes
longer than sampling. Tests hold both against PyMC's.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayes_scaling.laws import chinchilla
from bayes_scaling.models.noise import draw_losses, log_density, noise_scale
from bayes_scaling.models.spec import Spec

MAX_VALUES = 25_000_000
"""Largest draws times runs in one group (200 MB): beyond it, evenly spaced draws are used."""

LAW_PARAMETERS = ("E", "A", "B", "alpha", "beta")


def pointwise(posterior: xr.Dataset, constant: xr.Dataset, spec: Spec, *, seed: int) -> tuple[xr.Dataset, xr.Dataset]:
    """Log likelihood of every run under every draw, and one predicted loss for each.

    Parameters
    ----------
    posterior : Dataset, dims chain, draw
        Draws of the law's and the noise's parameters.
    constant : Dataset, dims run
        `params`, `tokens`, `flops`, `loss` and, if known, `loss_se`.
    spec : Spec
        The model.
    seed : int
        Seed of the predictive draws.

    Returns
    -------
    log_likelihood : Dataset, dims chain, draw, run
        `loss`: log density of the observed loss, in nats.
    posterior_predictive : Dataset, dims chain, draw, run
        `loss`: replicated losses, in the loss's unit.
    """
    draws = _thin(posterior, constant.sizes["run"])
    observed = constant["loss"]
    mu = chinchilla.loss(
        constant["params"], constant["tokens"], **{name: draws[name] for name in LAW_PARAMETERS}
    ).transpose("chain", "draw", "run")
    scale = noise_scale(
        spec.noise,
        sigma=draws["sigma"],
        sigma_growth=draws.get("sigma_growth"),
        compute_ratio=constant["flops"] / np.exp(np.log(constant["flops"]).mean()),
        relative_se=constant["loss_se"] / observed if "loss_se" in constant else None,
    )
    if spec.noise.scale == "raw":
        scale = scale * np.exp(np.log(observed).mean())
    nu = draws.get("nu")
    log_likelihood = log_density(spec.noise, observed, mu, scale, nu).transpose("chain", "draw", "run")
    predicted = draw_losses(spec.noise, mu, scale, nu, rng=np.random.default_rng([seed, 1]))
    return log_likelihood.to_dataset(name="loss"), predicted.to_dataset(name="loss")


def _thin(posterior: xr.Dataset, runs: int) -> xr.Dataset:
    values = posterior.sizes["chain"] * posterior.sizes["draw"] * runs
    return posterior.isel(draw=slice(None, None, -(-values // MAX_VALUES)))
