"""The Chinchilla law L(N, D) = E + A / N^alpha + B / D^beta and its compute optimum.

Every function takes and returns whatever arrays it is given (floats, NumPy, xarray), and the law itself
PyTensor variables too, so that it is written once for fitting, prediction and planning.

Source: Hoffmann et al. 2022, arXiv 2203.15556, equations 2 and 4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

type Array = Any
"""A float, NumPy array, xarray DataArray or PyTensor variable."""


def loss(params: Array, tokens: Array, *, E: Array, A: Array, B: Array, alpha: Array, beta: Array) -> Array:
    """Loss of a model of `params` parameters trained on `tokens` tokens.

    Parameters
    ----------
    params : array
        Model size N, in the count that the law was fitted on.
    tokens : array
        Training tokens D; broadcasts against `params`.
    E : array
        Irreducible loss, in the loss's unit.
    A, B : array
        Size and data coefficients, in the loss's unit times N^alpha and D^beta.
    alpha, beta : array
        Size and data exponents, positive.

    Returns
    -------
    array
        E + A / N^alpha + B / D^beta, in the unit of `E`.
    """
    return loss_at_logs(np.log(params), np.log(tokens), E=E, A=A, B=B, alpha=alpha, beta=beta)


def loss_at_logs(
    log_params: Array,
    log_tokens: Array,
    *,
    E: Array,
    A: Array,
    B: Array,
    alpha: Array,
    beta: Array,
    exp: Callable[[Array], Array] = np.exp,
) -> Array:
    """Evaluate the law at the natural logarithms of size and tokens.

    This is where the law is written. In this form PyTensor's gradient costs a third of that of a power.

    Parameters
    ----------
    log_params, log_tokens : array
        Natural logarithms of N and D, or of their ratios to a reference; `A` and `B` then belong to
        the ratios.
    E, A, B, alpha, beta : array
        As for `loss`.
    exp : callable
        Exponential of the array library in use.

    Returns
    -------
    array
        In the unit of `E`.
    """
    return E + A * exp(-alpha * log_params) + B * exp(-beta * log_tokens)


def exponents(alpha: Array, beta: Array) -> tuple[Array, Array]:
    """Exponents of compute in N_opt and in D_opt.

    Parameters
    ----------
    alpha, beta : array
        Size and data exponents of the law, positive.

    Returns
    -------
    a, b : array
        N_opt grows as C^a with a = beta / (alpha + beta), D_opt as C^b with b = alpha / (alpha + beta).
    """
    return beta / (alpha + beta), alpha / (alpha + beta)


def optimum(
    compute: Array,
    *,
    E: Array,
    A: Array,
    B: Array,
    alpha: Array,
    beta: Array,
    flops_per_param_token: Array = 6.0,
) -> tuple[Array, Array, Array]:
    """Size, tokens and loss of the compute-optimal run: the minimum of the law along C = k N D.

    Parameters
    ----------
    compute : array
        Budget C in FLOPs; broadcasts against the law's parameters.
    E, A, B, alpha, beta : array
        Parameters of the law, as in `loss`.
    flops_per_param_token : array
        k in C = k N D.

    Returns
    -------
    params_opt, tokens_opt, loss_opt : array
        N_opt in parameters, D_opt in tokens, and the loss there in the unit of `E`.

    Notes
    -----
    Setting the derivative of the loss along the budget to zero gives
    N_opt = G (C/k)^a and D_opt = (C/k)^b / G with G = (alpha A / (beta B))^(1 / (alpha + beta)).
    """
    a, b = exponents(alpha, beta)
    params_times_tokens = compute / flops_per_param_token
    # Each factor is raised to its power on its own: A and B alone may reach 1e20, their powers do not.
    balance = (alpha * A) ** (1 / (alpha + beta)) * (beta * B) ** (-1 / (alpha + beta))
    params_opt = balance * params_times_tokens**a
    tokens_opt = params_times_tokens**b / balance
    return params_opt, tokens_opt, loss(params_opt, tokens_opt, E=E, A=A, B=B, alpha=alpha, beta=beta)


def regret(params_ratio: Array, *, alpha: Array, beta: Array) -> Array:
    """Share of a budget that the optimal plan would have saved, had it stopped at the same loss.

    Parameters
    ----------
    params_ratio : array
        Size of the model trained over the optimal size N_opt at the same budget, positive. The tokens
        are those that the rest of the budget buys.
    alpha, beta : array
        Size and data exponents of the law, positive.

    Returns
    -------
    array
        From 0, at the optimum, to 1: 1 - C' / C, where C' is the least compute that reaches the plan's loss.

    Notes
    -----
    At the optimum the size's share of the reducible loss is a and the data's is b, and the reducible loss
    falls as C^-gamma with gamma = alpha beta / (alpha + beta). A model r times the optimal size therefore has
    a r^-alpha + b r^beta times the least reducible loss, and C' = C (a r^-alpha + b r^beta)^(-1/gamma).
    """
    return regret_at_log(np.log(params_ratio), alpha=alpha, beta=beta)


def regret_at_log(log_ratio: Array, *, alpha: Array, beta: Array) -> Array:
    """Regret as by `regret`, at the natural logarithm of the size over the optimal one."""
    a, b = exponents(alpha, beta)
    # Of the two terms the larger is taken out of the sum: a ratio of 1e6 must not overflow.
    size, data = np.log(a) - alpha * log_ratio, np.log(b) + beta * log_ratio
    return -np.expm1(-np.logaddexp(size, data) * (1 / alpha + 1 / beta))
