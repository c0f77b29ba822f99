"""The surface of the draws of one law, of whatever model: as the law has it, and as they leave it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayes_scaling.planning.bends import bends
from bayes_scaling.planning.deviating_surface import DeviatingSurface
from bayes_scaling.planning.deviations import Deviations
from bayes_scaling.planning.frontier_surface import FrontierSurface
from bayes_scaling.planning.isoflop import one_more_budget
from bayes_scaling.planning.law_surface import LawSurface
from bayes_scaling.planning.price import price_of

if TYPE_CHECKING:
    from bayes_scaling.planning.surface import Surface

type Array = np.ndarray[Any, Any]


def surface_of_draws(posterior: xr.Dataset, constant: xr.Dataset, *, new_budget: bool) -> Surface:
    """Make the surface of draws of one recipe, by the law alone.

    Parameters
    ----------
    posterior : Dataset, dims chain, draw
        Of the Chinchilla law, or of an IsoFLOP model; without curvature only its frontier can be asked about.
    constant : Dataset, dims run
        As from `constant_data` of its runs.
    new_budget : bool
        Of an IsoFLOP model: one more budget, scattered about the line.

    Returns
    -------
    Surface
    """
    if "params_coefficient" in posterior:
        return _frontier(posterior, constant, one_more_budget(posterior, constant) if new_budget else None)
    names = ("E", "A", "B", "alpha", "beta")
    return LawSurface({name: _flat(posterior[name]) for name in names}, price_of(constant))


def deviating(law: Surface, by: Deviations | None) -> Surface:
    """Let a law's surface deviate beyond the runs; None: not at all.

    Parameters
    ----------
    law : Surface
        The law's.
    by : Deviations or None
        Of as many draws.

    Returns
    -------
    Surface
    """
    if by is None:
        return law
    bend = bends(law, by.largest, by.slope)
    return DeviatingSurface(law, by.largest, by.slope, by.params_slope, bend)


def _flat(draws: xr.DataArray) -> Array:
    return np.ascontiguousarray(draws.transpose("chain", "draw").to_numpy()).ravel()


def _frontier(posterior: xr.Dataset, constant: xr.Dataset, off: xr.Dataset | None) -> FrontierSurface:
    """Make the surface of an IsoFLOP model of one recipe: the line, or off it by so much."""
    skew = {name: _flat(posterior[name]) for name in ("alpha", "beta") if name in posterior}
    names = ("params_coefficient", "a", "E", "loss_coefficient", "gamma", "kappa", "kappa_slope")
    none = xr.zeros_like(posterior["a"])
    line = {name: _flat(posterior.get(name, none)) for name in names}
    if off is not None:
        # The loss of all of a budget's runs is higher or lower, and with it what no compute removes.
        by = {"params_coefficient": "params", "E": "loss", "loss_coefficient": "loss", "kappa": "kappa"}
        line |= {name: line[name] * np.exp(_flat(off[of])) for name, of in by.items()}
    with np.errstate(divide="ignore"):
        log_kappa = np.log(line.pop("kappa"))
    return FrontierSurface(
        log_kappa=log_kappa,
        **line,
        skew=skew,
        price=price_of(constant),
        # Each recipe's profiles are centred at the typical compute of its own runs.
        typical_compute=float(np.exp(np.log(constant["flops"]).mean())),
    )
