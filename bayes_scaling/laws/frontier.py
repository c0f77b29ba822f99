"""The loss of any run by an IsoFLOP model: the profile at its compute, whose minimum the frontier gives.

The minima follow N_opt = params_coefficient C^a and L_opt = E + loss_coefficient C^-gamma, and about them
loss = L_opt (1 + kappa rise(u)), as in `isoflop`. Functions take and return whatever arrays they are given.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bayes_scaling.laws import isoflop
from bayes_scaling.laws.inverse import log_room

type Array = Any
"""A float, NumPy array or xarray DataArray."""


def profile_loss(
    log_ratio: Array,
    log_compute: Array,
    *,
    loss_opt: Array,
    log_kappa: Array,
    kappa_slope: Array,
    alpha: Array | None = None,
    beta: Array | None = None,
) -> Array:
    """Loss of a size on the profile of its compute.

    Parameters
    ----------
    log_ratio : array
        Natural logarithm of the size over the best size at that compute.
    log_compute : array
        Natural logarithm of the compute over the typical one of the runs.
    loss_opt : array
        Loss at the best size.
    log_kappa, kappa_slope : array
        Logarithm of the curvature at the typical compute, and its slope in `log_compute`.
    alpha, beta : array, optional
        Of a skewed profile, as in `isoflop.rise`.

    Returns
    -------
    array
        In the unit of `loss_opt`.
    """
    kappa = np.exp(log_kappa + kappa_slope * log_compute)
    return loss_opt * (1 + kappa * isoflop.rise(log_ratio, alpha=alpha, beta=beta))


def least_loss(compute: Array, *, E: Array, loss_coefficient: Array, gamma: Array) -> Array:
    """Loss at the frontier.

    Parameters
    ----------
    compute : array
        In FLOPs.
    E, loss_coefficient, gamma : array
        Of L_opt = E + loss_coefficient C^-gamma.

    Returns
    -------
    array
        In the unit of `E`.
    """
    return E + np.exp(np.log(loss_coefficient) - gamma * np.log(compute))


def least_compute(loss: Array, *, E: Array, loss_coefficient: Array, gamma: Array) -> Array:
    """Least compute that reaches a loss: where the frontier has it.

    Parameters
    ----------
    loss : array
        In the unit of `E`.
    E, loss_coefficient, gamma : array
        Of L_opt = E + loss_coefficient C^-gamma.

    Returns
    -------
    array
        In FLOPs; infinite at or below the irreducible loss E.
    """
    with np.errstate(over="ignore"):
        return np.exp((np.log(loss_coefficient) - log_room(loss - E)) / gamma)
