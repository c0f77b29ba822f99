"""Runs drawn from a known law: to test an estimator, and to plan a study before paying for it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from bayes_scaling.errors import InputError, RunsWarning, did_you_mean
from bayes_scaling.laws import chinchilla
from bayes_scaling.runs.check import check_runs

type Law = Mapping[str, float] | Callable[[np.ndarray, np.ndarray], np.ndarray]
"""E, A, B, alpha and beta of the Chinchilla law, or any function of params and tokens that gives a loss."""

_LAW_NAMES = ("E", "A", "B", "alpha", "beta")

_FAMILIES = ("StudentT", "Laplace", "Normal")


def isoflop_design(
    budgets: Sequence[float],
    *,
    params_low: float | Sequence[float],
    params_high: float | Sequence[float],
    sizes: int,
    flops_per_param_token: float = 6.0,
) -> pd.DataFrame:
    """Design an IsoFLOP study: at each budget, sizes evenly spaced in log, each with the tokens that it buys.

    Parameters
    ----------
    budgets : sequence of float
        FLOPs of each profile.
    params_low, params_high : float or sequence of float
        Smallest and largest size, for all budgets or for each of them.
    sizes : int
        Runs a budget.
    flops_per_param_token : float
        k in C = k N D.

    Returns
    -------
    DataFrame
        params (whole numbers), tokens, flops and budget; by budget, then size. Tokens are
        budget / (k params), so that C = k N D holds exactly.

    Raises
    ------
    InputError
        If a number is not positive, the sizes are out of order, or fall together when rounded.
    """
    profile, low, high = np.broadcast_arrays(*np.atleast_1d(budgets, params_low, params_high))
    if not (np.minimum(profile, low) > 0).all() or flops_per_param_token <= 0:
        raise InputError("budgets, params_low and flops_per_param_token must be above 0")
    if sizes < 1 or not (low <= high).all():
        raise InputError("an IsoFLOP design needs sizes >= 1 and params_low <= params_high at each budget")
    params = np.round(np.geomspace(low, high, sizes, axis=1))
    if (np.diff(params, axis=1) <= 0).any():
        raise InputError(f"{sizes} sizes between params_low and params_high are not distinct whole numbers")
    budget = np.repeat(profile.astype(float), sizes)
    params = params.ravel()
    tokens = budget / (flops_per_param_token * params)
    return pd.DataFrame({"params": params, "tokens": tokens, "flops": budget, "budget": budget})


def simulate_runs(
    design: pd.DataFrame,
    law: Law,
    *,
    sigma: float,
    seed: int,
    family: str = "StudentT",
    nu: float = 4.0,
    scale: str = "log",
    flops_per_param_token: float = 6.0,
) -> pd.DataFrame:
    """Draw one loss for each run of a design.

    Parameters
    ----------
    design : DataFrame
        params and tokens of each run, and what is known of run_id, flops, budget and recipe.
    law : mapping of str to float, or callable
        E, A, B, alpha and beta of the Chinchilla law; or any function (params, tokens) -> loss.
    sigma : float
        Scale of the noise, relative to the loss; 0 for none.
    seed : int
        Seed of the noise: the same seed gives the same runs.
    family : {"StudentT", "Laplace", "Normal"}
        Distribution of the noise.
    nu : float
        Degrees of freedom of the Student-t.
    scale : {"log", "raw"}
        "log": the log loss scatters, with scale sigma. "raw": the loss does, with scale sigma times the
        geometric mean of the law's losses over the design.
    flops_per_param_token : float
        k in C = k N D, where the design has no flops.

    Returns
    -------
    DataFrame
        A checked table of runs. `attrs["truth"]` holds the law (where it was given as numbers), the
        noise and the seed.

    Raises
    ------
    InputError
        If the design breaks a rule of run tables, an option is unknown or out of range, or the law
        gives a loss that is not a positive number.
    """
    if family not in _FAMILIES:
        raise InputError(f"family: {family!r} is unknown{did_you_mean(family, _FAMILIES)}")
    if scale not in ("log", "raw"):
        raise InputError(f"scale must be 'log' or 'raw', not {scale!r}")
    if not (0 <= sigma < np.inf and nu > 0):
        raise InputError(f"sigma must be finite and at least 0, nu above 0, not {sigma:g} and {nu:g}")
    if missing := sorted({"params", "tokens"} - set(design)):
        raise InputError(f"design: missing {', '.join(missing)}")
    with warnings.catch_warnings():
        # A design is a table of runs that lacks the losses; its doubts are told once it has them.
        warnings.simplefilter("ignore", RunsWarning)
        runs = check_runs(design.assign(loss=1.0))
    if "flops" not in design:
        runs["flops"] = flops_per_param_token * runs["params"] * runs["tokens"]
        runs.attrs["flops_source"] = "6ND" if flops_per_param_token == 6 else "given"
    mu = law_loss(law, runs["params"].to_numpy(), runs["tokens"].to_numpy())
    deviation = sigma * _standard_draws(family, nu, len(runs), np.random.default_rng(seed))
    if scale == "log":
        runs["loss"] = mu * np.exp(deviation)
    else:
        runs["loss"] = mu + np.exp(np.log(mu).mean()) * deviation
    runs = check_runs(runs)
    numbers = {name: float(law[name]) for name in _LAW_NAMES} if isinstance(law, Mapping) else {}
    noise = {"family": family, "scale": scale, "sigma": float(sigma)}
    if family == "StudentT":
        noise["nu"] = float(nu)
    runs.attrs |= {"source": "simulated", "truth": {**numbers, "noise": noise, "seed": seed}}
    return runs


def law_loss(law: Law, params: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Evaluate a law given as numbers or as a function.

    Parameters
    ----------
    law : mapping of str to float, or callable
        As for `simulate_runs`.
    params, tokens : ndarray, dims ("run",)
        Sizes and training tokens.

    Returns
    -------
    ndarray, dims ("run",)
        Losses.

    Raises
    ------
    InputError
        If a parameter of the law is unknown or missing, or a loss is not a positive number.
    """
    if isinstance(law, Mapping):
        for name in law:
            if name not in _LAW_NAMES:
                raise InputError(f"law: unknown parameter {name!r}{did_you_mean(name, _LAW_NAMES)}")
        if missing := sorted(set(_LAW_NAMES) - set(law)):
            raise InputError(f"law: missing {', '.join(missing)}")
        mu = chinchilla.loss(params, tokens, **law)
    elif callable(law):
        mu = np.broadcast_to(np.asarray(law(params, tokens), dtype=float), params.shape)
    else:
        raise InputError(f"law must be a mapping of E, A, B, alpha, beta or a function, not {law!r}")
    bad = np.flatnonzero(~(np.isfinite(mu) & (mu > 0)))
    if bad.size:
        i = bad[0]
        raise InputError(
            f"law: gives {mu[i]:g} at params {params[i]:g}, tokens {tokens[i]:g} ({bad.size} runs in all); "
            "a loss must be a positive number"
        )
    return mu


def _standard_draws(family: str, nu: float, size: int, rng: np.random.Generator) -> np.ndarray:
    if family == "StudentT":
        return rng.standard_t(nu, size)
    return rng.laplace(size=size) if family == "Laplace" else rng.standard_normal(size)
