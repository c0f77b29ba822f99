"""The cheapest run to a loss when serving the model costs compute too.

Source: Sardana et al. 2024, arXiv 2401.00448: over its lifetime a model costs 6 N D for training and 2 N a
token for inference. Where training costs k N a token instead of 6 N, inference is taken to cost a third of
that, k / 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bayes_scaling.laws.inverse import least_compute, log_room

type Array = Any
"""A float or NumPy array."""

INFERENCE_SHARE = 1 / 3
"""FLOPs of a token served over those of a token trained on: a forward pass, without the backward one."""

_STEPS = 60
"""Newton's method needs some ten; it is stopped when it no longer moves."""


def cheapest_run(
    loss: Array,
    served: float,
    *,
    E: Array,
    A: Array,
    B: Array,
    alpha: Array,
    beta: Array,
    flops_per_param_token: Array = 6.0,
) -> tuple[Array, Array, Array]:
    """Size, tokens and lifetime compute of the run that reaches a loss at the least lifetime compute.

    Parameters
    ----------
    loss : array
        Loss to be reached, in the unit of `E`.
    served : float
        Tokens of inference over the model's lifetime, 0 or more.
    E, A, B, alpha, beta : array
        Parameters of the law, as in `chinchilla.loss`; broadcast against `loss`.
    flops_per_param_token : array
        k in the training compute k N D.

    Returns
    -------
    params, tokens, compute : array
        N, D and k N (D + served / 3) in FLOPs; infinite at or below the irreducible loss.

    Notes
    -----
    Let x be the size's share of the reducible loss. Along the runs of that loss
    N = (A / ((loss - E) x))^(1/alpha) and D = (B / ((loss - E) (1 - x)))^(1/beta), and the lifetime compute
    is least where D (alpha x / (beta (1 - x)) - 1) = served / 3. With alpha x / (beta (1 - x)) = 1 + y, the
    logarithm of the left side is a convex, rising function of log y with slopes from 1 to 1 + 1 / beta, so
    that Newton's method finds its root from anywhere.
    """
    room = log_room(loss - E)
    # Where no loss is left to spend, the answer is infinite, and the search runs on a number in its place.
    free = np.where(np.isfinite(room), room, 0.0)
    log_tokens_free = (np.log(B) - free) / beta
    log_rate = np.log(beta) - np.log(alpha)
    # Of x / (1 - x): without serving y is 0.
    log_odds = log_rate
    if served > 0:
        wanted = np.log(served * INFERENCE_SHARE) - log_tokens_free
        log_y = wanted - np.logaddexp(0, log_rate) / beta
        for _ in range(_STEPS):
            log_share = np.logaddexp(0, log_rate + np.logaddexp(0, log_y))
            slope = 1 + np.exp(log_rate + log_y - log_share) / beta
            step = (log_share / beta + log_y - wanted) / slope
            log_y = log_y - step
            if (np.abs(step) < 1e-13 * (1 + np.abs(log_y))).all():
                break
        log_odds = log_rate + np.logaddexp(0, log_y)
    # Of 1 / (1 - x).
    log_share = np.logaddexp(0, log_odds)
    with np.errstate(over="ignore"):
        params = np.exp((np.log(A) - room - (log_odds - log_share)) / alpha)
        tokens = np.exp((np.log(B) - room + log_share) / beta)
        compute = flops_per_param_token * params * (tokens + served * INFERENCE_SHARE)
    return params, tokens, compute


def least_lifetime_compute(loss: Array, served: float, **law: Array) -> Array:
    """Least lifetime compute that reaches a loss.

    Parameters
    ----------
    loss, served, **law : array
        As for `cheapest_run`.

    Returns
    -------
    array
        In FLOPs; infinite at or below the irreducible loss.
    """
    return cheapest_run(loss, served, **law)[2] if served else least_compute(loss, **law)
