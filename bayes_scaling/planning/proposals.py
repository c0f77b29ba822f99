"""Plans that a caller names, by size and tokens or as a run to be continued, and how each is judged."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from bayes_scaling.errors import InputError
from bayes_scaling.planning.constraints import NO_LIMITS, Limits, one_positive
from bayes_scaling.planning.problem import Problem
from bayes_scaling.planning.reference import prepared
from bayes_scaling.planning.surface import Fitted
from bayes_scaling.quantities import format_flops

type Array = np.ndarray[Any, Any]


def judged(
    fitted: Fitted, problem: Problem, name: str, params: float, tokens: float, cost: float | None = None
) -> xr.Dataset:
    """Judge one plan, by a problem prepared for it; `cost` where what is paid is not the whole of it."""
    loss = problem.loss(params, tokens)
    regret = problem.regret(params, tokens) if cost is None else 1 - problem.least_cost(loss) / cost
    compute = float(problem.surface.compute(params, tokens))
    paid = float(problem.cost(params, tokens)) if cost is None else cost
    found: dict[str, Any] = {
        "params": float(params),
        "tokens": float(tokens),
        "compute": compute,
        "cost": paid,
        "expected_regret": float(regret.mean()),
        "regret": fitted.draws(regret),
        "loss": fitted.draws(loss),
        "oversized": float(problem.too_large(params, tokens).mean()),
        **{name: known.item() for name, known in fitted.extrapolation(params, tokens, compute).items()},
    }
    if problem.served:
        found["serving_share"] = float(problem.cost(params, 0.0)) / paid
    if np.isfinite(problem.unique):
        found["epochs"] = float(tokens / problem.unique)
    return xr.Dataset({f"{name}_{key}": value for key, value in found.items()})


def started(spent_params: float | None, spent_tokens: float | None) -> tuple[float, float] | None:
    """Check the run that is there already, if there is one: its size and tokens."""
    if spent_params is None and spent_tokens is None:
        return None
    if spent_params is None or spent_tokens is None:
        raise InputError("spent_params and spent_tokens describe one run that is there already: give both")
    return one_positive("spent_params", spent_params), one_positive("spent_tokens", spent_tokens)


def continued(
    fitted: Fitted, problem: Problem, cost: float, within: Limits, params: float, tokens: float
) -> xr.Dataset:
    """Judge training a run on for the whole budget, if limits allow it; what it has cost so far is spent."""
    more = float(problem.tokens(params, cost))
    if more <= 0:
        raise InputError(
            f"the run of {params:g} parameters cannot be trained on: serving it alone costs "
            f"{format_flops(float(problem.cost(params, 0.0)))} FLOPs, and the budget is "
            f"{format_flops(cost)}; leave it out"
        )
    if not within.allows(params, tokens + more):
        return xr.Dataset()
    total = float(problem.cost(params, tokens + more))
    own = prepared(problem, total, within)
    return judged(fitted, own, "continued", params, tokens + more, cost)


def proposed(fitted: Fitted, problem: Problem, within: Limits, params: float, tokens: float) -> xr.Dataset:
    """Judge a plan of the caller's at its own cost; one outside the limits is not compared within them."""
    kept = within if within.allows(params, tokens) else NO_LIMITS
    own = prepared(problem, float(problem.cost(params, tokens)), kept)
    return judged(fitted, own, "proposed", params, tokens)


def completed(
    problem: Problem, cost: float, params: float | None, tokens: float | None
) -> tuple[float, float]:
    """Give a proposed plan the size or the tokens that it does not name, by what the budget buys."""
    if params is not None and tokens is not None:
        return one_positive("params", params), one_positive("tokens", tokens)
    if params is None:
        given = one_positive("tokens", tokens)
        served = problem.cost(1.0, given) / problem.surface.compute(1.0, 1.0)
        return float(problem.surface.params(served, cost)), given
    size = one_positive("params", params)
    bought = float(problem.tokens(size, cost))
    if bought <= 0:
        raise InputError(
            f"params {size:g}: serving such a model alone costs "
            f"{format_flops(float(problem.cost(size, 0.0)))} FLOPs, more than the budget of "
            f"{format_flops(cost)}; propose a smaller model"
        )
    return size, bought
