"""Predictions of the package simple-scaling-laws beside ours, where it is installed; it is no dependency."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd

from bayes_scaling.errors import InputError
from bayes_scaling.planning.law_surface import LawSurface
from bayes_scaling.planning.price import price_of_runs

NAME = "simple-scaling-laws"

type Array = np.ndarray[Any, Any]

_SIZE, _DATA, _LOSS = "model_size__params", "dataset_size__tokens", "test_loss__loss"
"""Columns as the package wants them named."""


def is_installed() -> bool:
    """Whether the package is there."""
    return find_spec("simple_scaling_laws") is not None


def predict(
    runs: pd.DataFrame, planned: Mapping[str, Any], budgets: list[float], *, draws: int, seed: int
) -> tuple[Array, Array]:
    """Predict as the package does by default, with the noise of a run.

    Parameters
    ----------
    runs : DataFrame
        A checked table of runs.
    planned : mapping
        params and tokens of the runs to predict.
    budgets : list of float
        In FLOPs.
    draws, seed : int
        Of its bootstrap.

    Returns
    -------
    log_loss : ndarray, dims ("draw", "run")
    log_params : ndarray, dims ("draw", "budget")
        Of N_opt by its law's own parameters.

    Raises
    ------
    InputError
        If the package finds no law for these runs.
    """
    import polars
    import simple_scaling_laws

    table = {
        "training_run_id": [f"run-{i}" for i in range(len(runs))],
        _SIZE: runs["params"].to_numpy(),
        _DATA: runs["tokens"].to_numpy(),
        _LOSS: runs["loss"].to_numpy(),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = simple_scaling_laws.fit(
                polars.DataFrame(table), law="separable-power", n_draws=draws, seed=seed
            )
            points = model.prepare_points({_SIZE: list(planned["params"]), _DATA: list(planned["tokens"])})
            loss = model.target_draws(
                _LOSS, model.fitting_predictors(points), kind="new-run", rng=np.random.default_rng(seed)
            )
        except ValueError as error:
            raise InputError(f"{NAME}: {error}") from None
    found = model.draws[_LOSS].params
    law = {name: found[:, [i]] for i, name in enumerate(model.law.param_names)}
    for coefficient, exponent, column in (("A", "alpha", _SIZE), ("B", "beta", _DATA)):
        # Its coefficients belong to sizes and tokens over a reference of its own.
        law[coefficient] = law[coefficient] * model.observed_domain[column]["reference"] ** law[exponent]
    with np.errstate(all="ignore"):
        law = {name: law[name] for name in ("E", "A", "B", "alpha", "beta")}
        best = LawSurface(law, price_of_runs(runs)).optimum(np.array(budgets, dtype=float))[0]
        # Its noise is on the loss itself, which may so fall below zero.
        return np.log(np.maximum(loss, 1e-12)), np.log(best)
