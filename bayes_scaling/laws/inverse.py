"""The Chinchilla law turned round: the compute, the tokens or the size that a loss or a run needs.

Functions take and return whatever NumPy or xarray arrays they are given; they work in logarithms, since A and
B may lie beyond the powers that they are raised to.
"""

from __future__ import annotations

from typing import Any

import numpy as np

type Array = Any
"""A float, NumPy array or xarray DataArray."""


def least_compute(
    loss: Array,
    *,
    E: Array,
    A: Array,
    B: Array,
    alpha: Array,
    beta: Array,
    flops_per_param_token: Array = 6.0,
) -> Array:
    """Least compute that reaches a loss: that of the optimal run whose loss it is.

    Parameters
    ----------
    loss : array
        Loss to be reached, in the unit of `E`.
    E, A, B, alpha, beta : array
        Parameters of the law, as in `chinchilla.loss`.
    flops_per_param_token : array
        k in C = k N D.

    Returns
    -------
    array
        In FLOPs; infinite at or below the irreducible loss E.

    Notes
    -----
    At the optimum alpha A / N^alpha = beta B / D^beta, so that the reducible loss is A / N_opt^alpha
    (1 + alpha / beta), which falls as (C/k)^-gamma with gamma = alpha beta / (alpha + beta).
    """
    at_one = np.log(A) - alpha * log_balance(A, B, alpha, beta) + np.log1p(alpha / beta)
    with np.errstate(over="ignore"):
        return flops_per_param_token * np.exp((at_one - log_room(loss - E)) * (1 / alpha + 1 / beta))


def tokens_to_reach(
    loss: Array, params: Array, *, E: Array, A: Array, B: Array, alpha: Array, beta: Array
) -> Array:
    """Tokens on which a model of a given size reaches a loss.

    Parameters
    ----------
    loss : array
        Loss to be reached, in the unit of `E`.
    params : array
        Model size N.
    E, A, B, alpha, beta : array
        Parameters of the law, as in `chinchilla.loss`.

    Returns
    -------
    array
        (B / (loss - E - A / N^alpha))^(1 / beta); infinite where no number of tokens is enough.
    """
    room = loss - E - np.exp(np.log(A) - alpha * np.log(params))
    with np.errstate(over="ignore"):
        return np.exp((np.log(B) - log_room(room)) / beta)


def params_of_tokens(tokens: Array, *, A: Array, B: Array, alpha: Array, beta: Array) -> Array:
    """Size of the model for which a number of tokens is the optimal one.

    Parameters
    ----------
    tokens : array
        D_opt.
    A, B, alpha, beta : array
        Parameters of the law, as in `chinchilla.loss`.

    Returns
    -------
    array
        N_opt = G (G D_opt)^(beta / alpha), with G as in `chinchilla.optimum`.
    """
    balance = log_balance(A, B, alpha, beta)
    return np.exp(balance + (balance + np.log(tokens)) * beta / alpha)


def log_room(room: Array) -> Array:
    """Logarithm of what a loss leaves above a floor; minus infinity where it leaves nothing."""
    with np.errstate(divide="ignore"):
        return np.log(np.maximum(room, 0.0))


def log_balance(A: Array, B: Array, alpha: Array, beta: Array) -> Array:
    """Logarithm of G = (alpha A / (beta B))^(1 / (alpha + beta)), by which N_opt = G (C/k)^a."""
    return (np.log(alpha * A) - np.log(beta * B)) / (alpha + beta)
