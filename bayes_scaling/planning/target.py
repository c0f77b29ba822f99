"""Compute to a target: the least that reaches a loss, and what an improvement of the loss is worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from bayes_scaling.planning.constraints import one_positive
from bayes_scaling.planning.mixture import Fits, fitted_of
from bayes_scaling.planning.numbers import positive_numbers
from bayes_scaling.planning.optimum import outside
from bayes_scaling.planning.stacking import Weights
from bayes_scaling.planning.surface import Fitted


def compute_to_target(
    fit: Fits,
    target: float | Sequence[float],
    *,
    weights: Weights | None = None,
    recipe: str | None = None,
    discrepancy: bool = True,
    allow_unconverged: bool = False,
) -> xr.Dataset:
    """Posterior of the least training compute that reaches a loss.

    Parameters
    ----------
    fit : DataTree or sequence of DataTree
        From `fit` or `open_fit`, of any model; of several, their mixture, as in `plan`.
    target : float or sequence of float
        Losses, in the unit of the runs.
    weights : sequence of float or DataArray, optional
        As for `plan`.
    recipe : str, optional
        Which recipe to plan for; needed where the fit tells recipes apart.
    discrepancy : bool
        Carry that beyond the largest run the law may not hold, by the same slopes as `optimum`; else say what
        the law alone says.
    allow_unconverged : bool
        Answer although the fit breaks a convergence rule.

    Returns
    -------
    Dataset
        compute, dims chain, draw, target, in FLOPs: infinite where nothing reaches the target, which by a law
        lies at or below the irreducible loss; a draw that leaves its law for the better reaches lower ones,
        and is asked up to 12 decades beyond the runs. never, dims target: the probability of that.
        extrapolation, dims target: by what factor the median lies outside the compute of the runs, 1 inside;
        and below_runs, whether below.

    Raises
    ------
    InputError
        If a target is not a positive, finite number, or the fit tells recipes apart and none is named.
    NotConvergedError
        If the fit is not converged and its use was not allowed.
    """
    losses = positive_numbers("target", target)
    fitted, _ = fitted_of(
        fit, recipe=recipe, weights=weights, discrepancy=discrepancy, allow_unconverged=allow_unconverged
    )
    return least_computes(fitted, losses)


def least_computes(fitted: Fitted, losses: np.ndarray) -> xr.Dataset:
    """Give the posterior of the least compute to each loss, in the form of `compute_to_target`."""
    of_each = [fitted.draws(fitted.surface.least_compute(loss)) for loss in losses]
    compute = xr.concat(of_each, dim="target").transpose("chain", "draw", "target")
    middle = np.quantile(compute, 0.5, axis=(0, 1), method="inverted_cdf")
    found = xr.Dataset({"compute": compute, "never": (compute == np.inf).mean(("chain", "draw"))})
    found = found.assign(outside(xr.DataArray(middle, dims="target"), fitted.runs["flops"]).data_vars)
    found = found.assign_coords(target=losses)
    found["compute"].attrs["units"] = "FLOP"
    found.attrs = {"model": fitted.model, "converged": int(fitted.converged), "recipe": fitted.recipe}
    found.attrs |= {"new_budget": int(fitted.new_budget), "discrepancy": fitted.beyond(middle)}
    return found


def worth_of_improvement(
    fit: Fits,
    compute: float,
    improvement: float,
    *,
    weights: Weights | None = None,
    recipe: str | None = None,
    discrepancy: bool = True,
    allow_unconverged: bool = False,
) -> xr.DataArray:
    """By what factor the compute would have to grow to lower the loss by so much, on the optimum.

    Parameters
    ----------
    fit : DataTree or sequence of DataTree
        From `fit` or `open_fit`, of any model; of several, their mixture, as in `plan`.
    compute : float
        The budget in FLOPs whose least loss is to be improved on.
    improvement : float
        By how much, in the unit of the loss.
    weights : sequence of float or DataArray, optional
        As for `plan`.
    recipe : str, optional
        Which recipe to plan for; needed where the fit tells recipes apart.
    discrepancy : bool
        Carry that beyond the largest run the law may not hold, by the same slopes as `optimum`; else say what
        the law alone says.
    allow_unconverged : bool
        Answer although the fit breaks a convergence rule.

    Returns
    -------
    DataArray, dims chain and draw
        Least compute to the lower loss over `compute`: what a recipe that is better by so much is worth.
        Infinite where no compute is enough, as for `compute_to_target`.

    Raises
    ------
    InputError
        If a number is not positive and finite, or the fit tells recipes apart and none is named.
    NotConvergedError
        If the fit is not converged and its use was not allowed.
    """
    budget, less = one_positive("compute", compute), one_positive("improvement", improvement)
    fitted, _ = fitted_of(
        fit, recipe=recipe, weights=weights, discrepancy=discrepancy, allow_unconverged=allow_unconverged
    )
    reached = fitted.surface.optimum(budget)[2]
    worth = fitted.draws(fitted.surface.least_compute(reached - less) / budget)
    worth.attrs = {"units": "1", "model": fitted.model, "converged": int(fitted.converged)}
    return worth
