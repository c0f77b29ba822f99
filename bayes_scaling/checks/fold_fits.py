"""One fold's predictions, by a posterior or by a point estimator: plain values in, plain values out.

Every method gives the same: draws of the log loss of each run beyond the cut, and of N_opt at budgets beyond
it. Scores are worked out of them elsewhere, so that what is
scored, and how, costs no fit.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayes_scaling.checks import simple_scaling_laws
from bayes_scaling.errors import BayesScalingError, RunsWarning
from bayes_scaling.models.spec import spec_from_dict
from bayes_scaling.runs.check import check_runs

KEPT = 200
"""Draws kept of each prediction, each of all runs together."""

RESAMPLES = 200
"""Of approach 3."""

RHAT = 1.05
"""The chains of a fold agree up to here: they are short, for a fold is one of many."""

POSTERIOR, APPROACH_3 = "posterior", "approach-3"
"""What a task may ask for."""

BOOTSTRAP, BOOTSTRAP_NOISE = "approach-3", "approach-3 + noise"
"""The methods that approach 3 is scored as."""

_FAR = 50.0
"""In log loss: nothing lies farther."""

type Array = np.ndarray[Any, Any]


def predict_fold(task: Mapping[str, Any]) -> dict[str, Any]:
    """Fit the runs up to a cut and predict those beyond.

    Parameters
    ----------
    task : mapping
        method ("posterior", "approach-3" or "simple-scaling-laws"), fitted (columns of runs), planned
        (params, tokens, flops), budgets (FLOPs), seed; of a posterior spec and sampling.

    Returns
    -------
    dict
        predictions: by name of the method a dict with log_loss (by planned run, `KEPT` draws each),
        log_params (of N_opt by budget, `KEPT` draws each) and fall (of a posterior: by how much the least log
        loss falls in the decade beyond the cut, `KEPT` draws). converged, rhat, divergences; reason, if there
        is no prediction.
    """
    with warnings.catch_warnings():
        # What is doubtful about the runs was said when they were read.
        warnings.simplefilter("ignore", RunsWarning)
        runs = check_runs(pd.DataFrame(task["fitted"]))
        try:
            return {"converged": True, "reason": "", **_METHODS[task["method"]](runs, task)}
        except BayesScalingError as error:
            return {"predictions": {}, "converged": False, "reason": str(error)}


def _posterior(runs: pd.DataFrame, task: Mapping[str, Any]) -> dict[str, Any]:
    from bayes_scaling.models.build import build_model, runs_of_model
    from bayes_scaling.planning.optimum import optimum
    from bayes_scaling.planning.predict import predict
    from bayes_scaling.sampling.artefact import label_fit
    from bayes_scaling.sampling.convergence import judge
    from bayes_scaling.sampling.nuts import Sampling, draw_posterior
    from bayes_scaling.sampling.observed import constant_data

    spec = spec_from_dict(task["spec"])
    runs = runs_of_model(runs, spec)
    model = build_model(runs, spec)
    sampling = Sampling(**task["sampling"], seed=task["seed"], cores=1)
    compiled = _compiled(model, json.dumps(task["spec"]))
    posterior, stats = draw_posterior(model, sampling, compiled=compiled)
    constant, verdict = constant_data(runs, spec), judge(posterior, stats)
    fit = label_fit(
        {
            "posterior": posterior,
            "sample_stats": stats,
            "observed_data": constant[["loss"]],
            "constant_data": constant.drop_vars("loss"),
        },
        {
            "model": spec.name,
            "law": spec.law,
            "spec": task["spec"],
            "labels": {},
            "verdict": verdict.to_dict(),
        },
    )
    planned = task["planned"]
    with np.errstate(all="ignore"):
        loss = predict(fit, **planned, discrepancy=False, allow_unconverged=True)["loss"]
        log_loss = np.log(_by_draw(loss, "plan"))
        cut = float(runs["flops"].max())
        frontier = np.log(
            _by_draw(
                optimum(fit, [cut, 10 * cut], discrepancy=False, allow_unconverged=True)["loss_opt"],
                "compute",
            )
        )
        log_params = np.empty((len(log_loss), 0))
        if task["budgets"]:
            new = spec.law != "chinchilla"
            best = optimum(fit, task["budgets"], new_budget=new, discrepancy=False, allow_unconverged=True)
            log_params = np.log(_by_draw(best["params_opt"], "compute"))
    return {
        "predictions": {spec.name: _prediction(log_loss, log_params, frontier[:, 0] - frontier[:, 1])},
        "rhat": verdict.rhat_max,
        "divergences": verdict.divergences,
        # Draws that are infinite have an R-hat that is no number.
        "converged": bool(verdict.rhat_max <= RHAT) and verdict.divergences == 0,
    }


def _approach_3(runs: pd.DataFrame, task: Mapping[str, Any]) -> dict[str, Any]:
    from bayes_scaling.approaches import parametric
    from bayes_scaling.approaches.bootstrap import bootstrap
    from bayes_scaling.errors import InputError

    point = parametric.approach_3(runs)
    if np.isnan(point["alpha"].item()):
        raise InputError("in the law that fits best the loss does not fall with size and with data")
    laws = bootstrap(
        partial(parametric.approach_3, runs, near=point),
        np.arange(len(runs)),
        resamples=RESAMPLES,
        seed=task["seed"],
    ).dropna("resample")
    left = np.log(runs["loss"].to_numpy()) - _log_loss(point, runs)[0]
    planned = task["planned"]
    law = _log_loss(laws, planned)
    noise = np.random.default_rng(task["seed"]).choice(left, size=law.shape)
    log_params = _log_params(laws, runs, task["budgets"])
    return {
        "predictions": {
            BOOTSTRAP: _prediction(law, log_params),
            BOOTSTRAP_NOISE: _prediction(law + noise, log_params),
        }
    }


def _log_loss(laws: xr.Dataset, runs: Any) -> Array:
    """Log loss of runs by each law, dims ("resample", "run")."""
    from bayes_scaling.laws import chinchilla

    law = {name: laws[name].to_numpy()[:, None] for name in ("E", "A", "B", "alpha", "beta")}
    return np.log(chinchilla.loss(np.asarray(runs["params"]), np.asarray(runs["tokens"]), **law))


def _log_params(laws: xr.Dataset, runs: pd.DataFrame, budgets: Sequence[float]) -> Array:
    """Log of N_opt by each law, dims ("resample", "budget"), each at the k of its size."""
    from bayes_scaling.planning.law_surface import optima_of_laws
    from bayes_scaling.planning.price import price_of_runs

    compute = xr.DataArray(np.array(budgets, dtype=float), dims="compute")
    best = optima_of_laws(laws, compute, price_of_runs(runs))["params_opt"]
    return np.log(best.transpose("resample", "compute").to_numpy())


def _by_draw(values: xr.DataArray, last: str) -> Array:
    flat = values.transpose("chain", "draw", last).to_numpy()
    return flat.reshape(-1, flat.shape[-1])


def _prediction(log_loss: Array, log_params: Array, fall: Array | None = None) -> dict[str, Any]:
    """Keep some of the draws, dims ("draw", "run"), ("draw", "budget") and ("draw",), evenly spaced."""
    kept = ((np.arange(KEPT) + 0.5) / KEPT * len(log_loss)).astype(int)
    # The far end of a heavy tail is infinite to a computer, and a raw loss may fall below zero.
    log_loss = np.nan_to_num(log_loss.clip(-_FAR, _FAR), nan=-_FAR)
    log_params = np.nan_to_num(log_params.clip(-2 * _FAR, 2 * _FAR), nan=0.0)
    return {
        "log_loss": log_loss[kept].T.round(6).tolist(),
        "log_params": log_params[kept].T.round(6).tolist(),
        "fall": None if fall is None else fall[kept].round(6).tolist(),
    }


@lru_cache(maxsize=1)
def _codes(spec: str) -> list[Any]:
    """Hold what a worker has compiled of a spec: a law needs one code, profiles one for each count."""
    del spec
    return []


def _compiled(model: Any, spec: str) -> Any:
    from bayes_scaling.sampling.compile import compile_model, with_model_data

    codes = _codes(spec)
    for code in codes:
        try:
            return with_model_data(code, model)
        except ValueError:
            continue
    codes.append(compile_model(model))
    return codes[-1]


def _simple_scaling_laws(runs: pd.DataFrame, task: Mapping[str, Any]) -> dict[str, Any]:
    found = simple_scaling_laws.predict(
        runs, task["planned"], task["budgets"], draws=RESAMPLES, seed=task["seed"]
    )
    return {"predictions": {simple_scaling_laws.NAME: _prediction(*found)}}


_METHODS = {
    POSTERIOR: _posterior,
    APPROACH_3: _approach_3,
    simple_scaling_laws.NAME: _simple_scaling_laws,
}
