"""The scores of a backtest as one labelled Dataset: by prediction, by fold, by decision, and pooled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from bayes_scaling.checks import simple_scaling_laws
from bayes_scaling.checks.fold_fits import BOOTSTRAP, BOOTSTRAP_NOISE
from bayes_scaling.checks.predicted import Predicted
from bayes_scaling.checks.scores import PROBS, SCORED, ends, interval_score, log_score, pit
from bayes_scaling.planning.discrepancy import Slope

type Array = np.ndarray[Any, Any]


def scored(study: Sequence[Predicted], expected: Mapping[str, tuple[Slope, Slope]], model: str) -> xr.Dataset:
    """Score what was predicted, as `backtest` describes it.

    Parameters
    ----------
    study : sequence of Predicted
        The folds that are scored.
    expected : mapping of str to (Slope, Slope)
        By recipe, the slopes of log loss and log N_opt to expect beyond all its runs.
    model : str
        Name of the spec.

    Returns
    -------
    Dataset
        As from `backtest`.
    """
    named = dict.fromkeys(name for each in study for name in each.by_method)
    methods = [*(name for name in named if name.startswith(model)), BOOTSTRAP, BOOTSTRAP_NOISE]
    methods += [name for name in (simple_scaling_laws.NAME,) if name in named]
    result = xr.Dataset(
        coords={"estimator": methods, "prob": list(PROBS)}, attrs={"model": model, "scored_prob": SCORED}
    )
    result = result.assign(_folds(study, methods)).assign(_predictions(study, methods))
    result = result.assign(_decisions(study, methods))
    for name in ("coverage", "interval_score", "log_score", "bias"):
        result[f"pooled_{name}"] = result[name].mean("fold")
    result["pooled_folds"] = result["interval_score"].notnull().sum("fold")
    for i, name in enumerate(("slope", "params_slope")):
        moments = np.array([slopes[i].moments() for slopes in expected.values()]).reshape(-1, 2)
        result[name], result[f"{name}_sd"] = (("recipe", values) for values in moments.T)
    return result.assign_coords(recipe=list(expected))


def _folds(study: Sequence[Predicted], methods: Sequence[str]) -> dict[str, Any]:
    facts: dict[str, list[Any]] = {
        "fold_recipe": [each.fold.recipe for each in study],
        "cut": [each.fold.cut for each in study],
        "runs_fitted": [len(each.fold.fitted) for each in study],
        "runs_predicted": [len(each.fold.predicted) for each in study],
        "decades": [each.fold.decades for each in study],
    }
    scores = np.full((len(methods), len(study), 3 + len(PROBS)), np.nan)
    converged = np.zeros((len(methods), len(study)), dtype=bool)
    reasons = np.full((len(methods), len(study)), "", dtype=object)
    for j, each in enumerate(study):
        for i, method in enumerate(methods):
            if method in each.by_method:
                scores[i, j] = _scores_of(each.by_method[method].log_loss, each.log_loss)
                converged[i, j] = each.converged[method]
            else:
                reasons[i, j] = next(
                    (why for name, why in each.reasons.items() if method.startswith(name)), "not asked"
                )
    dims = ("estimator", "fold")
    return {
        **{name: ("fold", values) for name, values in facts.items()},
        "converged": (dims, converged),
        "reason": (dims, reasons.astype(str)),
        "coverage": ((*dims, "prob"), scores[..., 3:]),
        **{name: (dims, scores[..., i]) for i, name in enumerate(("interval_score", "log_score", "bias"))},
    }


def _scores_of(draws: Array, observed: Array) -> Array:
    """Average the scores of the predictions of one fold: interval score, log score, bias, coverages."""
    inside = [
        ((low <= observed) & (observed <= high)).mean() for low, high in (ends(draws, p) for p in PROBS)
    ]
    score = interval_score(*ends(draws, SCORED), observed)
    away = observed - np.median(draws, axis=1)
    return np.array([score.mean(), log_score(draws, observed).mean(), away.mean(), *inside])


def _predictions(study: Sequence[Predicted], methods: Sequence[str]) -> dict[str, Any]:
    count = sum(len(each.fold.predicted) for each in study)
    found = np.full((len(methods), count, 3 + 2 * len(PROBS)), np.nan)
    start = 0
    for each in study:
        stop = start + len(each.fold.predicted)
        for i, method in enumerate(methods):
            if method in each.by_method:
                draws = each.by_method[method].log_loss
                scores = log_score(draws, each.log_loss)
                parts = [np.median(draws, axis=1), pit(draws, each.log_loss), scores]
                parts += [end for prob in PROBS for end in ends(draws, prob)]
                found[i, start:stop] = np.column_stack(parts)
        start = stop
    dims = ("estimator", "prediction")

    def over(column: str) -> Array:
        return np.concatenate([each.fold.predicted[column].to_numpy() for each in study])

    return {
        "prediction_fold": (
            "prediction",
            np.repeat(range(len(study)), [len(s.fold.predicted) for s in study]),
        ),
        "run": ("prediction", over("run_id").astype(str)),
        "compute": ("prediction", over("flops"), {"units": "FLOP"}),
        "loss": ("prediction", over("loss")),
        "decades_beyond": ("prediction", np.concatenate([each.decades for each in study])),
        "estimate": (dims, np.exp(found[..., 0])),
        "error": (dims, np.log(over("loss")) - found[..., 0]),
        "pit": (dims, found[..., 1]),
        "prediction_log_score": (dims, found[..., 2]),
        "low": ((*dims, "prob"), np.exp(found[..., 3::2])),
        "high": ((*dims, "prob"), np.exp(found[..., 4::2])),
    }


def _decisions(study: Sequence[Predicted], methods: Sequence[str]) -> dict[str, Any]:
    every = [(j, least) for j, each in enumerate(study) for least in each.minima]
    found = np.full((len(methods), len(every), 5), np.nan)
    start = 0
    for each in study:
        stop = start + len(each.minima)
        for i, method in enumerate(methods):
            if method in each.by_method and each.minima:
                found[i, start:stop] = _decisions_of(each, method)
        start = stop
    dims = ("estimator", "decision")
    return {
        "decision_fold": ("decision", np.array([j for j, _ in every], dtype=int)),
        "budget": ("decision", np.array([least.budget for _, least in every]), {"units": "FLOP"}),
        "params_min": ("decision", np.exp([least.log_params for _, least in every])),
        **{
            name: (dims, np.exp(found[..., i]))
            for i, name in enumerate(("params_opt", "params_low", "params_high"))
        },
        "params_inside": (dims, found[..., 3]),
        "regret": (dims, found[..., 4]),
    }


def _decisions_of(each: Predicted, method: str) -> Array:
    """Hold the predicted optima of a fold against its minima: log median and ends, whether inside, regret."""
    log_params = each.by_method[method].log_params
    middle, (low, high) = np.median(log_params, axis=1), ends(log_params, SCORED)
    at = np.array([least.log_params for least in each.minima])
    # A minimum is itself known with an error, which the interval of N_opt does not hold.
    shown_low, shown_high = ends(each.with_error(log_params), SCORED)
    steep = np.array([least.steepness for least in each.minima])
    return np.column_stack(
        [
            middle,
            low,
            high,
            (shown_low <= at) & (at <= shown_high),
            -np.expm1(-steep * (middle - at) ** 2),
        ]
    )
