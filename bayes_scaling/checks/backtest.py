"""`backtest`: fit on small compute, predict larger, and score what was said against what came."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayes_scaling.approaches.recipes import by_recipe
from bayes_scaling.checks import simple_scaling_laws
from bayes_scaling.checks.fold_fits import APPROACH_3, POSTERIOR, predict_fold
from bayes_scaling.checks.folds import Fold, folds
from bayes_scaling.checks.minima import minima
from bayes_scaling.checks.predicted import Predicted, shown_slopes
from bayes_scaling.checks.scored import scored
from bayes_scaling.executor import run_tasks
from bayes_scaling.models.discrepancy import LOSS_SLOPES, PARAMS_SLOPES, Population
from bayes_scaling.models.spec import Spec, load_spec, spec_to_dict
from bayes_scaling.planning.discrepancy import Slope, expected_slope
from bayes_scaling.runs.check import check_runs

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

DISCREPANCY = "discrepancy"
"""What is added to a model's name where its predictions deviate beyond the runs."""

_SAMPLING = {"draws": 500, "tune": 500, "chains": 2}
_FITTED = ("run_id", "params", "tokens", "flops", "loss", "budget", "loss_se")


def backtest(
    runs: pd.DataFrame,
    spec: str | Path | Spec = "parametric",
    *,
    cuts: Sequence[float] | None = None,
    loss_slopes: Population | None = None,
    params_slopes: Population | None = None,
    seed: int = 0,
    workers: int | None = None,
    scheduler: str | None = None,
    results: str | Path | None = None,
    progress: bool | None = None,
) -> xr.Dataset:
    """Fit runs up to a compute and predict those beyond, at several cuts of each recipe.

    Parameters
    ----------
    runs : DataFrame
        Table of runs.
    spec : str, Path or Spec
        Name of a model spec, path of a TOML file, or a Spec; each recipe is fitted by itself.
    cuts : sequence of float, optional
        In FLOPs; unless given as `folds` chooses them.
    loss_slopes, params_slopes : Population, optional
        What deviations of the log loss and of log N_opt are expected beyond the runs before the study has
        shown its own; as the spec has it, or the published ones if it has none.
    seed : int
        Of the fits and the resamples.
    workers, scheduler, results : optional
        As for `run_tasks`: processes here, or a cluster; and a file in which finished fits are kept.
    progress : bool, optional
        Show progress on standard error; by default if that is a terminal.

    Returns
    -------
    Dataset
        Dims estimator, fold, prediction, decision, prob and recipe. The estimators are the spec as it is; the
        spec with the discrepancy that was to be expected at each cut, by what lower cuts had shown by then;
        approach 3 with its bootstrap, without and with the noise of its residuals; and the package
        simple-scaling-laws where it is installed.

        By fold: fold_recipe, cut (FLOPs), runs_fitted, runs_predicted, decades (from the cut to the largest
        run); by estimator and fold: converged, coverage (by prob), interval_score (of the 90 % interval of
        the log loss), log_score, bias (mean of the log of what came over what was predicted).
        By prediction: prediction_fold, run, compute, decades_beyond, loss; by estimator and prediction:
        estimate, low, high (by prob), pit, error, prediction_log_score (log density of the log loss).
        By decision, one a fold and a budget beyond its cut whose own IsoFLOP profile has a minimum:
        decision_fold, budget, params_min; by estimator: params_opt (its median), params_low, params_high (90
        %), regret (share of the compute that following the median wastes).
        By estimator: pooled_coverage (by prob), pooled_interval_score, pooled_log_score, pooled_bias: means
        over the folds.
        By recipe: slope, slope_sd, params_slope, params_slope_sd: the deviations per decade to expect beyond
        all the runs.

    Raises
    ------
    InputError
        If the runs, the spec or an option are not fit for use, or no cut leaves runs on both sides.
    """
    spec = load_spec(spec)
    study = predict_folds(
        runs, spec, cuts=cuts, seed=seed, workers=workers, scheduler=scheduler, results=results,
        progress=progress,
    )  # fmt: skip
    said = spec.discrepancy
    return score_folds(
        study,
        spec.name,
        loss_slopes or (said.loss if said else LOSS_SLOPES),
        params_slopes or (said.params if said else PARAMS_SLOPES),
    )


def predict_folds(
    runs: pd.DataFrame,
    spec: Spec,
    *,
    cuts: Sequence[float] | None = None,
    seed: int = 0,
    workers: int | None = None,
    scheduler: str | None = None,
    results: str | Path | None = None,
    progress: bool | None = None,
    peers: bool = True,
) -> list[Predicted]:
    """Fit every fold by every method: all of `backtest` that takes time.

    Parameters
    ----------
    runs, spec, cuts, seed, workers, scheduler, results, progress
        As for `backtest`.
    peers : bool
        Let approach 3, and the package simple-scaling-laws where it is installed, predict too.

    Returns
    -------
    list of Predicted
        By recipe and cut, those among them that are not scored.
    """
    runs = check_runs(runs)
    every = folds(runs, cuts)
    least = {part.recipe: minima(part.runs, seed) for part in by_recipe(runs, always=True)}
    study = [
        Predicted(fold, [each for each in least[fold.recipe] if each.budget > fold.cut]) for fold in every
    ]
    asked = [(each, method) for each in study for method in _methods(each.fold, peers)]
    found = run_tasks(
        predict_fold,
        [_task(each, method, spec, seed) for each, method in asked],
        workers=workers,
        scheduler=scheduler,
        results=results,
        what="backtest",
        progress=sys.stderr.isatty() if progress is None else progress,
    )
    for (each, method), result in zip(asked, found, strict=True):
        each.take(spec.name if method == POSTERIOR else method, result)
    return study


def score_folds(
    study: Sequence[Predicted], model: str, loss_slopes: Population, params_slopes: Population
) -> xr.Dataset:
    """Add the discrepancy to what a model predicted, and score everything.

    Parameters
    ----------
    study : sequence of Predicted
        From `predict_folds`, whose methods are added to.
    model : str
        Name of the spec.
    loss_slopes, params_slopes
        As for `backtest`.

    Returns
    -------
    Dataset
        As from `backtest`.
    """

    def expect(own: Sequence[Predicted], largest: float) -> tuple[Slope, Slope]:
        of_loss, of_params = shown_slopes(own, model, largest)
        return (
            expected_slope(loss_slopes, largest, of_loss),
            expected_slope(params_slopes, largest, of_params),
        )

    expected: dict[str, tuple[Slope, Slope]] = {}
    for recipe in dict.fromkeys(each.fold.recipe for each in study):
        own = [each for each in study if each.fold.recipe == recipe]
        for each in own:
            if each.fold.scored:
                each.deviate(model, f"{model} + {DISCREPANCY}", *expect(own, each.fold.cut))
        largest = float(own[0].fold.predicted["flops"].max())
        expected[recipe] = expect(own, largest)
    return scored([each for each in study if each.fold.scored], expected, model)


def _methods(fold: Fold, peers: bool) -> tuple[str, ...]:
    if not (fold.scored and peers):
        return (POSTERIOR,)
    package = (simple_scaling_laws.NAME,) if simple_scaling_laws.is_installed() else ()
    return (POSTERIOR, APPROACH_3, *package)


def _task(part: Predicted, method: str, spec: Spec, seed: int) -> dict[str, Any]:
    """Describe a fit by plain values; its key holds what it is made of."""
    fold = part.fold
    columns = [name for name in _FITTED if name in fold.fitted]
    task: dict[str, Any] = {
        "method": method,
        "fitted": {name: fold.fitted[name].tolist() for name in columns},
        "planned": {name: fold.predicted[name].tolist() for name in ("params", "tokens", "flops")},
        "budgets": [each.budget for each in part.minima],
        "seed": seed,
    }
    if method == POSTERIOR:
        # What lies beyond the runs is added to a fit's predictions, not sampled.
        task |= {"spec": spec_to_dict(replace(spec, discrepancy=None)), "sampling": _SAMPLING}
    made_of = hashlib.sha256(json.dumps(task, sort_keys=True).encode()).hexdigest()[:16]
    return {"key": f"backtest {made_of}", **task}
