"""The parametric model: the Chinchilla law over a table of runs, as a PyMC model.

The law is centred at the runs' geometric means N0 and D0 and at the loss L0 there:

    mu_i = L0 (share_E + share_N (N_i/N0)^-alpha + share_D (D_i/D0)^-beta)

which is the same law with A = L0 share_N N0^alpha and B = L0 share_D D0^beta, but whose priors have no
unit and whose posterior is nearly round: NUTS needs some seven leapfrog steps a draw, where E, A, B,
alpha, beta themselves, correlated over many orders of magnitude, need hundreds.

Of several recipes each has its own centre, and the three shares are written as two: the irreducible one,
and the size-limited share of the rest. A Dirichlet(2, 1, 1) of the three is a Beta(2, 2) and a Uniform of the
two.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt

from bayes_scaling.errors import InputError
from bayes_scaling.laws import chinchilla
from bayes_scaling.models.law_estimates import law_estimates
from bayes_scaling.models.noise import noise_distribution
from bayes_scaling.models.pooling import (
    check_supports,
    membership,
    own_values,
    population,
)
from bayes_scaling.models.priors import prior_variable
from bayes_scaling.models.spec import Spec, recipes_told_apart

TERMS = ("irreducible", "params", "tokens")
"""The three terms of the law, in the order of `share`."""

MINIMUM_RUNS = 6
"""One run more than the law has parameters."""


class _Centre(NamedTuple):
    """Geometric means over the runs: of each recipe, dims ("recipe",), and of all together."""

    recipes: tuple[str, ...]
    number: np.ndarray
    own: dict[str, np.ndarray]
    all: dict[str, float]


def build_parametric(runs: pd.DataFrame, spec: Spec, *, centre_loss: np.ndarray | None = None) -> pm.Model:
    """Build the parametric model of these runs.

    Parameters
    ----------
    runs : DataFrame
        A checked table of runs; uses `params` (count), `tokens` (count), `flops` (FLOP), `loss`
        and, if there, `recipe` and `loss_se` (in the loss's unit).
    spec : Spec
        Noise, priors and pooling of a model whose law is "chinchilla".
    centre_loss : ndarray, dims ("run",), optional
        Losses that priors are centred at in place of the runs' own.

    Returns
    -------
    pymc.Model
        With every number that comes from the runs in a `pm.Data`, so that the same compiled model
        serves other runs. Free variables: loss_ratio, share (dim "term"), alpha, beta and those of the
        noise; deterministic: E, A, B, in the units of the runs. A spec with pooling has irreducible and
        params_share in place of share; of several recipes all these have the dim recipe unless they are
        fully pooled, and the population's are called `_typical` and `_spread`.

    Raises
    ------
    InputError
        If the runs are fewer than the law can bear, or are all of one size or of one length.
    """
    check_supports(spec)
    recipe = recipes_told_apart(runs, spec)
    _check_bearable(runs, spec, recipe)
    data = {name: runs[name].to_numpy(float) for name in ("params", "tokens", "flops", "loss")}
    middle = data["loss"] if centre_loss is None else centre_loss
    centre, several = _centre({**data, "loss": middle}, recipe), recipe is not None
    logs = {name: np.log(values / centre.own[name][centre.number]) for name, values in data.items()}

    coords: dict[str, Any] = {"run": runs["run_id"].to_list()}
    if not spec.pooling:
        coords["term"] = list(TERMS)
    if several:
        coords["recipe"] = list(centre.recipes)
    of_recipes = "recipe" if several else None
    with pm.Model(coords=coords) as model:
        params_ref, tokens_ref, typical_loss = (
            pm.Data(name, centre.own[column] if several else centre.own[column][0], dims=of_recipes)
            for name, column in (("params_ref", "params"), ("tokens_ref", "tokens"), ("typical_loss", "loss"))
        )
        log_params = pm.Data("log_params", logs["params"], dims="run")
        log_tokens = pm.Data("log_tokens", logs["tokens"], dims="run")
        to_runs = membership("recipe_member", centre.number, len(centre.recipes), "run") if several else None

        growing = spec.noise.growth == "loss"
        estimates = law_estimates(logs, centre.number, growing=growing) if several else {}
        if spec.pooling:
            law = _pooled_law(spec, centre, estimates, several=several)
            rest = 1 - law["irreducible"]
            shares = (law["irreducible"], rest * law["params_share"], rest * (1 - law["params_share"]))
        else:
            dims = {"share": "term"}
            law = {name: prior_variable(name, spec.priors[name], dims.get(name)) for name in spec.law_priors}
            shares = tuple(law["share"][term] for term in range(len(TERMS)))
        E, A, B = (law["loss_ratio"] * typical_loss * share for share in shares)
        at_centre = {"E": E, "A": A, "B": B, "alpha": law["alpha"], "beta": law["beta"]}
        mu = chinchilla.loss_at_logs(
            log_params,
            log_tokens,
            **{name: to_runs(value) if to_runs else value for name, value in at_centre.items()},
            exp=pt.exp,
        )
        pm.Deterministic("E", E, dims=of_recipes)
        pm.Deterministic("A", A * params_ref ** law["alpha"], dims=of_recipes)
        pm.Deterministic("B", B * tokens_ref ** law["beta"], dims=of_recipes)

        noise_distribution(
            spec,
            mu=mu,
            typical_loss=typical_loss,
            flops=data["flops"],
            loss=data["loss"],
            centre_loss=middle,
            loss_se=runs["loss_se"].to_numpy(float) if "loss_se" in runs else None,
            recipe=centre.number if several else None,
            to_runs=to_runs,
            estimates=estimates,
        )
    return model


def _pooled_law(spec: Spec, centre: _Centre, estimates: Any, *, several: bool) -> dict[str, Any]:
    """Add the parameters of the law: of one recipe as they are, of several as they are pooled."""
    if not several:
        return {name: population(name, spec, several=False) for name in spec.law_priors}
    n, d = (np.log(centre.own[name] / centre.all[name]) for name in ("params", "tokens"))
    alpha, beta = (float(np.exp(estimates[name][0]).mean()) for name in ("alpha", "beta"))
    share = 1 / (1 + np.exp(-estimates["params_share"][0]))
    offsets = {
        "params_share": beta * d - alpha * n,
        "irreducible": np.log(share * np.exp(alpha * n) + (1 - share) * np.exp(beta * d)),
    }
    typical = {
        name: population(name, spec, several=True, estimates=estimates, offset=offsets.get(name, 0.0))
        for name in spec.law_priors
    }
    # From the centre of all runs to each recipe's.
    to_params, to_tokens, to_loss = (
        pm.Data(name, np.log(values), dims="recipe")
        for name, values in (
            ("log_params_offset", centre.own["params"] / centre.all["params"]),
            ("log_tokens_offset", centre.own["tokens"] / centre.all["tokens"]),
            ("log_loss_offset", centre.all["loss"] / centre.own["loss"]),
        )
    )

    def own(name: str, shift: Any = 0.0) -> Any:
        return own_values(name, spec, typical[name], several=True, shift=shift, estimates=estimates)

    def reducible_at_all(params_share: Any, alpha: Any, beta: Any) -> Any:
        """Give what is reducible at the centre of all runs, over that at the recipe's."""
        return params_share * pt.exp(alpha * to_params) + (1 - params_share) * pt.exp(beta * to_tokens)

    law = {name: own(name) for name in ("alpha", "beta")}
    # Of the population's law, read at the recipe's centre; a share that is not pooled is the recipe's there.
    shift = typical["beta"] * to_tokens - typical["alpha"] * to_params
    law["params_share"] = own("params_share", shift)
    there = typical["params_share"]
    if spec.pooling["params_share"] != "none":
        there = pt.sigmoid(pt.log(there) - pt.log1p(-there) + shift)
    law["irreducible"] = own(
        "irreducible", pt.log(reducible_at_all(there, typical["alpha"], typical["beta"]))
    )
    rise = reducible_at_all(law["params_share"], law["alpha"], law["beta"])
    law["loss_ratio"] = own(
        "loss_ratio", to_loss - pt.log(law["irreducible"] + (1 - law["irreducible"]) * rise)
    )
    return law


def _centre(data: dict[str, np.ndarray], recipe: np.ndarray | None) -> _Centre:
    of_run = np.full(len(data["loss"]), "") if recipe is None else recipe
    names = tuple(dict.fromkeys(of_run.tolist()))
    number = np.array([names.index(name) for name in of_run.tolist()])
    own = {
        column: np.array([_geometric_mean(values[number == i]) for i in range(len(names))])
        for column, values in data.items()
    }
    return _Centre(names, number, own, {column: _geometric_mean(values) for column, values in data.items()})


def _check_bearable(runs: pd.DataFrame, spec: Spec, recipe: np.ndarray | None) -> None:
    """Refuse what says too little: of all runs, or of a recipe that borrows nothing from the others."""
    tables = {"": runs}
    if recipe is not None and any(
        spec.pooling[name] == "none" for name in ("irreducible", "params_share", "alpha", "beta")
    ):
        tables = {f", recipe {name!r}": runs[recipe == name] for name in dict.fromkeys(recipe.tolist())}
    for which, table in tables.items():
        if len(table) < MINIMUM_RUNS:
            raise InputError(
                f"{runs.attrs['source']}{which}: has {len(table)} runs; the law has five parameters and "
                f"needs at least {MINIMUM_RUNS}: add runs, or keep more of them (where)"
            )
        for column, what in (("params", "size"), ("tokens", "number of tokens")):
            if table[column].nunique() == 1:
                same = f"the same {what} ({column} = {table[column].iloc[0]:g})"
                raise InputError(
                    f"{runs.attrs['source']}{which}: all {len(table)} runs have {same}: "
                    f"they say nothing about how the loss depends on it; add runs that differ in {column}"
                )


def _geometric_mean(values: np.ndarray) -> float:
    return float(np.exp(np.log(values).mean()))
