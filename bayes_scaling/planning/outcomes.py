"""What a fit expects of runs that are not trained yet: their log losses by every draw, and their noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from bayes_scaling.models.noise import noise_scale
from bayes_scaling.models.spec import spec_from_dict
from bayes_scaling.planning.frontier_surface import FrontierSurface
from bayes_scaling.planning.pilots import Pilots
from bayes_scaling.planning.surface import Surface
from bayes_scaling.sampling.artefact import fit_facts

type Array = np.ndarray[Any, Any]

_SEED = 20_220_331
"""Of the scatter of new budgets: the same fit gives the same answer."""


@dataclass(frozen=True)
class Outcomes:
    """Log losses of pilot runs, and the variance of their noise.

    The variance is that of Normal noise with as much information on its mean: of Student-t noise
    sigma^2 (nu + 3) / (nu + 1), of Laplace noise b^2, since a posterior hardly minds outliers.
    """

    log_loss: Array
    """Dims ("pilot", "draw")."""
    variance: Array
    """Dims ("pilot", "draw")."""


def outcomes(fit: xr.DataTree, surface: Surface, pilots: Pilots) -> Outcomes:
    """Work out what pilot runs would show, by every draw of a fit of one law.

    Parameters
    ----------
    fit : DataTree
        Of one law, with the groups posterior, constant_data and observed_data.
    surface : Surface
        Of this fit; of an IsoFLOP model the line, about which each profile scatters by itself.
    pilots : Pilots
        The runs.

    Returns
    -------
    Outcomes
        By an IsoFLOP model runs of the same compute share the scatter of a new budget's profile.
    """
    posterior, constant = fit["posterior"].dataset, fit["constant_data"].dataset

    def flat(name: str) -> Array:
        return posterior[name].transpose("chain", "draw").to_numpy().ravel()

    if isinstance(surface, FrontierSurface):
        scatters = {name: flat(f"{name}_scatter") for name in ("params", "loss", "kappa")}
        log_loss = _scattered(surface, pilots, scatters)
    else:
        log_loss = np.log(surface.loss(pilots.params[:, None], pilots.tokens[:, None]))
    noise = spec_from_dict(fit_facts(fit)["spec"]).noise
    typical_compute = float(np.exp(np.log(constant["flops"]).mean()))
    typical_loss = float(np.exp(np.log(fit["observed_data"]["loss"]).mean()))
    scale = noise_scale(
        noise,
        sigma=flat("sigma"),
        sigma_growth=None if noise.growth == "constant" else flat("sigma_growth"),
        compute_ratio=pilots.compute[:, None] / typical_compute,
        loss_ratio=np.exp(log_loss) / typical_loss,
    )
    if noise.scale == "raw":
        # A step of the loss is one of its logarithm over the loss.
        scale = scale * typical_loss / np.exp(log_loss)
    variance = scale**2
    if noise.family == "StudentT":
        nu = flat("nu")
        variance = variance * (nu + 3) / (nu + 1)
    return Outcomes(log_loss, np.broadcast_to(variance, log_loss.shape))


def _scattered(surface: FrontierSurface, pilots: Pilots, scatters: dict[str, Array]) -> Array:
    """Log losses on profiles scattered about the frontier as those of the fit are, one a compute."""
    rng = np.random.default_rng(_SEED)
    found = np.empty((len(pilots.params), len(surface.a)))
    budgets, of_run = np.unique(np.round(np.log(pilots.compute), 6), return_inverse=True)
    for i in range(len(budgets)):
        luck = {name: scatter * rng.normal(size=len(scatter)) for name, scatter in scatters.items()}
        profile = replace(
            surface,
            params_coefficient=surface.params_coefficient * np.exp(luck["params"]),
            log_kappa=surface.log_kappa + luck["kappa"],
        )
        own = of_run == i
        loss = profile.loss(pilots.params[own, None], pilots.tokens[own, None])
        found[own] = np.log(loss) + luck["loss"]
    return found
