"""How much an answer is the prior's: what it does when the prior counts a little more or less."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr

from bayes_scaling.arviz_calls import power_scaling
from bayes_scaling.checks.findings import Finding
from bayes_scaling.models.spec import spec_from_dict
from bayes_scaling.planning.optimum import optimum
from bayes_scaling.quantities import format_flops
from bayes_scaling.sampling.artefact import fit_facts
from bayes_scaling.sampling.log_prior import log_prior

SENSITIVE = 0.05
"""Sensitivity from which on a prior is said to matter (Kallioinen et al. 2024) …"""

MOVED, NARROWED = 0.25, 0.15
"""… and does so enough to speak of, if a doubling of its power moves the mean by that many posterior standard
deviations, or the standard deviation by that share. A hierarchical model has a dozen priors: scaled together
they move nearly everything a little."""

PLAN = ("a", "N_opt", "loss_opt")
LAW = ("E", "alpha", "beta", "gamma")
"""What is judged: what a plan needs, and the law's own constants as far as a model has them."""


class Sensitivity(NamedTuple):
    """Of quantities, a row each; arrays have the dim quantity or, of recipes told apart, recipe too."""

    prior: xr.Dataset
    likelihood: xr.Dataset
    shift: xr.Dataset
    """By how many posterior standard deviations the mean would move, were the prior's power doubled …"""
    narrowing: xr.Dataset
    """… and by what share the standard deviation would shrink; both to first order."""


def prior_sensitivity(fit: xr.DataTree, compute: float) -> Sensitivity:
    """Scale the power of the prior, and of the likelihood, and see what moves.

    Parameters
    ----------
    fit : DataTree
        From `fit` or `open_fit`, with its log likelihood.
    compute : float
        Budget in FLOPs at which N_opt and loss_opt are, by the law alone.

    Returns
    -------
    Sensitivity

    Notes
    -----
    Power scaling (Kallioinen et al. 2024, arXiv 2107.14054) by `arviz.psense`; of a population only the
    priors of its centre and spread are scaled. Shift and narrowing are the first order of the same scaling,
    the posterior covariances with the log prior.
    """
    facts = fit_facts(fit)
    density = fit["log_likelihood"].dataset["loss"]
    draws = fit["posterior"].dataset
    optima = optimum(fit, compute, discrepancy=False, allow_unconverged=True).isel(compute=0, drop=True)
    quantities = draws[[name for name in LAW if name in draws]].assign(
        a=optima["a"], N_opt=np.log(optima["params_opt"]), loss_opt=optima["loss_opt"]
    )
    # The draws of which the fit carries densities, which may be fewer than all.
    draws, quantities = draws.sel(draw=density["draw"]), quantities.sel(draw=density["draw"])
    quantities = quantities.drop_attrs().transpose("chain", "draw", ...)
    prior = log_prior(draws, spec_from_dict(facts["spec"]))
    moved = power_scaling(quantities, prior, density)
    over = ("chain", "draw")
    centred = np.log(2) * (prior - prior.mean(over))
    standard = (quantities - quantities.mean(over)) / quantities.std(over)
    return Sensitivity(
        moved.sel(component="prior", drop=True),
        moved.sel(component="likelihood", drop=True),
        (standard * centred).mean(over),
        -0.5 * (standard**2 * centred).mean(over),
    )


def sensitivity_findings(fit: xr.DataTree, compute: float) -> list[Finding]:
    """Say of the plan, and of the law's constants, how far they are the prior's word.

    Parameters
    ----------
    fit, compute
        As for `prior_sensitivity`.

    Returns
    -------
    list of Finding
    """
    found = prior_sensitivity(fit, compute)
    return [_finding("prior: plan", PLAN, found, compute), _finding("prior: law", LAW, found, compute)]


def _finding(check: str, names: tuple[str, ...], found: Sensitivity, compute: float) -> Finding:
    named = [name for name in names if name in found.prior]
    at = f" at {format_flops(compute)} FLOP"
    said, conflict = [], False
    for name in named:
        sensitivity, likelihood, shift, narrowing = (np.atleast_1d(of[name].to_numpy()) for of in found)
        matters = (sensitivity >= SENSITIVE) & ((abs(shift) >= MOVED) | (abs(narrowing) >= NARROWED))
        if not matters.any():
            continue
        worst = int(np.where(matters, sensitivity, 0.0).argmax())
        whose = f" of recipe {found.prior['recipe'].values[worst]!r}" if found.prior[name].ndim else ""
        conflict = conflict or bool(likelihood[worst] >= SENSITIVE)
        where = at if name in ("N_opt", "loss_opt") else ""
        said.append(f"{name}{where}{whose} by {shift[worst]:+.2f} sd and its sd by {-narrowing[worst]:+.0%}")
    if not said:
        largest = max(float(found.prior[name].max()) for name in named)
        where = f" ({' and '.join(n for n in named if n in PLAN[1:])}{at})" if check == "prior: plan" else ""
        text = f"{', '.join(named)} rest on the runs{where}: sensitivity to the prior at most {largest:.2g}"
        return Finding(check, True, text)
    several = "the runs move them as well" if conflict else "the runs say little of them"
    return Finding(
        check,
        False,
        f"partly the prior's word: were the prior squared, that would move {', '.join(said)}; {several}",
        "say where the prior comes from, and fit again with it half and twice as wide; runs over more sizes "
        "and ratios of tokens to parameters would make it matter less",
    )
