"""The runs as a fit carries them: what was observed, and the constants beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayes_scaling.runs.check import flops_per_param_token

if TYPE_CHECKING:
    import pandas as pd


def constant_data(runs: pd.DataFrame) -> xr.Dataset:
    """Put a table of runs into a Dataset over dim run, with run_id as its coordinate.

    Parameters
    ----------
    runs : DataFrame
        A checked table of runs.

    Returns
    -------
    Dataset, dims run
        params, tokens, flops, loss, what is there of budget, recipe and loss_se, and the scalar
        `flops_per_param_token`, k in C = k N D.
    """
    columns = [name for name in ("params", "tokens", "flops", "loss", "budget", "loss_se") if name in runs]
    variables: dict[str, Any] = {name: ("run", runs[name].to_numpy(float)) for name in columns}
    if "recipe" in runs:
        variables["recipe"] = ("run", runs["recipe"].to_numpy(str))
    variables["flops_per_param_token"] = ((), np.float64(flops_per_param_token(runs)))
    return xr.Dataset(variables, coords={"run": runs["run_id"].to_numpy(str)})
