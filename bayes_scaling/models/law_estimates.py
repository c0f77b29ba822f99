"""What each recipe's runs say of a Chinchilla law by themselves: estimates for the sampler's coordinates.

They change no posterior. Near the truth they make it round: see `whitened`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.optimize import least_squares
from scipy.special import expit

from bayes_scaling.laws import chinchilla
from bayes_scaling.models.noise_estimates import ROUNDS, NoiseEstimates, noise_estimates

NAMES = ("loss_ratio", "irreducible", "params_share", "alpha", "beta")
"""What is estimated, on the scales on which recipes scatter: log, logit, logit, log and log."""

_MIDDLE = np.array([0.0, 0.0, 0.0, -1.05, -1.05])
_WIDTH = np.array([0.5, 1.2, 1.8, 0.5, 0.5])
"""Where the search starts, and what holds it where runs say nothing: near the usual priors."""


def law_estimates(
    logs: Mapping[str, np.ndarray], recipe: np.ndarray, *, growing: bool
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Fit the law to each recipe's runs by robust least squares on the log loss.

    Parameters
    ----------
    logs : mapping of str to ndarray, dims ("run",)
        Logarithms of params, tokens and loss over their geometric means in the run's recipe.
    recipe : ndarray of int, dims ("run",)
        Of which recipe each run is, from 0 up.
    growing : bool
        Whether the noise may grow with the loss.

    Returns
    -------
    dict of str to (ndarray, ndarray), dims ("recipe",)
        Estimates of `NAMES`, of sigma (log) and of sigma_growth, and their errors.
    """
    found = [
        _one_recipe(*(logs[name][recipe == i] for name in ("params", "tokens", "loss")), growing=growing)
        for i in range(int(recipe.max()) + 1)
    ]
    values, errors = (np.array(each).T for each in zip(*found, strict=True))
    return {name: (values[i], errors[i]) for i, name in enumerate((*NAMES, "sigma", "sigma_growth"))}


def _one_recipe(
    x: np.ndarray, d: np.ndarray, y: np.ndarray, *, growing: bool
) -> tuple[np.ndarray, np.ndarray]:
    def misses(point: np.ndarray) -> np.ndarray:
        irreducible, share = expit(point[1]), expit(point[2])
        loss = chinchilla.loss_at_logs(
            x,
            d,
            E=irreducible,
            A=(1 - irreducible) * share,
            B=(1 - irreducible) * (1 - share),
            alpha=np.exp(point[3]),
            beta=np.exp(point[4]),
        )
        return y - point[0] - np.log(loss)

    def scaled(point: np.ndarray, spreads: np.ndarray) -> np.ndarray:
        return np.concatenate([misses(point) / spreads, (point - _MIDDLE) / _WIDTH])

    point, start = _MIDDLE, max(float(np.std(y)) / 10, 1e-4)
    noise = NoiseEstimates(start, 0.0, np.full(len(y), start))
    for _ in range(ROUNDS):
        before = noise
        found = least_squares(scaled, point, loss="soft_l1", max_nfev=200, args=(noise.spreads,))
        point, away = found.x, misses(found.x)
        noise = noise_estimates(away, y - away, parameters=len(NAMES), growing=growing)
        if noise.settled(before):
            break
    errors = np.sqrt(np.diag(np.linalg.inv(found.jac.T @ found.jac)))
    # Of the logarithm of a standard deviation, of which heavy tails take their share, and of a power.
    less = 1 / np.sqrt(max(len(y) - len(NAMES), 1))
    return (
        np.concatenate([point, [np.log(noise.spread), noise.growth]]),
        np.concatenate([errors, [1.5 * less, 5 * less]]),
    )
