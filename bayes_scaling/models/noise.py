"""How losses scatter about the law: the same distribution for PyMC, and for draws in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayes_scaling.models.spec import Noise, Spec

if TYPE_CHECKING:
    from bayes_scaling.models.pooling import Estimates


def noise_scale(
    noise: Noise,
    *,
    sigma: Any,
    sigma_growth: Any = None,
    compute_ratio: Any = None,
    loss_ratio: Any = None,
    relative_se: Any = None,
) -> Any:
    """Scale of each run's noise, relative to the loss.

    Parameters
    ----------
    noise : Noise
        The spec's noise.
    sigma : array
        Scale at the runs' typical compute, or typical loss, relative to the loss.
    sigma_growth : array, optional
        g in sigma (C / C0)^-g or sigma (L / L0)^g; needed unless `noise.growth` is "constant".
    compute_ratio : array, dims ("run",), optional
        C / C0 of each run, with C0 the geometric mean; needed where `noise.growth` is "compute".
    loss_ratio : array, dims ("run",), optional
        L / L0 of each run, with L what the law predicts and L0 the typical loss; needed where it is "loss".
    relative_se : array, dims ("run",), optional
        Known standard error of each loss in units of the noise's scale, as from `relative_se`. Adds in
        squares: exactly so for Normal noise, by its variance for Laplace noise, and to the scale, not to the
        heavier tails, for Student-t noise.

    Returns
    -------
    array
        Scalar, or dims ("run",) where runs differ.
    """
    scale = sigma
    if noise.growth == "compute":
        scale = sigma * compute_ratio**-sigma_growth
    elif noise.growth == "loss":
        scale = sigma * loss_ratio**sigma_growth
    if relative_se is None:
        return scale
    # A Laplace distribution of scale b has the variance 2 b^2.
    share = 0.5 if noise.family == "Laplace" else 1.0
    return (scale**2 + share * relative_se**2) ** 0.5


def relative_se(noise: Noise, loss: Any, loss_se: Any, typical_loss: Any) -> Any:
    """Bring standard errors of losses to the unit of sigma.

    Parameters
    ----------
    noise : Noise
        The spec's noise.
    loss, loss_se : array, dims ("run",)
        Observed losses and their standard errors, in the loss's unit.
    typical_loss : array
        As from `noise_reference`.

    Returns
    -------
    array, dims ("run",)
        Relative to each loss, which is the error of its log; on the raw scale relative to the typical
        loss, which is sigma's unit there.
    """
    return loss_se / (loss if noise.scale == "log" else typical_loss)


def noise_reference(
    loss: np.ndarray, flops: np.ndarray, recipe: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Where the scale of the noise is sigma: at which loss and at which compute.

    Parameters
    ----------
    loss, flops : ndarray, dims ("run",)
        Observed losses, and FLOPs.
    recipe : ndarray, dims ("run",), optional
        Of which recipe each run is, where recipes are told apart.

    Returns
    -------
    compute_ratio, typical_loss : ndarray, dims ("run",)
        C / C0, and the typical loss: C0 and it are the geometric means over the runs, or over the runs of the
        run's own recipe.
    """
    log_flops, log_loss = np.log(flops), np.log(loss)
    numbers = np.zeros(len(loss)) if recipe is None else recipe
    middle, typical = np.empty(len(loss)), np.empty(len(loss))
    for number in np.unique(numbers):
        own = numbers == number
        middle[own], typical[own] = log_flops[own].mean(), np.exp(log_loss[own].mean())
    return np.exp(log_flops - middle), typical


def noise_distribution(
    spec: Spec,
    *,
    mu: Any,
    typical_loss: Any,
    flops: np.ndarray,
    loss: np.ndarray,
    centre_loss: np.ndarray,
    loss_se: np.ndarray | None,
    recipe: np.ndarray | None = None,
    to_runs: Callable[[Any], Any] | None = None,
    estimates: Estimates | None = None,
) -> Any:
    """Add the noise's parameters and the observed losses to the model being built.

    Parameters
    ----------
    spec : Spec
        Its noise, the priors of the noise's parameters, and their pooling.
    mu : TensorVariable, dims ("run",)
        Loss that the law predicts.
    typical_loss : TensorVariable
        Scalar; the unit of the loss, unless recipes are told apart.
    flops, loss, centre_loss, loss_se : ndarray, dims ("run",)
        FLOPs of each run, observed losses, those whose typical one the noise is relative to, and the standard
        errors of the losses if known.
    recipe : ndarray of int, dims ("run",), optional
        Of which recipe each run is, where they are told apart.
    to_runs : callable, optional
        Gives each run its recipe's value of a parameter.
    estimates : Estimates, optional
        Of sigma by recipe, for the sampler's coordinates.

    Returns
    -------
    TensorVariable, dims ("run",)
        The observed variable, "log_loss" or "loss" by the noise's scale.
    """
    import pymc as pm
    import pytensor.tensor as pt

    from bayes_scaling.models.pooling import own_values, population

    noise, several = spec.noise, recipe is not None
    parameters = {
        name: own_values(
            name,
            spec,
            population(name, spec, several=several, estimates=estimates),
            several=several,
            estimates=estimates,
        )
        for name in noise.priors
    }
    if to_runs is not None:
        parameters = {name: to_runs(values) for name, values in parameters.items()}
    compute_ratio, typical = noise_reference(centre_loss, flops, recipe)
    unit, inputs = typical_loss, {}
    if several and (noise.scale == "raw" or noise.growth == "loss"):
        unit = pm.Data("noise_loss", typical, dims="run")
    if noise.growth == "compute":
        inputs["compute_ratio"] = pm.Data("compute_ratio", compute_ratio, dims="run")
    elif noise.growth == "loss":
        inputs["loss_ratio"] = mu / unit
    if loss_se is not None:
        inputs["relative_se"] = pm.Data(
            "relative_se", relative_se(noise, centre_loss, loss_se, typical), dims="run"
        )
    scale = noise_scale(
        noise, sigma=parameters["sigma"], sigma_growth=parameters.get("sigma_growth"), **inputs
    )
    nu = {"nu": parameters["nu"]} if noise.family == "StudentT" else {}
    spread = "b" if noise.family == "Laplace" else "sigma"
    if noise.scale == "log":
        name, location, observed = "log_loss", pt.log(mu), np.log(loss)
    else:
        name, location, observed, scale = "loss", mu, loss, scale * unit
    return getattr(pm, noise.family)(
        name,
        mu=location,
        **{spread: scale},
        **nu,
        observed=pm.Data(f"{name}_observed", observed, dims="run"),
        dims="run",
    )


def log_density(
    noise: Noise, loss: xr.DataArray, mu: xr.DataArray, scale: Any, nu: Any = None
) -> xr.DataArray:
    """Log density of the loss itself, whichever scale its noise has.

    Noise on the log loss is brought to the loss by its Jacobian -log(loss), so that the expected log
    predictive densities (ELPD) of all models of the same runs may be compared.

    Parameters
    ----------
    noise : Noise
        Family and scale of the noise.
    loss : DataArray, dims ("run",)
        Observed losses.
    mu : DataArray, dims ("chain", "draw", "run")
        Losses that the law predicts.
    scale : DataArray
        As from `noise_scale`, in units of the log loss or, on the raw scale, of the loss.
    nu : DataArray, optional
        Degrees of freedom of the Student-t.

    Returns
    -------
    DataArray, dims ("chain", "draw", "run")
        In nats.
    """
    density = _standard_log_density(noise.family, noise_deviation(noise, loss, mu, scale), nu)
    return density - np.log(scale) - (np.log(loss) if noise.scale == "log" else 0.0)


def noise_deviation(noise: Noise, loss: xr.DataArray, mu: xr.DataArray, scale: Any) -> xr.DataArray:
    """By how many scales of the noise a loss lies above the law's.

    Parameters
    ----------
    noise, loss, mu, scale
        As for `log_density`.

    Returns
    -------
    DataArray, dims ("chain", "draw", "run")
    """
    return (np.log(loss) - np.log(mu) if noise.scale == "log" else loss - mu) / scale


def draw_losses(
    noise: Noise, mu: xr.DataArray, scale: Any, nu: Any = None, *, rng: np.random.Generator
) -> xr.DataArray:
    """Draw one loss for each predicted loss.

    Parameters
    ----------
    noise, mu, scale, nu
        As for `log_density`.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    DataArray
        The dims of `mu`, in the loss's unit.
    """
    if noise.family == "StudentT":
        z = rng.standard_t(nu.broadcast_like(mu).transpose(*mu.dims))
    elif noise.family == "Laplace":
        z = rng.laplace(size=mu.shape)
    else:
        z = rng.standard_normal(size=mu.shape)
    deviation = scale * mu.copy(data=z)
    # The exponential of a heavy tail has no mean, and its farthest draws are infinite to a computer.
    with np.errstate(over="ignore"):
        return (mu * np.exp(deviation) if noise.scale == "log" else mu + deviation).transpose(*mu.dims)


def _standard_log_density(family: str, z: xr.DataArray, nu: Any) -> xr.DataArray:
    if family == "Normal":
        return -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
    if family == "Laplace":
        return -abs(z) - np.log(2.0)
    from scipy.special import gammaln

    normaliser = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * np.log(nu * np.pi)
    return normaliser - (nu + 1) / 2 * np.log1p(z**2 / nu)
