"""Draws from the prior, and the losses that it predicts: what a model believes before it sees a loss."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayes_scaling.errors import InputError
from bayes_scaling.models.spec import Spec, load_spec
from bayes_scaling.runs.check import check_runs
from bayes_scaling.sampling.observed import constant_data
from bayes_scaling.sampling.pointwise import predictive

if TYPE_CHECKING:
    import pandas as pd


def sample_prior(
    runs: pd.DataFrame, spec: str | Path | Spec = "parametric", *, draws: int = 1000, seed: int = 0
) -> xr.DataTree:
    """Draw parameters from the prior, and from each draw a loss for every run.

    Parameters
    ----------
    runs : DataFrame
        Table of runs, as `read_runs` returns it. Only its design and its typical loss enter.
    spec : str, Path or Spec
        Name of a model spec, path of a TOML file, or a Spec.
    draws : int
        Draws from the prior.
    seed : int
        The same seed gives the same draws.

    Returns
    -------
    DataTree
        In ArviZ's schema: prior (dims chain, draw), prior_predictive (`loss`, dims chain, draw, run),
        observed_data and constant_data; chain has length one.

    Raises
    ------
    InputError
        If the runs or the spec are not fit for use, or fewer than one draw is asked for.
    """
    import pymc as pm

    from bayes_scaling.models.build import build_model, runs_of_model
    from bayes_scaling.models.plain import PLAIN

    if draws < 1:
        raise InputError(f"draws must be at least 1, not {draws}")
    spec = load_spec(spec)
    runs = runs_of_model(check_runs(runs), spec)
    model = build_model(runs, spec)
    variables = [*model.free_RVs, *model.deterministics]
    # In plain Python: compiling would cost more than these few draws.
    values = pm.draw(variables, draws=draws, random_seed=seed, mode=PLAIN)
    dims = model.named_vars_to_dims
    prior = xr.Dataset(
        {
            variable.name: (("chain", "draw", *dims.get(variable.name, ())), np.asarray(value)[None])
            for variable, value in zip(variables, values, strict=True)
        },
        coords={
            "chain": [0],
            "draw": np.arange(draws),
            **{dim: list(model.coords[dim]) for own in dims.values() for dim in own if dim != "run"},
        },
    )
    constant = constant_data(runs, spec)
    return xr.DataTree.from_dict(
        {
            "prior": prior,
            "prior_predictive": predictive(prior, constant, spec, seed=seed),
            "observed_data": constant[["loss"]],
            "constant_data": constant.drop_vars("loss"),
        }
    )
