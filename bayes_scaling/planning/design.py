"""Which runs next: the pilot runs that lower the expected regret at a target the most."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr

from bayes_scaling.errors import InputError
from bayes_scaling.intervals import PROB, check_prob
from bayes_scaling.planning.choice import choose
from bayes_scaling.planning.constraints import ANY_SIZE, one_positive
from bayes_scaling.planning.exchange import exchange, greedy
from bayes_scaling.planning.forecast import (
    LEAST_DRAWS,
    Forecast,
    Moments,
    Truths,
    forecast,
    forecast_without,
    moments,
    truths,
)
from bayes_scaling.planning.numbers import positive_numbers
from bayes_scaling.planning.optimum import outside
from bayes_scaling.planning.outcomes import outcomes
from bayes_scaling.planning.pilots import RUNG, Pilots, bought, candidates, isoflop_grid
from bayes_scaling.planning.problem import Problem
from bayes_scaling.planning.recipes import law_of_fit
from bayes_scaling.planning.surface import surface_of
from bayes_scaling.planning.usable import require_usable
from bayes_scaling.progress import tracked
from bayes_scaling.quantities import format_quantity

type Array = np.ndarray[Any, Any]

RUNS, SPREAD = 8, 4.0
"""Pilot runs, and by what factor their sizes may lie from the best ones, unless asked otherwise."""

SEEN = 2.0
"""Standard errors of the simulation from which on it sees a difference."""

_DRAWS = 4000
"""Of the posterior, at most; regressions need no more."""


# By a nearly flat law the best size may lie beyond what a float holds.
@np.errstate(over="ignore")
def design(
    fit: xr.DataTree,
    target: float,
    pilot: float,
    runs: int = RUNS,
    *,
    sizes: Sequence[float] | np.ndarray | None = None,
    max_run: float | None = None,
    spread: float = SPREAD,
    recipe: str | None = None,
    prob: float = PROB,
    allow_unconverged: bool = False,
    progress: bool | None = None,
) -> xr.Dataset:
    """Propose the pilot runs that lower the expected regret of the run at a target the most.

    What they would tell is worked out from the draws, before anything is trained: the noise of a pilot run is
    that of the fit, and the law is taken to hold as far as the target: the discrepancy that `optimum` and
    `plan` carry is left out. So the regrets are lower than those of `plan`, and what pilot runs beyond the
    runs do against it, being nearer to the target, is not counted.

    Parameters
    ----------
    fit : DataTree
        From `fit` or `open_fit`, of any model.
    target : float
        Budget of the run that the pilot runs prepare, in FLOPs.
    pilot : float
        Compute of all pilot runs together, in FLOPs, at most: what tells nothing more is not spent.
    runs : int
        How many pilot runs.
    sizes : sequence of float, optional
        The sizes that can be built, in parameters; any size unless given.
    max_run : float, optional
        Most compute of one pilot run, in FLOPs.
    spread : float
        By what factor the size of a pilot run may lie from the median best size at its compute, on either
        side. Runs far to both sides tell the most, as long as the law holds there.
    recipe : str, optional
        Which recipe to plan for; needed where the fit tells recipes apart.
    prob : float
        Probability inside the intervals of N_opt.
    allow_unconverged : bool
        Answer although the fit breaks a convergence rule.
    progress : bool, optional
        Show progress on standard error; by default if that is a terminal.

    Returns
    -------
    Dataset
        Of the proposed runs, dim pilot_run, the one first that tells the most per FLOP: params, tokens and
        compute in FLOPs; by what factor these lie outside the runs that there are (run_extrapolation_params,
        run_extrapolation_tokens and, of compute, run_extrapolation; 1 inside) and which of them below
        (run_below_runs_params, …); regret_after: the expected regret at the target once this run and those
        before it are trained; and lowered_by, how much lower it is than without this run. Of the target, dim
        stage ("before", "after" all of them): expected_regret, and params_opt, dim statistic ("low",
        "estimate", "high"), the interval of N_opt; "after" stands for one of typical width about the median
        of today. isoflop_regret is the expected regret if the same compute were spent on as many equal runs,
        an IsoFLOP profile as wide as `spread` allows, of the same sizes and none dearer than `max_run`;
        isoflop_excess, by how much that is above the proposal's; runs_worth, how many of the runs, the first
        ones, are expected to save more than they cost; worth, by how much the expected waste at the target
        shrinks, in FLOPs, per FLOP of all pilot runs; target and pilot as they were asked; extrapolation and
        below_runs, by what factor the target lies outside the compute of the runs that there are, and whether
        below. What is simulated has the standard error of the simulation beside it: regret_after_error,
        lowered_by_error, isoflop_regret_error and isoflop_excess_error.
        Of an IsoFLOP model the target is one more budget, scattered about the line as in `plan`, of which
        pilot runs tell nothing; the attribute `new_budget` says so.

    Raises
    ------
    InputError
        If a number is not positive and finite, `runs` is no whole number, the pilot runs cost more than the
        target, or the sizes leave fewer candidates than runs.
    NotConvergedError
        If the fit is not converged and its use was not allowed.

    Notes
    -----
    The batch is found by a linear approximation, greedily and then by exchanges of two runs; what it promises
    is the regret of decisions by a nonlinear rule. See `planning.exchange` and `planning.forecast`.
    """
    require_usable(fit, allow_unconverged=allow_unconverged)
    check_prob(prob)
    budget, compute = one_positive("target", target), one_positive("pilot", pilot)
    largest = None if max_run is None else one_positive("max_run", max_run)
    built = None if sizes is None else np.unique(positive_numbers("sizes", sizes, "parameters"))
    _check(budget, compute, runs, spread)
    own = _thinned(law_of_fit(fit, recipe))
    # What pilot runs tell is where the line lies, about which the target's budget scatters too.
    line, fitted = (surface_of(own, new_budget=new, discrepancy=False) for new in (False, True))
    surface = line.surface
    problem, wanted = Problem(surface), Problem(fitted.surface)

    decided, before = choose(wanted, budget, ANY_SIZE)
    known = truths(wanted, budget, decided)
    possible = candidates(problem, compute, runs, spread=spread, max_run=largest, sizes=built)
    batch = _chosen(own, known, problem, possible, compute, runs, largest)
    grid = isoflop_grid(problem, compute, runs, spread, max_run=largest, sizes=built)

    stages = [batch.some(list(range(i + 1))) for i in range(runs)]
    show = sys.stderr.isatty() if progress is None else progress
    after = [
        forecast(known, outcomes(own, surface, runs_so_far))
        for runs_so_far in tracked(stages, "weighing pilot runs", total=runs, show=show)
    ]
    told = [forecast_without(known, decided), *after]
    by_isoflop = forecast(known, outcomes(own, surface, grid))
    steps = [later.lowers(earlier) for earlier, later in pairwise(told)]
    excess = after[-1].lowers(by_isoflop)
    tail = (1 - prob) / 2
    levels = [tail, 0.5, 1 - tail]
    middle = np.median(known.log_best)
    error = after[-1].error - np.median(after[-1].error)
    answer = xr.Dataset(
        {
            "params": ("pilot_run", batch.params),
            "tokens": ("pilot_run", batch.tokens),
            "compute": ("pilot_run", batch.compute),
            "regret_after": ("pilot_run", [each.expected_regret for each in after]),
            "regret_after_error": ("pilot_run", [each.simulation_error for each in after]),
            "lowered_by": ("pilot_run", [step for step, _ in steps]),
            "lowered_by_error": ("pilot_run", [error for _, error in steps]),
            **{
                f"run_{name}": ("pilot_run", values)
                for name, values in fitted.extrapolation(batch.params, batch.tokens, batch.compute).items()
            },
            "expected_regret": ("stage", [before, after[-1].expected_regret]),
            "params_opt": (
                ("stage", "statistic"),
                np.exp([np.quantile(known.log_best, levels), middle + np.quantile(error, levels)]),
            ),
            "isoflop_regret": by_isoflop.expected_regret,
            "isoflop_regret_error": by_isoflop.simulation_error,
            "isoflop_excess": excess[0],
            "isoflop_excess_error": excess[1],
            **outside(xr.DataArray(budget), fitted.runs["flops"]).data_vars,
            "runs_worth": _worth_training(told, batch.compute, budget),
            "worth": (before - after[-1].expected_regret) * budget / batch.compute.sum(),
            "target": budget,
            "pilot": compute,
        },
        coords={
            "pilot_run": np.arange(1, runs + 1),
            "stage": ["before", "after"],
            "statistic": ["low", "estimate", "high"],
        },
    )
    units = {"params": "parameters", "params_opt": "parameters", "tokens": "tokens"}
    units |= dict.fromkeys(("compute", "target", "pilot"), "FLOP")
    for name in answer.data_vars:
        answer[name].attrs["units"] = units.get(str(name), "1")
    answer.attrs = {
        "model": fitted.model,
        "converged": int(fitted.converged),
        "recipe": recipe or "",
        "new_budget": int(fitted.new_budget),
        "prob": prob,
        "spread": spread,
    }
    return answer


def _worth_training(told: list[Forecast], compute: Array, target: float) -> int:
    """How many of the runs, the first ones, leave the least to be paid for pilot runs and waste together.

    So many are taken that no more of them save, by a difference that the simulation can see, what they cost.
    """
    spent = np.concatenate([[0.0], np.cumsum(compute)]) / target
    paid = np.array([each.expected_regret for each in told]) + spent
    least = int(np.argmin(paid))
    for count in range(least):
        saved, error = told[least].lowers(told[count])
        if saved - (spent[least] - spent[count]) < SEEN * error:
            return count
    return least


def _check(target: float, pilot: float, runs: int, spread: float) -> None:
    if isinstance(runs, bool) or not isinstance(runs, int | np.integer) or runs < 1:
        raise InputError(f"runs must be a whole number of at least 1, not {runs!r}")
    if pilot >= target:
        raise InputError(
            f"pilot: runs of {format_quantity(pilot)} FLOPs in all are no cheaper than the run of "
            f"{format_quantity(target)} that they prepare; lower pilot"
        )
    if not (np.isfinite(spread) and spread > 1):
        raise InputError(f"spread is a factor above 1, such as {SPREAD:g}, not {spread:g}")


def _thinned(fit: xr.DataTree) -> xr.DataTree:
    """Keep as many draws as the regressions need, evenly spaced; refuse too few."""
    posterior = fit["posterior"].dataset
    draws = posterior.sizes["chain"] * posterior.sizes["draw"]
    if draws < LEAST_DRAWS:
        raise InputError(
            f"the fit has {draws} draws, and to tell what pilot runs would show takes {LEAST_DRAWS}; sample "
            "more"
        )
    thinned = posterior.isel(draw=slice(None, None, -(-draws // _DRAWS)))
    tree = xr.DataTree.from_dict(
        {
            "posterior": thinned,
            **{name: fit[name].dataset for name in ("constant_data", "observed_data")},
        }
    )
    tree.attrs = fit.attrs
    return tree


def _chosen(
    fit: xr.DataTree,
    known: Truths,
    problem: Problem,
    possible: Pilots,
    pilot: float,
    runs: int,
    largest: float | None,
) -> Pilots:
    """Choose a batch of the candidates, and spend on it what their rungs leave, if that tells more."""
    surface = problem.surface
    found = moments(known, outcomes(fit, surface, possible))
    chosen = greedy(found, possible.compute, pilot, runs)
    chosen = exchange(found, possible.compute, pilot, chosen)
    batch = possible.some(_in_order(found, chosen, possible.compute))
    more = min(RUNG, pilot / batch.compute.sum())
    if largest is not None:
        more = min(more, largest / batch.compute.max())
    longer = bought(problem, batch.params, batch.compute * more)
    told = [
        moments(known, outcomes(fit, surface, each)).explained(list(range(runs))) for each in (batch, longer)
    ]
    return longer if told[1] > told[0] else batch


def _in_order(known: Moments, chosen: list[int], compute: Array) -> list[int]:
    """Put a batch in the order in which its runs tell the most per FLOP."""
    ordered: list[int] = []
    while len(ordered) < len(chosen):
        left = [run for run in chosen if run not in ordered]
        gains = [(known.explained([*ordered, run]) - known.explained(ordered)) / compute[run] for run in left]
        ordered.append(left[int(np.argmax(gains))])
    return ordered
