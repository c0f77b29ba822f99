"""The IsoFLOP profile: loss against size at one compute, its minimum, and how the minimum moves with compute.

Along a budget, with u = log N - log N_min,

    loss = loss_min (1 + kappa rise(u))

where rise is a parabola, or the slice through a Chinchilla law, which is steeper on one side. The frontier of
the minima is N_min ~ C^a and loss_min = E + F C^-gamma. Functions take and return whatever arrays they are
given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

type Array = Any
"""A float, NumPy array, xarray DataArray or PyTensor variable."""


class Reference(NamedTuple):
    """What a set of IsoFLOP runs is centred at, so that no parameter of its model has a unit.

    Each recipe has a centre of its own, so that a law's level says nothing about its slope however far apart
    the recipes lie; with one recipe that of all is the same.
    """

    log_params: np.ndarray
    """log N of each run over its recipe's typical best size; dims ("run",)."""
    log_compute: np.ndarray
    """log C of each run over its recipe's typical compute; dims ("run",)."""
    profile: np.ndarray
    """Which profile each run is of, from 0 up by recipe, then budget; dims ("run",)."""
    recipe: np.ndarray
    """Which recipe each run is of, from 0 up as they appear; dims ("run",)."""
    budget: np.ndarray
    """Budget of each profile in FLOPs; dims ("profile",)."""
    profile_recipe: np.ndarray
    """Which recipe each profile is of; dims ("profile",)."""
    log_compute_budget: np.ndarray
    """Mean of log_compute over the runs of each profile; dims ("profile",)."""
    recipes: tuple[str, ...]
    """Names of the recipes; one empty name where none are told apart."""
    params: np.ndarray
    """Typical best size: geometric mean over profiles of the size with the least loss; dims ("recipe",)."""
    flops: np.ndarray
    """Typical compute: geometric mean over the runs; dims ("recipe",)."""
    loss: np.ndarray
    """Typical loss: geometric mean over the runs; dims ("recipe",)."""
    params_all: float
    """The typical best size over the profiles of all recipes."""
    flops_all: float
    """The typical compute over all runs."""
    loss_all: float
    """The typical loss over all runs."""


def reference(
    params: np.ndarray,
    flops: np.ndarray,
    loss: np.ndarray,
    budget: np.ndarray,
    recipe: np.ndarray | None = None,
) -> Reference:
    """Centre IsoFLOP runs.

    Parameters
    ----------
    params, flops, loss, budget : ndarray, dims ("run",)
        Size, own compute, loss and budget of each run.
    recipe : ndarray of str, dims ("run",), optional
        Where recipes are told apart, that of each run: runs of two recipes are never of one profile.

    Returns
    -------
    Reference
    """
    of_run = np.full(len(params), "") if recipe is None else np.asarray(recipe, dtype=str)
    names = tuple(dict.fromkeys(of_run.tolist()))
    number = np.array([names.index(name) for name in of_run.tolist()])
    pairs, profile = np.unique(np.stack([number, budget]), axis=1, return_inverse=True)
    owner = pairs[0].astype(int)
    members = [np.flatnonzero(profile == i) for i in range(pairs.shape[1])]
    best = np.array([np.log(params[rows][loss[rows].argmin()]) for rows in members])

    def by_recipe(values: np.ndarray, index: np.ndarray) -> np.ndarray:
        return np.array([values[index == i].mean() for i in range(len(names))])

    log_params, log_flops, log_loss = (
        by_recipe(best, owner),
        by_recipe(np.log(flops), number),
        by_recipe(np.log(loss), number),
    )
    log_compute = np.log(flops) - log_flops[number]
    return Reference(
        log_params=np.log(params) - log_params[number],
        log_compute=log_compute,
        profile=profile,
        recipe=number,
        budget=pairs[1],
        profile_recipe=owner,
        log_compute_budget=np.array([log_compute[rows].mean() for rows in members]),
        recipes=names,
        params=np.exp(log_params),
        flops=np.exp(log_flops),
        loss=np.exp(log_loss),
        params_all=float(np.exp(best.mean())),
        flops_all=float(np.exp(np.log(flops).mean())),
        loss_all=float(np.exp(np.log(loss).mean())),
    )


def profile_names(centre: Reference) -> list[str]:
    """Name the profiles of several recipes.

    Parameters
    ----------
    centre : Reference
        The runs.

    Returns
    -------
    list of str
        "recipe at budget", the budget in FLOPs.
    """
    pairs = zip(centre.profile_recipe, centre.budget, strict=True)
    return [f"{centre.recipes[recipe]} at {budget:.17g}" for recipe, budget in pairs]


def rise(
    log_ratio: Array,
    *,
    alpha: Array | None = None,
    beta: Array | None = None,
    exp: Callable[[Array], Array] = np.exp,
) -> Array:
    """How much worse a size is than the best of its budget, in units of the curvature there.

    Parameters
    ----------
    log_ratio : array
        u, natural logarithm of the size over the best size.
    alpha, beta : array, optional
        Size and data exponents of the Chinchilla law whose slice this is; a parabola unless given.
    exp : callable
        Exponential of the array library in use.

    Returns
    -------
    array
        u^2 about the minimum; from there on u^2, or
        2 / (alpha beta) ((beta e^(-alpha u) + alpha e^(beta u)) / (alpha + beta) - 1).
    """
    if alpha is None or beta is None:
        return log_ratio**2
    wings = (beta * exp(-alpha * log_ratio) + alpha * exp(beta * log_ratio)) / (alpha + beta)
    return 2 / (alpha * beta) * (wings - 1)


def log_frontier(
    log_compute: Array,
    *,
    irreducible: Array,
    gamma: Array,
    exp: Callable[[Array], Array] = np.exp,
    log: Callable[[Array], Array] = np.log,
) -> Array:
    """Logarithm of the least loss at a compute over that at the typical one.

    Parameters
    ----------
    log_compute : array
        Natural logarithm of the compute over the typical one.
    irreducible : array
        Share of the least loss at the typical compute that no compute removes.
    gamma : array
        Exponent with which the rest falls.
    exp, log : callable
        Of the array library in use.

    Returns
    -------
    array
        log(irreducible + (1 - irreducible) (C / C0)^-gamma).
    """
    return log(irreducible + (1 - irreducible) * exp(-gamma * log_compute))
