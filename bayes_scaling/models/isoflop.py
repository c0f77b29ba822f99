"""The hierarchical IsoFLOP model: a profile for each budget, whose minima lie about one frontier a recipe.

Each profile has a size, a loss and a curvature at its minimum. The sizes scatter about a power law of
compute, the losses about E + F C^-gamma, the curvatures about a power law of their own; all three by amounts
that are learned. A profile that says little, because it has three runs or its minimum lies off its grid,
borrows from the others; one that says much keeps what it says. Recipes borrow from each other likewise, as
the spec's pooling says. Runs count with their own FLOPs, not with their budget's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt

from bayes_scaling.laws import isoflop
from bayes_scaling.models.noise import noise_distribution
from bayes_scaling.models.pooling import (
    Estimates,
    check_supports,
    checked_index,
    membership,
    own_values,
    population,
)
from bayes_scaling.models.profile_estimates import LEVELS, profile_estimates, recipe_estimates
from bayes_scaling.models.spec import Spec, recipes_told_apart
from bayes_scaling.models.whitened import UNKNOWN, whitened_normal

SCATTERS = ("params_scatter", "loss_scatter", "kappa_scatter")
"""Of each of `LEVELS`, over the profiles of a recipe."""


def build_isoflop(runs: pd.DataFrame, spec: Spec, *, centre_loss: np.ndarray | None = None) -> pm.Model:
    """Build the hierarchical IsoFLOP model of these runs.

    Parameters
    ----------
    runs : DataFrame
        Runs of IsoFLOP profiles, as from `runs_in_profiles`; uses `params` (count), `flops` (FLOP), `loss`,
        `budget` (FLOP) and, if there, `recipe` and `loss_se` (in the loss's unit).
    spec : Spec
        Noise, priors and pooling of a model whose law is "isoflop-parabola" or "isoflop-skewed".
    centre_loss : ndarray, dims ("run",), optional
        Losses that priors are centred at in place of the runs' own.

    Returns
    -------
    pymc.Model
        With every number that comes from the runs in a `pm.Data`. Of one recipe the free variables are a,
        params_ratio, loss_ratio, irreducible, loss_slope, kappa, kappa_slope, the scatters, those of `LEVELS`
        (dim budget), of the skewed law alpha and beta, and those of the noise. Deterministic: gamma; E,
        params_coefficient and loss_coefficient of the frontier N_opt = params_coefficient C^a, L_opt = E +
        loss_coefficient C^-gamma; params_min and loss_min (dim budget); all in the units of the runs. Of
        several recipes each parameter but those that are fully pooled has the dim recipe, the population's
        are called `_typical` and `_spread`, and the dim profile, one a recipe and budget, stands for budget.

    Raises
    ------
    InputError
        If a prior reaches where its parameter has no meaning.
    """
    check_supports(spec)
    data = {name: runs[name].to_numpy(float) for name in ("params", "flops", "loss", "budget")}
    recipe = recipes_told_apart(runs, spec)
    middle = data["loss"] if centre_loss is None else centre_loss
    centre = isoflop.reference(**{**data, "loss": middle}, recipe=recipe)
    several = recipe is not None
    levels, errors, slopes, estimates = _estimates(
        centre, np.log(data["loss"]), skewed="alpha" in spec.law_priors, growing=spec.noise.growth == "loss"
    )

    coords: dict[str, Any] = {"run": runs["run_id"].to_list()}
    if several:
        dim, of_recipes = "profile", "recipe"
        coords |= {"recipe": list(centre.recipes), "profile": isoflop.profile_names(centre)}
    else:
        dim, of_recipes = "budget", None
        coords["budget"] = centre.budget.tolist()
    with pm.Model(coords=coords) as model:
        params_ref, flops_ref, typical_loss = (
            pm.Data(name, values if several else values[0], dims=of_recipes)
            for name, values in (
                ("params_ref", centre.params),
                ("flops_ref", centre.flops),
                ("typical_loss", centre.loss),
            )
        )
        log_params = pm.Data("log_params", centre.log_params, dims="run")
        log_compute = pm.Data("log_compute", centre.log_compute, dims="run")
        of_run = pm.Data("profile_of_run", checked_index(centre.profile, len(centre.budget)), dims="run")
        at_budget = pm.Data("log_compute_budget", centre.log_compute_budget, dims=dim)

        to_profiles: Callable[[Any], Any] = lambda values: values  # noqa: E731
        if several:
            to_profiles = membership("profile_member", centre.profile_recipe, len(centre.recipes), dim)

        def to_runs(values: Any) -> Any:
            return to_profiles(values)[of_run] if values.ndim else values

        law = _law(spec, centre, estimates, several=several)
        gamma = law["loss_slope"] / (1 - law["irreducible"])

        own = {name: to_profiles(values) for name, values in law.items()}
        fall, log_loss_ratio = to_profiles(gamma), pt.log(own["loss_ratio"])

        def log_least_loss(log_compute: Any, irreducible: Any, fall: Any) -> Any:
            return isoflop.log_frontier(
                log_compute, irreducible=irreducible, gamma=fall, exp=pt.exp, log=pt.log
            )

        at_frontier = log_least_loss(at_budget, own["irreducible"], fall)
        means = (
            pt.log(own["params_ratio"]) + own["a"] * at_budget,
            log_loss_ratio + at_frontier,
            pt.log(own["kappa"]) + own["kappa_slope"] * at_budget,
        )
        # Where a profile has its minimum depends on the skew that it is fitted with.
        exponents = [own[name] for name in ("alpha", "beta") if name in own]

        def by_skew(level: str, estimate: np.ndarray, slopes: np.ndarray) -> Any:
            given = pm.Data(f"{level}_estimate", estimate, dims=dim)
            for name, exponent, slope in zip(("alpha", "beta"), exponents, slopes.T, strict=False):
                given = given + pm.Data(f"{level}_by_{name}", slope, dims=dim) * exponent
            return given

        at, least, log_kappa = (
            whitened_normal(level, mean, own[scatter], estimate=by_skew(level, *known), error=error, dim=dim)
            for level, scatter, mean, error, *known in zip(
                LEVELS, SCATTERS, means, errors, levels, slopes, strict=True
            )
        )
        # A run's own compute moves it along the frontier, away from where its budget's mean lies.
        beyond = log_compute - at_budget[of_run]
        log_ratio = log_params - at[of_run] - to_runs(law["a"]) * beyond
        moved = log_least_loss(log_compute, to_runs(law["irreducible"]), to_runs(gamma))
        log_least = least[of_run] + moved - at_frontier[of_run]
        kappa = pt.exp(log_kappa[of_run] + to_runs(law["kappa_slope"]) * beyond)
        skew = {name: to_runs(law[name]) for name in ("alpha", "beta") if name in law}
        rise = isoflop.rise(log_ratio, **skew, exp=pt.exp)
        mu = to_runs(typical_loss) * pt.exp(log_least) * (1 + kappa * rise)

        reached = typical_loss * law["loss_ratio"]
        pm.Deterministic("gamma", gamma, dims=of_recipes)
        pm.Deterministic("E", reached * law["irreducible"], dims=of_recipes)
        pm.Deterministic(
            "loss_coefficient", reached * (1 - law["irreducible"]) * flops_ref**gamma, dims=of_recipes
        )
        pm.Deterministic(
            "params_coefficient", params_ref * law["params_ratio"] * flops_ref ** -law["a"], dims=of_recipes
        )
        pm.Deterministic("params_min", to_profiles(params_ref) * pt.exp(at), dims=dim)
        pm.Deterministic("loss_min", to_profiles(typical_loss) * pt.exp(least), dims=dim)

        noise_distribution(
            spec,
            mu=mu,
            typical_loss=typical_loss,
            flops=data["flops"],
            loss=data["loss"],
            centre_loss=middle,
            loss_se=runs["loss_se"].to_numpy(float) if "loss_se" in runs else None,
            recipe=centre.recipe if several else None,
            to_runs=to_runs if several else None,
            estimates=estimates,
        )
    return model


def _law(spec: Spec, centre: isoflop.Reference, estimates: Estimates, *, several: bool) -> dict[str, Any]:
    """Add the parameters of the law: of one recipe as they are, of several as they are pooled."""
    steps = np.log(centre.flops / centre.flops_all)
    middle = {name: _middle(estimates, name) for name in ("a", "kappa_slope")}
    offsets = {
        "params_ratio": np.log(centre.params_all / centre.params) + middle["a"] * steps,
        "kappa": middle["kappa_slope"] * steps,
    }
    typical = {
        name: population(name, spec, several=several, estimates=estimates, offset=offsets.get(name, 0.0))
        for name in spec.law_priors
    }
    if not several:
        return typical
    # From the centre of all runs to each recipe's.
    to_params, to_compute, to_loss = (
        pm.Data(name, np.log(values), dims="recipe")
        for name, values in (
            ("log_params_offset", centre.params_all / centre.params),
            ("log_compute_offset", centre.flops / centre.flops_all),
            ("log_loss_offset", centre.loss_all / centre.loss),
        )
    )
    shifts: dict[str, Any] = {
        "params_ratio": to_params + typical["a"] * to_compute,
        "kappa": typical["kappa_slope"] * to_compute,
    }
    if "none" not in (spec.pooling["irreducible"], spec.pooling["loss_slope"]):
        # Along one frontier E stays, and what lies above it falls as C^-gamma.
        irreducible, slope = typical["irreducible"], typical["loss_slope"]
        fall = slope / (1 - irreducible) * to_compute
        there = pt.log(irreducible) - pt.log1p(-irreducible) + fall
        shifts |= {"irreducible": fall, "loss_slope": pt.log1p(-pt.sigmoid(there)) - pt.log1p(-irreducible)}
    own = {
        name: own_values(
            name, spec, typical[name], several=True, shift=shifts.get(name, 0.0), estimates=estimates
        )
        for name in spec.law_priors
        if name != "loss_ratio"
    }
    back = isoflop.log_frontier(
        -to_compute,
        irreducible=own["irreducible"],
        gamma=own["loss_slope"] / (1 - own["irreducible"]),
        exp=pt.exp,
        log=pt.log,
    )
    own["loss_ratio"] = own_values(
        "loss_ratio",
        spec,
        typical["loss_ratio"],
        several=True,
        shift=to_loss - back,
        estimates=estimates,
    )
    return own


def _estimates(
    centre: isoflop.Reference, log_loss: np.ndarray, *, skewed: bool, growing: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Estimates]:
    """Estimate every profile, carried to alpha = beta = 0 and how it moves with them, and every recipe."""
    levels, errors, slopes, by_recipe = [], [], [], []
    for i in range(len(centre.recipes)):
        rows, profiles = centre.recipe == i, centre.profile_recipe == i
        found = profile_estimates(
            centre.log_params[rows],
            log_loss[rows] - np.log(centre.loss[i]),
            centre.profile[rows] - centre.profile[rows].min(),
            int(profiles.sum()),
            skewed=skewed,
            growing=growing,
        )
        levels.append(found.levels - found.slopes @ np.exp(found.skew))
        errors.append(found.errors)
        slopes.append(found.slopes)
        by_recipe.append(recipe_estimates(found, centre.log_compute_budget[profiles]))
    names = {name for each in by_recipe for name in each}
    estimates = {
        name: (
            np.array([each.get(name, (0.0, UNKNOWN))[0] for each in by_recipe]),
            np.array([each.get(name, (0.0, UNKNOWN))[1] for each in by_recipe]),
        )
        for name in names
    }
    together = [np.concatenate(each, axis=1) for each in (levels, errors, slopes)]
    return together[0], together[1], together[2], estimates


def _middle(estimates: Estimates, name: str) -> float:
    """Mean of what the recipes say of a parameter; 0 if they say nothing."""
    values, errors = estimates.get(name, (np.zeros(1), np.full(1, UNKNOWN)))
    known = values[errors < UNKNOWN]
    return float(known.mean()) if len(known) else 0.0
