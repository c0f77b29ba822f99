"""The decision: which size to train on how many tokens at a budget, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from bayes_scaling.errors import InputError
from bayes_scaling.intervals import PROB, check_prob
from bayes_scaling.planning.choice import best_size, choose, region, size_grid
from bayes_scaling.planning.constraints import ANY_SIZE, Limits, allowed_sizes, limits, one_positive
from bayes_scaling.planning.mixture import Fits, fitted_of
from bayes_scaling.planning.numbers import positive_numbers
from bayes_scaling.planning.own_answers import own_answers
from bayes_scaling.planning.problem import Problem, blocks
from bayes_scaling.planning.proposals import completed, continued, judged, proposed, started
from bayes_scaling.planning.reference import prepared, price_of_limits
from bayes_scaling.planning.stacking import Weights
from bayes_scaling.planning.surface import Fitted

type Array = np.ndarray[Any, Any]

REGRETS, PROBABILITIES = (0.01, 0.02, 0.05), (0.5, 0.8, 0.95)
"""Of the regions: bounds on the regret, and probabilities of keeping within."""


# By a nearly flat law the compute to a loss may lie beyond what a float holds: infinite is the answer then.
@np.errstate(over="ignore")
def plan(
    fit: Fits,
    compute: float | None = None,
    *,
    weights: Weights | None = None,
    params: float | None = None,
    tokens: float | None = None,
    target: float | None = None,
    below: float | Sequence[float] | None = None,
    min_params: float | None = None,
    max_params: float | None = None,
    max_tokens: float | None = None,
    sizes: Sequence[float] | np.ndarray | None = None,
    served_tokens: float | None = None,
    unique_tokens: float | None = None,
    spent_params: float | None = None,
    spent_tokens: float | None = None,
    recipe: str | None = None,
    prob: float = PROB,
    discrepancy: bool = True,
    allow_unconverged: bool = False,
) -> xr.Dataset:
    """Choose the size and tokens of least posterior expected regret at a budget, and judge any other plan.

    Regret is the share of a plan's cost that the best plan would have saved at equal loss, had one known the
    law: the best with the same tokens to be served, the same unique tokens and within the same limits. What
    the limits themselves cost is said apart. It is worked out for every draw and averaged last.

    By an IsoFLOP model a plan is one more budget: its minimum, loss and curvature scatter about the line of
    the frontier as those of the runs do, and so do N_opt and regret.

    Parameters
    ----------
    fit : DataTree or sequence of DataTree
        From `fit` or `open_fit`, of any model. Of several the plan is that of their mixture: their draws
        together, resampled by weight.
    compute : float, optional
        The budget in FLOPs. With `served_tokens` it has to pay for training and serving. Unless given, what
        the plan of `params` and `tokens` costs.
    weights : sequence of float or DataArray, optional
        Of several fits, one each, of sum 1; those of `model_weights` unless given.
    params, tokens : float, optional
        A plan to be judged, on this budget or off it. One alone is completed by what the budget buys.
    target : float, optional
        A loss: how probable it is that each size reaches it at this budget.
    below : float or sequence of float, optional
        Sizes x for which P(N_opt < x) is asked.
    min_params, max_params : float, optional
        Smallest and largest size allowed.
    max_tokens : float, optional
        Most training tokens allowed.
    sizes : sequence of float, optional
        The sizes that can be built; any size unless given.
    served_tokens : float, optional
        Tokens of inference over the model's lifetime, each of which costs a third of one trained on (2 N
        where training costs 6 N): Sardana et al. 2024, arXiv 2401.00448.
    unique_tokens : float, optional
        Unique training tokens; beyond them tokens are repeated, and are worth what Muennighoff et al. 2023,
        arXiv 2305.16264, found (see `laws.repeated`). Their constants enter as points: no uncertainty is
        published.
    spent_params, spent_tokens : float, optional
        A run that is there already, of that size and so many tokens: to train it on for the whole budget is
        one more plan to choose from, and for regret to be against: what it has cost so far is spent either
        way. That the law holds for a run that is continued is assumed.
    recipe : str, optional
        Which recipe to plan for; needed where the fit tells recipes apart.
    prob : float
        Probability inside the bands of `size_regret` and `size_loss`.
    discrepancy : bool
        Carry that beyond the largest run the law may not hold, by the same slopes as `optimum`; else say what
        the law alone says.
    allow_unconverged : bool
        Answer although the fit breaks a convergence rule.

    Returns
    -------
    Dataset
        Losses are the law's, without the noise of a run, in the unit of the runs; sizes are in parameters.

        - compute, and served_tokens, unique_tokens and target as they were asked.
        - recommended_params, _tokens, _compute (of training, in FLOPs), _cost (with serving),
          _expected_regret, _oversized (probability that a smaller model would be better at the same cost),
          _extrapolation, _extrapolation_params and _extrapolation_tokens (by what factor its training
          compute, size and tokens lie outside those of the runs; 1 inside), _below_runs,
          _below_runs_params and _below_runs_tokens (whether below), _serving_share (of the cost) and
          _epochs of the unique tokens and _reaches (probability of the target), where those are given;
          _regret and _loss, dims chain and draw; and _continues: whether it is the run that is there.
          `extrapolation` and `below_runs` are those of the recommended plan.
        - proposed_*, the same of a proposed plan, compared within the limits if it keeps them itself, and
          continued_*, of the run that is there trained on, where the limits allow it; its size is no choice,
          so that _oversized is NaN. Its _from_scratch, dims chain and draw, is what a run from scratch would
          have to cost to reach its loss, over the budget.
        - unconstrained_params and _expected_regret: the recommended plan without limits on size and tokens,
          and its regret against the best one without.
        - limits_price, dims chain and draw, where there are limits or unique tokens: the share of its cost
          that the best plan within them would save without them, with fresh tokens without end.
        - params_opt, tokens_opt and loss_opt, dims chain and draw: the optimum, had one known the law.
        - params_opt_below, dims below: P(N_opt < x).
        - region, dims regret_bound, probability and side ("low", "high"): the sizes whose regret stays within
          the bound with the probability, within the limits; NaN where there is none.
        - Along dim size: size_tokens, size_expected_regret, size_regret and size_loss (dim statistic: "low",
          "estimate", "high"), size_expected_loss, size_too_large, which is P(N_opt < size), and size_reaches.

        - Of several fits, dim fit: weight, and beside the mixture each model's own answer (see
          `planning.own_answers`). The attribute `weights_by` says what the weights rest on, and `weights_why`
          why they are equal, where they are.

        The attribute `new_budget` says whether all of this is of one more budget, scattered about the line of
        an IsoFLOP model, as `optimum` has it by new_budget. `binding` names the limits that the recommended
        plan has run into; `discrepancy` says by what the law is left beyond the runs, "" if by nothing or if
        the budget lies within them; `listed` says whether the sizes are a list of the caller's, and `prob` is
        that of the bands.

    Raises
    ------
    InputError
        If a number is not positive and finite, there is no budget, no plan satisfies all limits (with those
        that contradict each other and by what factor), or the fit tells recipes apart and none is named.
    NotConvergedError
        If the fit is not converged and its use was not allowed.
    """
    check_prob(prob)
    if compute is None and (params is None or tokens is None):
        raise InputError(
            "a plan needs compute, a budget in FLOPs, or params and tokens, whose compute is taken"
        )
    within = limits(min_params=min_params, max_params=max_params, max_tokens=max_tokens, sizes=sizes)
    fitted, members = fitted_of(
        fit, recipe=recipe, weights=weights, discrepancy=discrepancy, allow_unconverged=allow_unconverged
    )
    problem = problem_of(fitted, served_tokens=served_tokens, unique_tokens=unique_tokens)
    if compute is None:
        compute = problem.cost(one_positive("params", params), one_positive("tokens", tokens))
    cost = one_positive("compute", compute)
    there = started(problem, cost, within, spent_params, spent_tokens)
    allowed = allowed_sizes(problem, cost, within)
    problem = prepared(problem, cost, within)
    fresh = problem
    if there:
        problem = there.beside(problem)

    best = problem.best(cost)
    grid = size_grid(problem, cost, allowed, best[0])
    target = None if target is None else one_positive("target", target)
    along, inside = _along_sizes(problem, cost, grid, best[0], target, prob)
    chosen, _ = best_size(problem, cost, allowed, grid, along["size_expected_regret"].to_numpy())
    answer = along.merge(judged(fitted, problem, "recommended", chosen, problem.tokens(chosen, cost)))
    answer["recommended_continues"] = False
    binding = allowed.binding(chosen) + ([] if within.sizes is None else ["sizes"])
    if there:
        answer = answer.merge(continued(fitted, fresh, cost, within, there))
        if answer["continued_expected_regret"] < answer["recommended_expected_regret"]:
            answer = answer.assign(
                {
                    str(name).replace("continued", "recommended"): answer[name]
                    for name in answer
                    if str(name).startswith("continued_")
                }
            )
            answer["recommended_continues"] = True
            binding = []
    answer = answer.merge(_unconstrained(problem, cost, within, answer))
    if within.any() or np.isfinite(problem.unique):
        answer["limits_price"] = fitted.draws(price_of_limits(problem, cost, within))
    bounds, levels = np.array(REGRETS), np.array(PROBABILITIES)
    answer["region"] = (
        ("regret_bound", "probability", "side"),
        region(problem, cost, allowed, grid, inside, bounds, levels),
    )
    answer = answer.assign_coords(regret_bound=bounds, probability=levels, side=["low", "high"])
    for name, values in zip(("params_opt", "tokens_opt", "loss_opt"), best, strict=True):
        answer[name] = fitted.draws(values)
    if target is not None:
        answer["target"] = target
        answer["recommended_reaches"] = (answer["recommended_loss"] <= target).mean()
    if below is not None:
        asked = positive_numbers("below", below, "parameters")
        answer["params_opt_below"] = ("below", _share_below(best[0], asked))
        answer = answer.assign_coords(below=asked)
    if params is not None or tokens is not None:
        answer = answer.merge(
            proposed(fitted, problem, within, there, *completed(problem, cost, params, tokens))
        )
        if target is not None:
            answer["proposed_reaches"] = (answer["proposed_loss"] <= target).mean()
    if members:
        plan_of_all = (float(answer["recommended_params"]), float(answer["recommended_tokens"]))
        answer = answer.merge(own_answers(members, cost, within, plan_of_all, problem, there, prob))
    for name, given in (("served_tokens", served_tokens), ("unique_tokens", unique_tokens)):
        if given is not None:
            answer[name] = float(given)
    answer["compute"] = cost
    for name in ("extrapolation", "below_runs"):
        answer[name] = answer[f"recommended_{name}"]
    answer = _labelled(answer, fitted, binding)
    answer.attrs |= {"prob": prob, "listed": int(within.sizes is not None)}
    answer.attrs["discrepancy"] = fitted.beyond(cost)
    answer.attrs |= {"weights_by": fitted.weights_by, "weights_why": fitted.weights_why}
    return answer


def problem_of(
    fitted: Fitted, *, served_tokens: float | None = None, unique_tokens: float | None = None
) -> Problem:
    """Make what plans are judged by, for a surface and the tokens to be served and there are.

    Raises
    ------
    InputError
        If one is not a positive, finite number.
    """
    return Problem(
        fitted.surface,
        served=0.0 if served_tokens is None else one_positive("served_tokens", served_tokens),
        unique=np.inf if unique_tokens is None else one_positive("unique_tokens", unique_tokens),
    )


def _along_sizes(
    problem: Problem, cost: float, grid: Array, best: Array, target: float | None, prob: float
) -> tuple[xr.Dataset, Array]:
    """Regret and loss of every size that spends the budget, and P(regret within each bound)."""
    tail = (1 - prob) / 2
    levels = [tail, 0.5, 1 - tail]
    regret, loss = np.empty((3, len(grid))), np.empty((3, len(grid)))
    inside = np.empty((len(REGRETS), len(grid)))
    means = {name: np.empty(len(grid)) for name in ("regret", "loss", "reaches")}
    for cut, column in blocks(grid, len(best)):
        tokens = problem.tokens(column, cost)
        wasted, reached = problem.regret(column, tokens), problem.loss(column, tokens)
        means["regret"][cut], means["loss"][cut] = wasted.mean(axis=-1), reached.mean(axis=-1)
        means["reaches"][cut] = (reached <= (np.inf if target is None else target)).mean(axis=-1)
        inside[:, cut] = [(wasted <= bound).mean(axis=-1) for bound in REGRETS]
        regret[:, cut], loss[:, cut] = (np.quantile(each, levels, axis=-1) for each in (wasted, reached))
    along = xr.Dataset(
        {
            "size_tokens": ("size", np.asarray(problem.tokens(grid, cost))),
            "size_expected_regret": ("size", means["regret"]),
            "size_regret": (("statistic", "size"), regret),
            "size_loss": (("statistic", "size"), loss),
            "size_expected_loss": ("size", means["loss"]),
            "size_too_large": ("size", _share_below(best, grid)),
        },
        coords={"size": grid, "statistic": ["low", "estimate", "high"]},
    )
    if target is not None:
        along["size_reaches"] = ("size", means["reaches"])
    return along, inside


def _share_below(draws: Array, values: Array) -> Array:
    return np.searchsorted(np.sort(draws), values, side="left") / len(draws)


def _unconstrained(problem: Problem, cost: float, within: Limits, answer: xr.Dataset) -> xr.Dataset:
    """Plan once more without limits on size and tokens: their price is the difference."""
    if not within.any() and not bool(answer["recommended_continues"]):
        names = ("params", "expected_regret")
        return xr.Dataset({f"unconstrained_{name}": answer[f"recommended_{name}"] for name in names})
    params, regret = choose(prepared(problem, cost), cost, ANY_SIZE)
    return xr.Dataset({"unconstrained_params": params, "unconstrained_expected_regret": regret})


def _labelled(answer: xr.Dataset, fitted: Fitted, binding: list[str]) -> xr.Dataset:
    units = {"params": "parameters", "tokens": "tokens", "compute": "FLOP", "cost": "FLOP"}
    units |= {"loss": fitted.labels.get("loss_unit", ""), "opt": "", "extrapolation": "1", "below": "1"}
    for name in answer.variables:
        words = str(name).split("_")
        unit = next((units[word] for word in words if word in units), "1")
        answer[name].attrs["units"] = "parameters" if name in ("size", "region", "below") else unit
    answer.attrs = {
        "model": fitted.model,
        "converged": int(fitted.converged),
        "recipe": fitted.recipe,
        "new_budget": int(fitted.new_budget),
        "binding": ", ".join(binding),
        "loss_unit": fitted.labels.get("loss_unit", ""),
        "params_count": fitted.labels.get("params_count", ""),
    }
    return answer
