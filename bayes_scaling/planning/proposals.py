"""Plans that a caller names, by size and tokens or as a run to be continued, and how each is judged."""

from __future__ import annotations

from dataclasses import dataclass, replace
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

_ROUNDING = 1e-9


def judged(
    fitted: Fitted, problem: Problem, name: str, params: float, tokens: float, cost: float | None = None
) -> xr.Dataset:
    """Judge one plan, by a problem prepared for it; `cost` where what is paid is not the whole of it."""
    loss = problem.loss(params, tokens)
    regret = problem.regret(params, tokens) if cost is None else 1 - problem.least_cost(loss) / cost
    # Where nothing is better than this one, the best plan costs as much but for rounding.
    regret = np.where(regret < _ROUNDING, 0.0, regret)
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


@dataclass(frozen=True)
class Started:
    """A run that is there already, and may be trained on; what it has cost so far is spent either way."""

    params: float
    tokens: float
    more: float
    """Tokens that the whole budget buys it."""

    def beside(self, problem: Problem) -> Problem:
        """Let the best plan, that others are compared with, be to train this run on where it is cheaper."""

        def least(loss: Array) -> Array:
            more = np.maximum(problem.tokens_to_reach(self.params, loss) - self.tokens, 0.0)
            return np.minimum(problem.least_cost(loss), problem.cost(self.params, more))

        return replace(problem, least=least)


def started(
    problem: Problem, cost: float, within: Limits, spent_params: float | None, spent_tokens: float | None
) -> Started | None:
    """Check the run that is there already; None if there is none, or limits do not allow it trained on."""
    if spent_params is None and spent_tokens is None:
        return None
    if spent_params is None or spent_tokens is None:
        raise InputError("spent_params and spent_tokens describe one run that is there already: give both")
    params, tokens = one_positive("spent_params", spent_params), one_positive("spent_tokens", spent_tokens)
    more = float(problem.tokens(params, cost))
    if more <= 0:
        raise InputError(
            f"the run of {params:g} parameters cannot be trained on: serving it alone costs "
            f"{format_flops(float(problem.cost(params, 0.0)))} FLOPs, and the budget is "
            f"{format_flops(cost)}; leave it out"
        )
    return Started(params, tokens, more) if within.allows(params, tokens + more) else None


def continued(fitted: Fitted, problem: Problem, cost: float, within: Limits, there: Started) -> xr.Dataset:
    """Judge training a run on for the whole budget, by the best that the budget could have bought instead.

    Returns
    -------
    Dataset
        As from `judged`, but that its size is no choice, so that it is not too large; and
        continued_from_scratch, dims chain and draw: what a run from scratch would have to cost to reach its
        loss, over the budget.
    """
    tokens = there.tokens + there.more
    # From scratch its loss may take as much as it has cost in all.
    fresh = prepared(problem, float(problem.cost(there.params, tokens)), within)
    found = judged(fitted, there.beside(fresh), "continued", there.params, tokens, cost)
    found["continued_oversized"] = np.nan
    scratch = fresh.least_cost(fresh.loss(there.params, tokens)) / cost
    return found.assign(continued_from_scratch=fitted.draws(scratch))


def proposed(
    fitted: Fitted, problem: Problem, within: Limits, there: Started | None, params: float, tokens: float
) -> xr.Dataset:
    """Judge a plan of the caller's at its own cost; one outside the limits is not compared within them."""
    kept = within if within.allows(params, tokens) else NO_LIMITS
    own = prepared(problem, float(problem.cost(params, tokens)), kept)
    return judged(fitted, there.beside(own) if there else own, "proposed", params, tokens)


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
