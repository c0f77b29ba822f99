"""The cheapest plan that reaches a loss with a probability, serving and repetition counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from bayes_scaling.errors import InputError
from bayes_scaling.planning.choice import golden_section
from bayes_scaling.planning.constraints import Limits, limits, one_positive
from bayes_scaling.planning.mixture import Fits, fitted_of
from bayes_scaling.planning.plan import problem_of
from bayes_scaling.planning.problem import Problem, blocks
from bayes_scaling.planning.stacking import Weights
from bayes_scaling.planning.surface import Fitted
from bayes_scaling.planning.target import least_computes
from bayes_scaling.quantities import format_quantity

type Array = np.ndarray[Any, Any]

SURE = 0.8
"""Probability with which a plan reaches its target unless asked for another."""

_SIZES = 48
"""Of the grid over which the cheapest plan is sought."""


# By a nearly flat law the compute to a loss may lie beyond what a float holds: infinite is the answer then.
@np.errstate(over="ignore")
def plan_to_target(
    fit: Fits,
    target: float,
    *,
    weights: Weights | None = None,
    sure: float = SURE,
    min_params: float | None = None,
    max_params: float | None = None,
    max_tokens: float | None = None,
    sizes: Sequence[float] | np.ndarray | None = None,
    served_tokens: float | None = None,
    unique_tokens: float | None = None,
    recipe: str | None = None,
    discrepancy: bool = True,
    allow_unconverged: bool = False,
) -> xr.Dataset:
    """Choose the cheapest plan that reaches a loss with a probability, its serving paid for.

    Of each size as many tokens are trained on as reach the target in a share `sure` of the draws; the size
    whose lifetime cost is then least is the plan (Sardana et al. 2024, arXiv 2401.00448, under
    uncertainty).

    Parameters
    ----------
    fit : DataTree or sequence of DataTree
        From `fit` or `open_fit`, of any model; of several, their mixture, as in `plan`.
    target : float
        The loss, in the unit of the runs.
    sure : float
        Probability with which the plan reaches it, between 0 and 1.
    weights, min_params, max_params, max_tokens, sizes, served_tokens, unique_tokens, recipe, discrepancy
        As for `plan`.
    allow_unconverged
        As for `plan`.

    Returns
    -------
    Dataset
        What `compute_to_target` says of the target, without its dim, and target and sure;
        recommended_params, _tokens, _compute (of training), _cost (with serving), both in FLOPs, _reaches
        (the probability with which it reaches the target), _extrapolation, _extrapolation_params and
        _extrapolation_tokens, with _below_runs and so on, as for `plan`; of tokens to be served
        _serving_share and of unique tokens _epochs;
        served_tokens and unique_tokens as they were asked; recommended_loss, dims chain and draw; and
        lifetime, dims chain and draw: the least cost had one known the truth and had fresh tokens, in FLOPs.
        Of several fits also weight, dims fit.

    Raises
    ------
    InputError
        If a number is not positive and finite, `sure` is no probability, or no plan within the limits
        reaches the target that surely; it says how surely the best of them does, or which limit stands in
        the way.
    NotConvergedError
        If the fit is not converged and its use was not allowed.
    """
    wanted = one_positive("target", target)
    if not 0 < sure < 1:
        raise InputError(f"sure must lie between 0 and 1, such as {SURE:g}, not {sure:g}")
    within = limits(min_params=min_params, max_params=max_params, max_tokens=max_tokens, sizes=sizes)
    fitted, members = fitted_of(
        fit, recipe=recipe, weights=weights, discrepancy=discrepancy, allow_unconverged=allow_unconverged
    )
    known = least_computes(fitted, np.array([wanted])).isel(target=0)
    problem = problem_of(fitted, served_tokens=served_tokens, unique_tokens=unique_tokens)
    loss = float(known["target"])

    params, tokens = _cheapest(problem, loss, sure, within, fitted)
    reached = problem.loss(params, tokens)
    compute = float(problem.surface.compute(params, tokens))
    cost = float(problem.cost(params, tokens))
    lifetime = problem.surface.least_lifetime_compute(np.asarray(loss), problem.served)
    beyond = fitted.extrapolation(params, tokens, compute)
    answer = known.drop_vars("target").assign(
        {
            "target": loss,
            "sure": sure,
            "recommended_params": params,
            "recommended_tokens": tokens,
            "recommended_compute": compute,
            "recommended_cost": cost,
            # The draw that decides the tokens reaches the target but for rounding.
            "recommended_reaches": float((reached <= loss * (1 + 1e-12)).mean()),
            **{f"recommended_{name}": value.item() for name, value in beyond.items()},
            "recommended_loss": fitted.draws(reached),
            "lifetime": fitted.draws(lifetime),
        }
    )
    if np.isfinite(problem.unique):
        answer["unique_tokens"] = problem.unique
        answer["recommended_epochs"] = tokens / problem.unique
    if problem.served:
        answer["served_tokens"] = problem.served
        answer["recommended_serving_share"] = float(problem.cost(params, 0.0)) / cost
    for name, unit in (("compute", "FLOP"), ("cost", "FLOP"), ("params", "parameters"), ("tokens", "tokens")):
        answer[f"recommended_{name}"].attrs["units"] = unit
    answer["lifetime"].attrs["units"] = "FLOP"
    answer.attrs["discrepancy"] = answer.attrs["discrepancy"] or fitted.beyond(compute)
    answer.attrs["binding"] = ", ".join(_binding(within, params, tokens))
    answer.attrs |= {"weights_by": fitted.weights_by, "weights_why": fitted.weights_why}
    if members:
        answer["weight"] = ("fit", [member.weight for member in members])
        answer = answer.assign_coords(fit=[member.name for member in members])
    return answer


def _cheapest(
    problem: Problem, loss: float, sure: float, within: Limits, fitted: Fitted
) -> tuple[float, float]:
    """Size and tokens of the cheapest plan within limits that reaches a loss in a share of the draws."""

    def needed(sizes: Array) -> Array:
        found = np.empty(len(sizes))
        for cut, column in blocks(sizes, fitted.shape[0] * fitted.shape[1]):
            tokens = problem.tokens_to_reach(column, loss)
            found[cut] = np.quantile(tokens, sure, axis=-1, method="inverted_cdf")
        return found

    grid = _grid(problem, loss, within)
    tokens = needed(grid)
    cost = np.where(tokens <= within.max_tokens, problem.cost(grid, tokens), np.inf)
    if not np.isfinite(cost).any():
        raise InputError(_why_not(problem, loss, sure, within, grid, tokens))
    i = int(np.argmin(cost))
    if within.sizes is not None or len(grid) == 1:
        return float(grid[i]), float(tokens[i])
    # A quantile over draws is rough in the size: a second grid finds the deepest of the dents near the first.
    grid = np.geomspace(grid[max(i - 2, 0)], grid[min(i + 2, len(grid) - 1)], _SIZES)
    tokens = needed(grid)
    cost = np.where(tokens <= within.max_tokens, problem.cost(grid, tokens), np.inf)
    i = int(np.argmin(cost))

    def dearness(log_params: float) -> float:
        size = np.exp(np.array([log_params]))
        count = needed(size)[0]
        # Beyond a limit the cost is steep, so that the search comes back.
        return float(np.log(problem.cost(size[0], count))) if count <= within.max_tokens else np.inf

    low, high = np.log(grid[max(i - 1, 0)]), np.log(grid[min(i + 1, len(grid) - 1)])
    # The cost is flat about its minimum: half the digits of the size are all of its own.
    at, value = golden_section(dearness, float(low), float(high), width=1e-6)
    if value >= np.log(cost[i]):
        return float(grid[i]), float(tokens[i])
    return float(np.exp(at)), float(needed(np.exp(np.array([at])))[0])


def _grid(problem: Problem, loss: float, within: Limits) -> Array:
    """Sizes among which the cheapest plan may be: from where the least compute to the loss is spent, down."""
    if within.sizes is not None:
        bounds = (within.sizes >= within.min_params) & (within.sizes <= within.max_params)
        if not bounds.any():
            raise InputError("none of the sizes lies between min_params and max_params; add one that does")
        return within.sizes[bounds]
    least = problem.surface.least_compute(loss)
    reached = np.isfinite(least)
    if not reached.any():
        raise InputError(
            f"target {loss:g}: no draw of the fit reaches it with any compute: it lies below all that the "
            "law, and what leaves it beyond the runs, come to; aim for a higher loss"
        )
    # The draws that have it hardest decide; optima of those that cannot reach it do not exist.
    best = problem.surface.optimum(np.where(reached, least, 1.0))[0][reached]
    low, high = np.quantile(best, [0.001, 0.999])
    # Serving asks for smaller models; never for ones that cannot reach the loss at all.
    low, high = low / (1e4 if problem.served else 30), high * 30
    low, high = np.clip([low, high], within.min_params, within.max_params)
    return np.geomspace(low, high, _SIZES) if low < high else np.array([low])


def _why_not(problem: Problem, loss: float, sure: float, within: Limits, grid: Array, tokens: Array) -> str:
    """Say which limit, or the law itself, keeps every plan from the target."""
    if np.isfinite(tokens).any():
        least = float(tokens.min())
        return (
            f"target {loss:g} with probability {sure:g} takes at least {format_quantity(least)} tokens, "
            f"{least / within.max_tokens:.3g} times the {format_quantity(within.max_tokens)} that max_tokens "
            "allows; raise max_tokens, aim for a higher loss, or be less sure"
        )
    surest = max(float(np.isfinite(problem.tokens_to_reach(size, loss)).mean()) for size in grid)
    limiting = ", ".join(
        name
        for name, there in (
            ("max_params", np.isfinite(within.max_params)),
            ("sizes", within.sizes is not None),
            ("unique_tokens", np.isfinite(problem.unique)),
        )
        if there
    )
    where = f"within {limiting} " if limiting else ""
    return (
        f"target {loss:g}: {where}no number of tokens reaches it with probability {sure:g}; with the best "
        f"size the probability is {surest:.3g}; aim for a higher loss, "
        f"{f'loosen {limiting}, ' if limiting else ''}or be less sure"
    )


def _binding(within: Limits, params: float, tokens: float) -> list[str]:
    bounds = {"min_params": (within.min_params, params), "max_params": (within.max_params, params)}
    bounds["max_tokens"] = (within.max_tokens, tokens)
    met = [name for name, (bound, value) in bounds.items() if bound and abs(value / bound - 1) < 1e-6]
    return met + ([] if within.sizes is None else ["sizes"])
