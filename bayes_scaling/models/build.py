"""One entry for every law: a spec and runs in, the plain `pymc.Model` out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bayes_scaling.models.spec import Spec, load_spec
from bayes_scaling.runs.check import check_runs

if TYPE_CHECKING:
    import pandas as pd
    import pymc as pm


def build_model(runs: pd.DataFrame, spec: str | Path | Spec = "parametric") -> pm.Model:
    """Build the PyMC model of these runs, for whoever wants to sample, extend or inspect it.

    Parameters
    ----------
    runs : DataFrame
        Table of runs, as `read_runs` returns it.
    spec : str, Path or Spec
        Name of a model spec, path of a TOML file, or a Spec.

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
    from bayes_scaling.models.parametric import build_parametric

    return build_parametric(check_runs(runs), load_spec(spec))
