"""Fits whose draws are written down instead of sampled, so that every answer has a truth."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr
from scipy.optimize import minimize

from bayes_scaling.errors import RunsWarning
from bayes_scaling.models.build import runs_of_model
from bayes_scaling.models.spec import Spec, load_spec, spec_to_dict
from bayes_scaling.runs.check import data_hash
from bayes_scaling.sampling.artefact import label_fit
from bayes_scaling.sampling.observed import constant_data
from bayes_scaling.sampling.pointwise import log_likelihood, predictive
from bayes_scaling.sampling.prior import sample_prior

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
    discrepancy: bool = False,
) -> xr.DataTree:
    """A fit with these draws, of one chain; arrays by draw, or by draw and recipe.

    It leaves its law beyond the runs, as its spec has it, only if that is asked for.
    """
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
        facts["spec"] = spec_to_dict(load_spec(spec) if discrepancy else law_alone(spec))
    return label_fit(
        {
            "posterior": posterior,
            "sample_stats": xr.Dataset(),
            "observed_data": observed,
            "constant_data": constant,
        },
        facts,
    )


def law_alone(spec: str) -> Spec:
    """A spec that ships, without what it says of losses beyond the runs."""
    return replace(load_spec(spec), discrepancy=None)


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


def fit_of_draws(
    runs: pd.DataFrame, spec: str, posterior: xr.Dataset, *, converged: bool = True, seed: int = 0
) -> xr.DataTree:
    """A whole fit, as `fit` labels it, of draws that come from elsewhere."""
    model, constant = load_spec(spec), constant_data(runs, load_spec(spec))
    facts = {
        "model": model.name,
        "law": model.law,
        "spec": spec_to_dict(model),
        "labels": dict(runs.attrs),
        "data_hash": data_hash(runs),
        "verdict": {
            "rhat_max": 1.0,
            "ess_bulk_min": 4000.0,
            "ess_tail_min": 4000.0,
            "converged": converged,
            "problems": [] if converged else ["it was made so"],
        },
    }
    return label_fit(
        {
            "posterior": posterior,
            "sample_stats": xr.Dataset(),
            "log_likelihood": log_likelihood(posterior, constant, model),
            "posterior_predictive": predictive(posterior, constant, model, seed=seed),
            "observed_data": constant[["loss"]],
            "constant_data": constant.drop_vars("loss"),
        },
        facts,
    )


def laplace_fit(
    runs: pd.DataFrame, spec: str = "parametric-normal", *, nu: float = 4.0, draws: int = 500, seed: int = 0
) -> xr.DataTree:
    """Fit the law without sampling: a Normal posterior about the best fit, in coordinates that make it so.

    Noise is Normal, or Student-t with these degrees of freedom, on the log loss.
    """
    rng = np.random.default_rng(seed)
    model = load_spec(spec)
    log_n, log_d, log_l = (np.log(runs[name].to_numpy()) for name in ("params", "tokens", "loss"))
    n, d, middle = log_n - log_n.mean(), log_d - log_d.mean(), log_l.mean()
    student = model.noise.family == "StudentT"

    def density(x: np.ndarray) -> float:
        shares = np.exp(x[:3])
        mu = shares[0] + shares[1] * np.exp(-np.exp(x[3]) * n) + shares[2] * np.exp(-np.exp(x[4]) * d)
        z = (log_l - middle - np.log(mu)) / np.exp(x[5])
        each = (nu + 1) / 2 * np.log1p(z**2 / nu) if student else z**2 / 2
        return float((each + x[5]).sum() + ((x - start) ** 2 / 2 / width**2).sum())

    start = np.array([np.log(0.6), np.log(0.2), np.log(0.2), np.log(0.35), np.log(0.35), np.log(0.02)])
    # About as wide as the usual priors: where runs say nothing, the posterior is as round as they are.
    width = np.array([0.5, 0.7, 0.7, 0.5, 0.5, 2.0])
    best = minimize(density, start, method="BFGS", options={"gtol": 1e-4}).x
    step = 1e-3 * np.eye(6)
    hessian = [
        [
            (density(best + a + b) - density(best + a - b) - density(best - a + b) + density(best - a - b))
            / 4e-6
            for a in step
        ]
        for b in step
    ]
    x = rng.multivariate_normal(best, np.linalg.inv(hessian), size=(4, draws))
    loss, share = np.exp(middle), np.exp(x[..., :3])
    alpha, beta = np.exp(x[..., 3]), np.exp(x[..., 4])
    values = {
        "E": loss * share[..., 0],
        "A": loss * share[..., 1] * np.exp(alpha * log_n.mean()),
        "B": loss * share[..., 2] * np.exp(beta * log_d.mean()),
        "alpha": alpha,
        "beta": beta,
        "sigma": np.exp(x[..., 5]),
        "loss_ratio": share.sum(-1),
        **({"nu": np.full(alpha.shape, nu)} if student else {}),
        # Noise of one relative size.
        **({"sigma_growth": np.zeros(alpha.shape)} if model.noise.growth != "constant" else {}),
    }
    posterior = xr.Dataset({name: (("chain", "draw"), value) for name, value in values.items()})
    posterior["share"] = ("chain", "draw", "term"), share / share.sum(-1, keepdims=True)
    posterior = posterior.assign_coords(
        chain=np.arange(4), draw=np.arange(draws), term=["irreducible", "params", "tokens"]
    )
    return fit_of_draws(runs, spec, posterior, seed=seed)


def fit_of_prior(runs: pd.DataFrame, name: str, *, draws: int = 40) -> xr.DataTree:
    """A fit whose draws are the prior's, near enough for its form."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RunsWarning)
        kept = runs_of_model(runs, load_spec(name))
        prior = sample_prior(kept, name, draws=2 * draws)["prior"].to_dataset()
    chains = [prior.isel(draw=slice(i, None, 2)).assign_coords(draw=np.arange(draws)) for i in (0, 1)]
    joined = xr.concat([each.isel(chain=0, drop=True) for each in chains], "chain")
    return fit_of_draws(kept, name, joined.assign_coords(chain=[0, 1]).transpose("chain", "draw", ...))
