"""A recipe that was not among the runs: its law, drawn from the population of those that were."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from bayes_scaling.errors import InputError
from bayes_scaling.laws import isoflop
from bayes_scaling.models.spec import LINKS, Spec
from bayes_scaling.sampling.by_recipe import recipe_names

_SEED = 20_220_331
"""Of the deviations of a new recipe: the same fit gives the same answer."""

_NEEDED = {"chinchilla": ("params_share", "alpha", "beta")}
_NEEDED_OF_A_FRONTIER = ("a", "params_ratio")
"""What N_opt follows from, by law."""

_LOSS = {"chinchilla": ("loss_ratio", "irreducible")}
_LOSS_OF_A_FRONTIER = ("loss_ratio", "irreducible", "loss_slope")
"""What the loss there needs besides."""


def new_recipe(posterior: xr.Dataset, constant: xr.Dataset, spec: Spec, *, new_budget: bool) -> xr.Dataset:
    """Draw the law of a recipe not seen yet, one for each draw of the population.

    Parameters
    ----------
    posterior : Dataset, dims chain, draw and the parameters' own
        Of a model that tells recipes apart.
    constant : Dataset
        As from `constant_data`.
    spec : Spec
        The model.
    new_budget : bool
        The scatter of its budgets will be needed too.

    Returns
    -------
    Dataset, dims chain, draw
        Of the Chinchilla law E, A, B, alpha and beta; of an IsoFLOP model params_coefficient, a, E,
        loss_coefficient and gamma, and what is pooled of the scatters. A loss whose level is not pooled is
        NaN: of the Chinchilla law E is, and A and B are in units of the reducible loss at the centre of the
        runs.

    Raises
    ------
    InputError
        If the runs are of one recipe, or something that N_opt follows from is not pooled.
    """
    names = recipe_names(posterior)
    if not names:
        raise InputError(
            f"{spec.name} was fitted to one law, so that it says nothing about how recipes differ; a new "
            "recipe needs a fit of runs of several by a model that pools them, such as parametric-recipes"
        )
    needed = _NEEDED.get(spec.law, _NEEDED_OF_A_FRONTIER)
    if new_budget:
        needed = (*needed, "params_scatter")
    alone = [name for name in needed if spec.pooling[name] == "none"]
    if alone:
        how = ", ".join(f"{name} {spec.pooling[name]!r}" for name in needed)
        raise InputError(
            f"{spec.name} says nothing about a new recipe's N_opt, which follows from what is pooled so: "
            f'{how}; set {" and ".join(alone)} = "partial" in [pooling], with a prior of the spread, '
            "and fit again"
        )
    drawn = {
        name: _drawn(posterior, spec, name, number)
        for number, name in enumerate(spec.pooling)
        if spec.pooling[name] != "none"
    }
    loss = _LOSS.get(spec.law, _LOSS_OF_A_FRONTIER)
    known = {name: drawn.get(name, xr.full_like(drawn[needed[0]], np.nan)) for name in loss}
    flops, params, tokens, losses = (
        float(np.exp(np.log(values).mean()))
        for values in (constant["flops"], constant["params"], constant["tokens"], constant["loss"])
    )
    if spec.law == "chinchilla":
        return _law(drawn, known, params, tokens, losses)
    return _frontier(drawn, known, constant, flops, losses)


def without_loss(spec: Spec) -> list[str]:
    """Name what keeps a new recipe's loss from being known: parameters that are not pooled.

    Parameters
    ----------
    spec : Spec
        The model.

    Returns
    -------
    list of str
    """
    return [name for name in _LOSS.get(spec.law, _LOSS_OF_A_FRONTIER) if spec.pooling[name] == "none"]


def _drawn(posterior: xr.Dataset, spec: Spec, name: str, number: int) -> xr.DataArray:
    """Value of a new recipe at the centre of all runs, about the population's by its spread."""
    typical = posterior.get(f"{name}_typical")
    if typical is None:
        typical = posterior[name]
    if spec.pooling[name] == "full":
        return typical
    luck = np.random.default_rng([_SEED, number]).normal(size=typical.shape)
    deviation = posterior[f"{name}_spread"] * typical.copy(data=luck)
    link = LINKS.get(name, "log")
    if link == "identity":
        return typical + deviation
    if link == "log":
        return typical * np.exp(deviation)
    odds = typical / (1 - typical) * np.exp(deviation)
    return odds / (1 + odds)


def _law(drawn: Any, known: Any, params: float, tokens: float, loss: float) -> xr.Dataset:
    alpha, beta, share = (drawn[name] for name in ("alpha", "beta", "params_share"))
    reached = loss * known["loss_ratio"]
    # N_opt is the same in whatever unit the loss is.
    reducible = (reached * (1 - known["irreducible"])).fillna(1.0)
    return xr.Dataset(
        {
            "E": reached * known["irreducible"],
            "A": reducible * share * params**alpha,
            "B": reducible * (1 - share) * tokens**beta,
            "alpha": alpha,
            "beta": beta,
        }
    )


def _frontier(drawn: Any, known: Any, constant: xr.Dataset, flops: float, loss: float) -> xr.Dataset:
    data = {name: constant[name].to_numpy() for name in ("params", "flops", "loss", "budget", "recipe")}
    centre = isoflop.reference(**data)
    reached, gamma = loss * known["loss_ratio"], known["loss_slope"] / (1 - known["irreducible"])
    a = drawn["a"]
    scatters = {name: drawn[name] for name in ("params_scatter", "loss_scatter") if name in drawn}
    scatters.setdefault("loss_scatter", xr.full_like(a, np.nan))
    return xr.Dataset(
        {
            "params_coefficient": centre.params_all * drawn["params_ratio"] * flops**-a,
            "a": a,
            "E": reached * known["irreducible"],
            "loss_coefficient": reached * (1 - known["irreducible"]) * flops**gamma,
            "gamma": gamma,
            **scatters,
        }
    )
