"""What a fit's own runs show of how losses leave its law: cuts are predicted, and their slopes kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from bayes_scaling.checks.backtest import predict_folds
from bayes_scaling.checks.predicted import shown_slopes
from bayes_scaling.models.spec import spec_from_dict
from bayes_scaling.planning.deviations import LOSS, PARAMS
from bayes_scaling.planning.usable import check_fit
from bayes_scaling.sampling.artefact import BACKTEST, fit_facts
from bayes_scaling.sampling.by_recipe import recipe_names
from bayes_scaling.sampling.observed import runs_of_fit


def learn_discrepancy(
    fit: xr.DataTree,
    *,
    seed: int = 0,
    workers: int | None = None,
    scheduler: str | None = None,
    results: str | Path | None = None,
    progress: bool | None = None,
) -> xr.DataTree:
    """Learn from a fit's own runs how the truth leaves its law, by a rolling backtest of its spec.

    Parameters
    ----------
    fit : DataTree
        From `fit` or `open_fit`, with its runs.
    seed : int
        Of the fits to the runs up to each cut.
    workers, scheduler, results, progress
        As for `backtest`.

    Returns
    -------
    DataTree
        The fit with one more group, `backtest`, dims shown: slope (per decade of compute) and its standard
        error, of what (shown_of: "loss", the log loss, or "params", log N_opt), beyond which cut (FLOPs) and
        of which recipe (shown_recipe, "" where the fit is of one law). `optimum`, `predict`, `plan` and
        `compare` heed it; `save_fit` writes it.

    Raises
    ------
    InputError
        If it is no fit, or its runs cannot be cut.
    """
    check_fit(fit)
    spec, runs = spec_from_dict(fit_facts(fit)["spec"]), runs_of_fit(fit)
    several = "recipe" in runs and runs["recipe"].nunique() > 1
    if several and not recipe_names(fit["posterior"].dataset):
        # One law was fitted to them all.
        labels = dict(runs.attrs)
        runs = runs.drop(columns="recipe")
        runs.attrs.update(labels)
    study = predict_folds(
        runs,
        spec,
        seed=seed,
        workers=workers,
        scheduler=scheduler,
        results=results,
        progress=progress,
        peers=False,
    )
    rows = []
    for recipe in dict.fromkeys(each.fold.recipe for each in study):
        own = [each for each in study if each.fold.recipe == recipe]
        largest = max(float(each.fold.predicted["flops"].max()) for each in own)
        for of, seen in zip((LOSS, PARAMS), shown_slopes(own, spec.name, largest), strict=True):
            rows += [(recipe, of, each.cut, each.slope, each.error) for each in seen]
    names = ("shown_recipe", "shown_of", "cut", "slope", "error")
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    kinds = (str, str, float, float, float)
    shown = xr.Dataset(
        {
            name: ("shown", np.array(values, dtype=kind))
            for name, values, kind in zip(names, columns, kinds, strict=True)
        }
    )
    shown["cut"].attrs["units"] = "FLOP"
    learned = fit.copy()
    learned[BACKTEST] = xr.DataTree(shown)
    return learned
