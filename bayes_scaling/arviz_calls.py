"""What checks ask of ArviZ, in one place: its names and schemas move from release to release.

Imports it only when called: it takes longer to import than most answers.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import xarray as xr

_RENAMED = {"alpha": "alpha_"}
"""ArviZ's power scaling has a dimension alpha of its own."""


def leave_one_out(log_density: xr.DataArray) -> tuple[Any, list[str]]:
    """Leave each run out in turn, by Pareto-smoothed importance sampling.

    Parameters
    ----------
    log_density : DataArray, dims chain, draw, run
        Log density of each observed loss under each draw.

    Returns
    -------
    elpd : arviz_stats.ELPDData
        Pointwise, with log_weights (dims chain, draw, run), pareto_k, elpd_i, elpd, se, p and good_k.
    notes : list of str
        What ArviZ warns of, but for high Pareto k, which it has the numbers of.
    """
    import arviz_stats

    tree = xr.DataTree.from_dict({"log_likelihood": log_density.to_dataset(name="loss")})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # The efficiency is given, because ArviZ would take that of the posterior's variables, whose draws
        # may be more than those kept of the densities.
        elpd = arviz_stats.loo(tree, pointwise=True, var_name="loss", reff=_efficiency(log_density))
    return elpd, [str(each.message) for each in caught if "Pareto distribution" not in str(each.message)]


def _efficiency(log_density: xr.DataArray) -> float:
    """Effective draws of the runs' densities over draws, as leave-one-out importance ratios need it."""
    import arviz_stats

    if log_density.sizes["chain"] == 1:
        return 1.0
    relative = log_density - log_density.max(("chain", "draw"))
    density = relative.copy(data=np.exp(relative.values)).to_dataset(name="loss")
    effective = arviz_stats.ess(density, method="mean")["loss"]
    return float(effective.mean()) / (log_density.sizes["chain"] * log_density.sizes["draw"])


def power_scaling(quantities: xr.Dataset, log_prior: xr.DataArray, log_density: xr.DataArray) -> xr.Dataset:
    """Tell how much quantities move when the prior, or the likelihood, counts a little more or less.

    Parameters
    ----------
    quantities : Dataset, dims chain, draw and the quantities' own
        Draws from the posterior.
    log_prior : DataArray, dims chain, draw
        Log density of the prior at each draw.
    log_density : DataArray, dims chain, draw, run
        As for `leave_one_out`.

    Returns
    -------
    Dataset
        In place of chain and draw the dim component, "prior" and "likelihood": the cumulative Jensen-Shannon
        distance that the posterior moves per doubling of the component's power.
    """
    import arviz_stats

    names = {old: new for old, new in _RENAMED.items() if old in quantities}
    tree = xr.DataTree.from_dict(
        {
            "posterior": quantities.rename(names),
            "log_prior": log_prior.to_dataset(name="prior"),
            # Power scaling adds the runs up; here, where they are one variable already, that is cheaper.
            "log_likelihood": log_density.sum("run").to_dataset(name="loss"),
        }
    )
    components = ["prior", "likelihood"]
    parts = [arviz_stats.psense(tree, group=component) for component in components]
    joined = xr.concat(parts, xr.DataArray(components, dims="component", name="component"))
    return joined.rename({new: old for old, new in names.items()})
