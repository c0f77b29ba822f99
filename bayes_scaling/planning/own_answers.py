"""What each fit of a mixture would plan by itself, beside the plan of the mixture."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayes_scaling.planning.choice import choose
from bayes_scaling.planning.constraints import Limits, allowed_sizes
from bayes_scaling.planning.mixture import Member
from bayes_scaling.planning.problem import Problem
from bayes_scaling.planning.proposals import Started
from bayes_scaling.planning.reference import prepared


def own_answers(
    members: list[Member],
    cost: float,
    within: Limits,
    recommended: tuple[float, float],
    mixture: Problem,
    there: Started | None,
    prob: float,
) -> xr.Dataset:
    """Plan by each fit alone, within the same limits.

    Parameters
    ----------
    members : list of Member
        The fits.
    cost : float
        The budget in FLOPs.
    within : Limits
        What the caller allows.
    recommended : tuple of float
        Size and tokens of the mixture's plan.
    mixture : Problem
        What that was judged by, prepared for this cost and these limits.
    there : Started, optional
        A run that is there already and may be trained on.
    prob : float
        Probability inside the intervals.

    Returns
    -------
    Dataset, dims fit
        weight; own_params, own_tokens and own_expected_regret: the plan of each fit alone, from scratch, and
        its expected regret by that fit; own_regret_by_mixture: the same by the mixture;
        own_regret_of_recommended: that of the mixture's plan by the fit; own_params_opt and own_loss, dim
        statistic ("low", "estimate", "high"): N_opt, and the loss of the fit's own plan.
    """
    tail = (1 - prob) / 2
    levels = [tail, 0.5, 1 - tail]
    rows = []
    for member in members:
        own = Problem(member.fitted.surface, mixture.served, mixture.unique)
        # A run that is continued costs less than one of its size and tokens.
        whole = max(cost, float(own.cost(*recommended)))
        problem, of_whole = prepared(own, cost, within), prepared(own, whole, within)
        if there:
            problem, of_whole = there.beside(problem), there.beside(of_whole)
        least = of_whole.least_cost(own.loss(*recommended))
        params, regret = choose(problem, cost, allowed_sizes(problem, cost, within))
        tokens = float(problem.tokens(params, cost))
        rows.append(
            xr.Dataset(
                {
                    "weight": member.weight,
                    "own_params": params,
                    "own_tokens": tokens,
                    "own_expected_regret": regret,
                    "own_regret_by_mixture": float(mixture.regret(params, tokens).mean()),
                    "own_regret_of_recommended": float(1 - (least / cost).mean()),
                    "own_params_opt": ("statistic", np.quantile(problem.best(cost)[0], levels)),
                    "own_loss": ("statistic", np.quantile(problem.loss(params, tokens), levels)),
                },
                coords={"statistic": ["low", "estimate", "high"]},
            )
        )
    return xr.concat(rows, "fit").assign_coords(fit=[member.name for member in members])
