"""One entry for every law: a spec and runs in, the plain `pymc.Model` out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bayes_scaling.models.spec import Spec, load_spec
from bayes_scaling.runs.budgets import runs_in_profiles
from bayes_scaling.runs.check import check_runs
from bayes_scaling.runs.doubts import warn_before_fitting

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pymc as pm


def build_model(
    runs: pd.DataFrame, spec: str | Path | Spec = "parametric", *, centre_loss: np.ndarray | None = None
) -> pm.Model:
    """Build the PyMC model of these runs, for whoever wants to sample, extend or inspect it.

    Parameters
    ----------
    runs : DataFrame
        Table of runs, as `read_runs` returns it.
    spec : str, Path or Spec
        Name of a model spec, path of a TOML file, or a Spec.
    centre_loss : ndarray, dims ("run",), optional
        Losses that priors are centred at in place of the runs' own: in calibration the priors must
        be the same for all losses that they predict.

    Returns
    -------
    pymc.Model
        The plain model: `pm.sample`, `pm.sample_prior_predictive` and every other function of PyMC
        take it.

    Raises
    ------
    InputError
        If the spec or the runs are not fit for use.
    """
    spec = load_spec(spec)
    runs = runs_of_model(check_runs(runs), spec)
    if spec.law == "chinchilla":
        from bayes_scaling.models.parametric import build_parametric

        return build_parametric(runs, spec, centre_loss=centre_loss)
    from bayes_scaling.models.isoflop import build_isoflop

    return build_isoflop(runs, spec, centre_loss=centre_loss)


def runs_of_model(runs: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    """Keep the runs that a model describes: all, or those of IsoFLOP profiles.

    Parameters
    ----------
    runs : DataFrame
        A checked table of runs.
    spec : Spec
        The model.

    Returns
    -------
    DataFrame
        A checked table of runs.

    Raises
    ------
    InputError
        If there is none.

    Warns
    -----
    RunsWarning
        If runs are left out, are of several recipes that the model does not tell apart, or their FLOPs per
        parameter and token drift.
    """
    warn_before_fitting(runs, tells_apart=bool(spec.pooling))
    return runs if spec.law == "chinchilla" else runs_in_profiles(runs)
