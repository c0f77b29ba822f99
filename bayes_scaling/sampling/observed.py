"""The runs as a fit carries them: what was observed, and the constants beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayes_scaling.laws import isoflop
from bayes_scaling.models.spec import Spec, recipes_told_apart
from bayes_scaling.runs.check import flops_per_param_token
from bayes_scaling.runs.columns import COLUMNS
from bayes_scaling.sampling.artefact import fit_facts

if TYPE_CHECKING:
    import pandas as pd


def constant_data(runs: pd.DataFrame, spec: Spec | None = None) -> xr.Dataset:
    """Put a table of runs into a Dataset over dim run, with run_id as its coordinate.

    Parameters
    ----------
    runs : DataFrame
        A checked table of runs.
    spec : Spec, optional
        The model fitted to them, which may tell recipes apart.

    Returns
    -------
    Dataset, dims run
        params, tokens, flops, loss, what is there of budget, recipe and loss_se, and the scalar
        `flops_per_param_token`, k in C = k N D. If the model tells recipes apart also
        `recipe_flops_per_param_token`, that k over the runs of each run's own recipe; and of an IsoFLOP model
        profile_recipe and profile_budget, dims profile: which profile is of which recipe and budget.
    """
    columns = [name for name in ("params", "tokens", "flops", "loss", "budget", "loss_se") if name in runs]
    variables: dict[str, Any] = {name: ("run", runs[name].to_numpy(float)) for name in columns}
    coords: dict[str, Any] = {"run": runs["run_id"].to_numpy(str)}
    if "recipe" in runs:
        variables["recipe"] = ("run", runs["recipe"].to_numpy(str))
    variables["flops_per_param_token"] = ((), np.float64(flops_per_param_token(runs)))
    recipe = None if spec is None else recipes_told_apart(runs, spec)
    if spec is not None and recipe is not None:
        k = {name: flops_per_param_token(runs[recipe == name]) for name in dict.fromkeys(recipe.tolist())}
        variables["recipe_flops_per_param_token"] = ("run", np.array([k[name] for name in recipe.tolist()]))
        if spec.law != "chinchilla":
            data = {name: runs[name].to_numpy(float) for name in ("params", "flops", "loss", "budget")}
            centre = isoflop.reference(**data, recipe=recipe)
            variables["profile_recipe"] = ("profile", np.array(centre.recipes)[centre.profile_recipe])
            variables["profile_budget"] = ("profile", centre.budget)
            coords["profile"] = np.array(isoflop.profile_names(centre))
    return xr.Dataset(variables, coords=coords)


def runs_of_fit(fit: xr.DataTree) -> pd.DataFrame:
    """Put the runs that a fit carries back into a table.

    Parameters
    ----------
    fit : DataTree
        From `fit` or `open_fit`.

    Returns
    -------
    DataFrame
        Those that were fitted, with their labels.
    """
    import pandas as pd

    constant = fit["constant_data"].dataset.assign(loss=fit["observed_data"].dataset["loss"])
    columns = {name: constant[name].to_numpy() for name in COLUMNS if name in constant}
    runs = pd.DataFrame({"run_id": constant["run"].to_numpy().astype(str), **columns})
    runs.attrs.update(fit_facts(fit)["labels"])
    return runs
