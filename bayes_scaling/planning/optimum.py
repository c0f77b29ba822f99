"""The compute-optimal size, tokens and loss at any budget, for every draw of a fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayes_scaling.errors import InputError
from bayes_scaling.laws import chinchilla
from bayes_scaling.models.spec import spec_from_dict
from bayes_scaling.planning.deviations import Deviations, deviations_of
from bayes_scaling.planning.discrepancy import decades_beyond
from bayes_scaling.planning.draws_surface import deviating, surface_of_draws
from bayes_scaling.planning.isoflop import frontier_optimum
from bayes_scaling.planning.law_surface import LawSurface
from bayes_scaling.planning.new_recipe import new_recipe as new_recipe_law
from bayes_scaling.planning.new_recipe import without_loss
from bayes_scaling.planning.price import price_of
from bayes_scaling.planning.usable import require_usable
from bayes_scaling.sampling.artefact import fit_facts
from bayes_scaling.sampling.by_recipe import constant_of_recipe, draws_of_recipe, recipe_names

if TYPE_CHECKING:
    import pandas as pd

UNITS = {
    "params_opt": "parameters",
    "tokens_opt": "tokens",
    "tokens_per_param": "tokens per parameter",
    "a": "1",
    "b": "1",
    "extrapolation": "1",
    "flops_per_param_token": "FLOP per parameter and token",
    "compute": "FLOP",
}


def optimum(
    fit: xr.DataTree,
    compute: float | Sequence[float] | np.ndarray,
    *,
    new_budget: bool = False,
    new_recipe: bool = False,
    discrepancy: bool = True,
    allow_unconverged: bool = False,
) -> xr.Dataset:
    """Posterior of the compute-optimal run at each budget, in closed form for every draw.

    Beyond the largest run every draw leaves its law by slopes of its own, as the spec of the fit has it (see
    `planning.discrepancy`): the answer carries that the law may not hold out there.

    Parameters
    ----------
    fit : DataTree
        From `fit` or `open_fit`.
    compute : float or sequence of float
        Budgets in FLOPs.
    new_budget : bool
        Of an IsoFLOP model: what the minimum of one more budget would be, scattered about the line as those
        of the runs are, instead of where the line itself lies.
    new_recipe : bool
        Of a model that pools recipes: what the optimum of one more recipe would be, drawn from the population
        of those of the runs.
    discrepancy : bool
        Carry it; else say what the law alone says.
    allow_unconverged : bool
        Answer although the fit breaks a convergence rule.

    Returns
    -------
    Dataset
        params_opt (parameters, in the count of the runs), tokens_opt (tokens), tokens_per_param and
        loss_opt (unit of the runs), dims chain, draw, compute; the law's exponents a and b, dims chain, draw;
        and extrapolation, dims compute: by what factor the budget lies above the largest run, or
        below the smallest, and 1 between them; below_runs, whether it is below; and
        flops_per_param_token, the k in C = k N D of the runs:
        where it changes with the size, that of their geometric mean size, or of an IsoFLOP model of its
        typical best size. Each budget is spent at the k of its own N_opt, which beyond the runs soon stays
        what it is at the largest of them, or the smallest (see `planning.price`). The attribute discrepancy
        says by what the answers beyond the runs leave the law, and as told by what, a line a recipe; "" if
        they do not, or none lies beyond.

        Of a model that tells recipes apart all of these have the dim recipe too, each recipe's by its own
        runs. A new recipe's have it not: its tokens cost, and its extrapolation is, what they are over all
        runs; its loss_opt is NaN where the level of the loss is not pooled, and the attribute loss_unknown
        names what is not.

    Raises
    ------
    InputError
        If a budget is not a positive, finite number, a new budget is asked of a model without budgets, or a
        new recipe of a fit that does not pool what its N_opt follows from.
    NotConvergedError
        If the fit is not converged and its use was not allowed.
    """
    require_usable(fit, allow_unconverged=allow_unconverged)
    budgets, facts = check_budgets(compute), fit_facts(fit)
    posterior, constant = fit["posterior"].dataset, fit["constant_data"].dataset
    if new_budget and facts["law"] == "chinchilla":
        raise InputError(f"{facts['model']} has no budgets of its own, which a new one could resemble")
    unknown, said = "", {}

    def answered(posterior: xr.Dataset, constant: xr.Dataset, name: str = "") -> xr.Dataset:
        by = deviations_of(fit, constant, unseen=new_recipe) if discrepancy else None
        answer, beyond = _optimum_of(posterior, constant, budgets, by, new_budget=new_budget)
        said[name] = by.words if by is not None and beyond else ""
        return answer

    if new_recipe:
        spec = spec_from_dict(facts["spec"])
        if "observed_data" not in fit.children:
            raise InputError("a new recipe needs the group observed_data of the fit: open it whole")
        constant = constant.assign(loss=fit["observed_data"].dataset["loss"])
        drawn = new_recipe_law(posterior, constant, spec, new_budget=new_budget)
        answer = answered(drawn, constant)
        unknown = ", ".join(without_loss(spec))
    elif names := recipe_names(posterior):
        parts = [
            answered(draws_of_recipe(posterior, constant, name), constant_of_recipe(constant, name), name)
            for name in names
        ]
        answer = xr.concat(parts, xr.DataArray(names, dims="recipe", name="recipe"), data_vars="all")
    else:
        answer = answered(posterior, constant)
    answer = answer.assign(tokens_per_param=answer["tokens_opt"] / answer["params_opt"])
    answer = answer.transpose("chain", "draw", ..., "compute")
    for name, unit in UNITS.items():
        answer[name].attrs["units"] = unit
    answer["loss_opt"].attrs["units"] = facts["labels"].get("loss_unit", "")
    answer["params_opt"].attrs["count"] = facts["labels"].get("params_count", "")
    answer.attrs = {"model": facts["model"], "converged": int(facts["verdict"]["converged"])}
    lines = [f"{name}: {words}" if name else words for name, words in said.items() if words]
    answer.attrs["discrepancy"] = "\n".join(lines)
    if new_recipe:
        answer.attrs |= {"new_recipe": 1, "loss_unknown": unknown}
    return answer


def _optimum_of(
    posterior: xr.Dataset,
    constant: xr.Dataset,
    budgets: xr.DataArray,
    by: Deviations | None,
    *,
    new_budget: bool,
) -> tuple[xr.Dataset, bool]:
    """Optimum of one law, by the runs that it is of, and whether a budget lies beyond these."""
    if "params_coefficient" in posterior:
        answer = frontier_optimum(posterior, constant, budgets, new_budget=new_budget)
    else:
        answer = _law_optimum(posterior, constant, budgets)
    answer = answer.assign(outside(budgets, constant["flops"]).data_vars)
    beyond = np.flatnonzero(decades_beyond(budgets, float(constant["flops"].max())))
    if by is None or not beyond.size:
        return answer, bool(beyond.size)
    surface = deviating(surface_of_draws(posterior, constant, new_budget=new_budget), by)
    optima = surface.optimum(budgets.to_numpy()[beyond, None])
    order = ("compute", "chain", "draw")
    for name, values in zip(("params_opt", "tokens_opt", "loss_opt"), optima, strict=True):
        by_law = answer[name].transpose(*order)
        moved = by_law.to_numpy().copy()
        # A draw that is no law stays none.
        there = np.isfinite(moved[beyond])
        moved[beyond] = np.where(there, values.reshape(there.shape), moved[beyond])
        answer[name] = by_law.copy(data=moved)
    return answer, True


def _law_optimum(posterior: xr.Dataset, constant: xr.Dataset, budgets: xr.DataArray) -> xr.Dataset:
    law: dict[str, Any] = {name: posterior[name] for name in ("E", "A", "B", "alpha", "beta")}
    price = price_of(constant)
    optima = LawSurface(law, price).optimum(budgets)
    k = float(price.k(np.exp(np.log(constant["params"]).mean())))
    a, b = chinchilla.exponents(law["alpha"], law["beta"])
    names = ("params_opt", "tokens_opt", "loss_opt", "a", "b", "flops_per_param_token")
    return xr.Dataset(dict(zip(names, (*optima, a, b, k), strict=True)))


def default_budgets(flops: xr.DataArray | pd.Series) -> list[float]:
    """Budgets to plan for when none is named: 1, 10 and 100 times the largest compute of the runs.

    Parameters
    ----------
    flops : DataArray or Series, dims run
        Compute of the runs in FLOPs, such as `fit["constant_data"]["flops"]`.

    Returns
    -------
    list of float
        In FLOPs.
    """
    largest = float(flops.max())
    return [largest, 10 * largest, 100 * largest]


def extrapolation(values: xr.DataArray, of_runs: xr.DataArray) -> xr.DataArray:
    """By what factor each value lies outside those of the runs; 1 inside.

    Parameters
    ----------
    values : DataArray
        Budgets in FLOPs, sizes or tokens.
    of_runs : DataArray, dims run
        The same of the runs.

    Returns
    -------
    DataArray, dims of `values`
    """
    above, below = values / of_runs.max(), of_runs.min() / values
    return xr.concat([above, below, xr.ones_like(above)], "side").max("side")


def outside(values: xr.DataArray, of_runs: xr.DataArray) -> xr.Dataset:
    """Say on which side of the runs each value lies, and how far out.

    Parameters
    ----------
    values, of_runs
        As for `extrapolation`.

    Returns
    -------
    Dataset, dims of `values`
        extrapolation, as from that function, and below_runs: whether the value is less than all of the runs'.
    """
    return xr.Dataset(
        {"extrapolation": extrapolation(values, of_runs), "below_runs": values < of_runs.min().item()}
    )


def check_budgets(compute: float | Sequence[float] | np.ndarray) -> xr.DataArray:
    """Label budgets by themselves, having refused what is no budget.

    Parameters
    ----------
    compute : float or sequence of float
        Budgets in FLOPs.

    Returns
    -------
    DataArray, dims compute

    Raises
    ------
    InputError
        If there is none, or one is not a positive, finite number.
    """
    try:
        values = np.atleast_1d(np.asarray(compute, dtype=float))
    except (TypeError, ValueError):
        raise InputError(f"compute must be a number of FLOPs or a list of them, not {compute!r}") from None
    if values.ndim != 1 or values.size == 0:
        raise InputError("compute must be one budget in FLOPs or a list of them")
    wrong = values[~(np.isfinite(values) & (values > 0))]
    if wrong.size:
        raise InputError(f"compute must be positive and finite, in FLOPs, not {wrong[0]:g}")
    return xr.DataArray(values, dims="compute", coords={"compute": values})
