"""Fits whose draws are written down instead of sampled, so that every answer has a truth."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayes_scaling.models.spec import load_spec, spec_to_dict
from bayes_scaling.sampling.artefact import label_fit

BESIROGLU = {"E": 1.816864, "A": 482.0057, "B": 2085.434, "alpha": 0.347813, "beta": 0.365854}
"""Besiroglu et al. 2024, arXiv 2404.10102, to more digits than are printed: regrets differ in the third."""


def handmade_fit(
    draws: dict[str, object],
    *,
    law: str = "chinchilla",
    k: float = 6.0,
    flops: tuple[float, ...] = (1e19, 1e20, 1e21),
    converged: bool = True,
    recipes: tuple[str, ...] = (),
    spec: str | None = None,
) -> xr.DataTree:
    """A fit with these draws, of one chain; arrays by draw, or by draw and recipe."""
    dims = ("chain", "draw", "recipe") if recipes else ("chain", "draw")
    arrays = {name: np.asarray(values, dtype=float) for name, values in draws.items()}
    shape = np.broadcast_shapes(*(values.shape for values in arrays.values()), (1,))
    if recipes and shape[-1] != len(recipes):
        raise ValueError("the last axis of the draws is the recipe")
    whole = {name: np.broadcast_to(values, shape)[None].copy() for name, values in arrays.items()}
    posterior = xr.Dataset({name: (dims, values) for name, values in whole.items()})
    posterior = posterior.assign_coords(chain=[0], draw=np.arange(shape[0]))
    compute = np.tile(flops, max(len(recipes), 1))
    params = np.sqrt(compute / (20 * k))
    constant = xr.Dataset(
        {"params": ("run", params), "tokens": ("run", compute / (k * params)), "flops": ("run", compute)}
    )
    constant["flops_per_param_token"] = k
    if recipes:
        posterior = posterior.assign_coords(recipe=list(recipes))
        constant["recipe"] = ("run", np.repeat(recipes, len(flops)))
    observed = xr.Dataset({"loss": ("run", np.linspace(3.0, 2.5, len(compute)))})
    facts: dict[str, object] = {
        "model": "handmade",
        "law": law,
        "labels": {"loss_unit": "nats/token", "params_count": "total"},
        "verdict": {"converged": converged, "problems": [] if converged else ["it was made so"]},
    }
    if spec is not None:
        facts["spec"] = spec_to_dict(load_spec(spec))
    return label_fit(
        {
            "posterior": posterior,
            "sample_stats": xr.Dataset(),
            "observed_data": observed,
            "constant_data": constant,
        },
        facts,
    )


def point_fit(**changes: float) -> xr.DataTree:
    """The Besiroglu estimate as a posterior of one draw."""
    return handmade_fit({**BESIROGLU, **changes})


def law_draws(count: int = 400, seed: int = 1, spread: float = 0.03) -> dict[str, np.ndarray]:
    """Draws about the Besiroglu estimate whose losses agree where the runs are, as a posterior's do."""
    rng = np.random.default_rng(seed)
    alpha, beta = (BESIROGLU[name] * np.exp(spread * rng.normal(size=count)) for name in ("alpha", "beta"))
    params, tokens = 1e9, 2e10
    return {
        "E": BESIROGLU["E"] * np.exp(0.01 * rng.normal(size=count)),
        "A": BESIROGLU["A"] * params ** (alpha - BESIROGLU["alpha"]),
        "B": BESIROGLU["B"] * tokens ** (beta - BESIROGLU["beta"]),
        "alpha": alpha,
        "beta": beta,
    }


def frontier_draws(law: dict[str, np.ndarray], k: float = 6.0) -> dict[str, np.ndarray]:
    """Draws of the skewed IsoFLOP model that is these laws without their irreducible loss.

    With E = 0 every profile has the curvature alpha beta / 2 relative to its least loss, and the two agree
    everywhere.
    """
    alpha, beta = law["alpha"], law["beta"]
    a, gamma = beta / (alpha + beta), alpha * beta / (alpha + beta)
    log_balance = (np.log(alpha * law["A"]) - np.log(beta * law["B"])) / (alpha + beta)
    reducible = law["A"] * np.exp(-alpha * log_balance) * (1 + alpha / beta)
    return {
        "params_coefficient": np.exp(log_balance) * k**-a,
        "a": a,
        "E": np.zeros_like(a),
        "loss_coefficient": reducible * k**gamma,
        "gamma": gamma,
        "kappa": alpha * beta / 2,
        "kappa_slope": np.zeros_like(a),
        "alpha": alpha,
        "beta": beta,
    }
